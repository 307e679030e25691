"""Checks a running s3archive with boto3, a client that nobody here wrote.

Usage: boto3_check.py ENDPOINT CONTROL_FILE
Prints what is wrong, and ends with 1 if anything is.
"""
import io
import json
import os
import re
import sys
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT, CONTROL = sys.argv[1:]
ACCOUNT = '123456789012'
failures = []


def client(service, **config):
    return boto3.client(
        service, endpoint_url=ENDPOINT, region_name='us-east-1', aws_access_key_id='s3access', aws_secret_access_key='s3secretkey',
        config=Config(retries={'max_attempts': 0}, **config))


s3 = client('s3', s3={'addressing_style': 'path'}, signature_version='s3v4')
jobs = client('s3control')
# The SDK puts the account's number before the host, even before an address.
jobs.meta.events.register('before-sign.s3-control', lambda request, **_: setattr(request, 'url', request.url.replace(f'//{ACCOUNT}.', '//')))


def check(what, got, want):
    if got != want:
        failures.append(what)
        print(f'{what}: {got!r}, want {want!r}')


def code(call, **arguments):
    """The HTTP status, and the error's code if there is one."""
    try:
        return call(**arguments)['ResponseMetadata']['HTTPStatusCode']
    except ClientError as error:
        return error.response['Error']['Code']


def control(**settings):
    with open(CONTROL + '.new', 'w') as file:
        json.dump(settings, file)
    os.replace(CONTROL + '.new', CONTROL)


def restore(key, days, tier='Bulk'):
    request = {'GlacierJobParameters': {'Tier': tier}}
    if days:
        request['Days'] = days
    return code(s3.restore_object, Bucket='boto', Key=key, RestoreRequest=request)


def states():
    """Class and IsRestoreInProgress of each object, by listings in pages of 3."""
    pages = s3.get_paginator('list_objects_v2').paginate(
        Bucket='boto', PaginationConfig={'PageSize': 3}, **({'OptionalObjectAttributes': ['RestoreStatus']} if NEW else {}))
    return {o['Key']: (o['StorageClass'], o.get('RestoreStatus', {}).get('IsRestoreInProgress'))
            for page in pages for o in page.get('Contents', [])}


# Before 1.28, such as in Debian 12, boto3 does not know RestoreStatus: ask for it, and read it, by hand.
NEW = 'OptionalObjectAttributes' in s3.meta.service_model.operation_model('ListObjectsV2').input_shape.members


def ask(params, **_):
    params['headers']['x-amz-optional-object-attributes'] = 'RestoreStatus'


def read(http_response, parsed, **_):
    entries = re.findall(r'<Contents>.*?</Contents>', http_response.text)
    for entry, found in zip(entries, parsed.get('Contents', [])):
        state = re.search(r'<IsRestoreInProgress>(.*?)<', entry)
        if state:
            found['RestoreStatus'] = {'IsRestoreInProgress': state.group(1) == 'true'}


if not NEW:
    s3.meta.events.register('before-call.s3.ListObjectsV2', ask)
    s3.meta.events.register('after-call.s3.ListObjectsV2', read)


def objects():
    s3.create_bucket(Bucket='boto')
    keys = ['a', 'a/b', 'a+b c', 'ü/%41', 'x' * 300 + '/y']
    for key in keys:
        s3.put_object(Bucket='boto', Key=key, Body=b'body', StorageClass='GLACIER', ChecksumAlgorithm='SHA256')
    check('keys', sorted(states()), sorted(keys))
    check('class', s3.head_object(Bucket='boto', Key='a+b c')['StorageClass'], 'GLACIER')
    check('frozen', code(s3.get_object, Bucket='boto', Key='a'), 'InvalidObjectState')
    try:
        s3.get_object(Bucket='boto', Key='a')
    except s3.exceptions.InvalidObjectState as error:
        check('class in the error', error.response['StorageClass'], 'GLACIER')
    attributes = s3.get_object_attributes(Bucket='boto', Key='a', ObjectAttributes=['StorageClass', 'Checksum', 'ObjectSize'])
    check('attributes', (attributes['StorageClass'], attributes['ObjectSize'], 'ChecksumSHA256' in attributes['Checksum']), ('GLACIER', 4, True))
    grouped = s3.list_objects_v2(Bucket='boto', Delimiter='/', Prefix='ü')
    check('common prefixes', [p['Prefix'] for p in grouped['CommonPrefixes']], ['ü/'])


def restores():
    check('restore', restore('a', 2), 202)
    check('restore again', restore('a', 2), 'RestoreAlreadyInProgress')
    check('hurry', restore('a', 2, 'Expedited'), 202)
    check('without days', restore('a/b', 0), 'MalformedXML')
    check('ongoing', s3.head_object(Bucket='boto', Key='a')['Restore'], 'ongoing-request="true"')
    check('ongoing in the listing', states()['a'], ('GLACIER', True))
    control(clock_offset=600)
    check('restored in the listing', states()['a'], ('GLACIER', False))
    check('restored', s3.get_object(Bucket='boto', Key='a')['Body'].read(), b'body')
    check('copied', code(s3.copy_object, Bucket='boto', Key='copy', CopySource={'Bucket': 'boto', 'Key': 'a'}), 200)
    check('extended', restore('a', 1), 200)
    s3.put_object(Bucket='boto', Key='warm', Body=b'', StorageClass='GLACIER_IR')
    check('online', restore('warm', 1), 'InvalidObjectState')


def transfers():
    data = os.urandom(12 << 20)
    s3.upload_fileobj(io.BytesIO(data), 'boto', 'large', ExtraArgs={'StorageClass': 'STANDARD_IA'},
                      Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
    out = io.BytesIO()
    s3.download_fileobj('boto', 'large', out)
    check('large', out.getvalue() == data, True)
    check('class of large', s3.head_object(Bucket='boto', Key='large')['StorageClass'], 'STANDARD_IA')
    check('range', s3.get_object(Bucket='boto', Key='large', Range='bytes=5-9')['Body'].read(), data[5:10])
    url = s3.generate_presigned_url('get_object', Params={'Bucket': 'boto', 'Key': 'a/b'})
    try:
        urllib.request.urlopen(url)
        check('presigned GET', 200, 403)
    except urllib.error.HTTPError as error:
        check('presigned GET', (error.code, b'InvalidObjectState' in error.read()), (403, True))


def lifecycle():
    rules = [{'ID': 'cool', 'Status': 'Enabled', 'Filter': {'Prefix': 'lar'},
              'Transitions': [{'Days': 0, 'StorageClass': 'DEEP_ARCHIVE'}]}]
    s3.put_bucket_lifecycle_configuration(Bucket='boto', LifecycleConfiguration={'Rules': rules})
    check('rules', s3.get_bucket_lifecycle_configuration(Bucket='boto')['Rules'], rules)
    control(clock_offset=90000)
    check('moved', states()['large'], ('DEEP_ARCHIVE', None))


def batch():
    manifest = s3.put_object(Bucket='boto', Key='manifest', Body=b'boto,a%2Fb\nboto,large\n')
    job = jobs.create_job(
        AccountId=ACCOUNT, ConfirmationRequired=False, ClientRequestToken='boto', Priority=1,
        RoleArn='arn:aws:iam::123456789012:role/thaw',
        Operation={'S3InitiateRestoreObject': {'ExpirationInDays': 3, 'GlacierJobTier': 'BULK'}},
        Manifest={'Spec': {'Format': 'S3BatchOperations_CSV_20180820', 'Fields': ['Bucket', 'Key']},
                  'Location': {'ObjectArn': 'arn:aws:s3:::boto/manifest', 'ETag': manifest['ETag']}},
        Report={'Enabled': False})['JobId']
    control(clock_offset=90100)
    found = jobs.describe_job(AccountId=ACCOUNT, JobId=job)['Job']
    check('job', (found['Status'], found['ProgressSummary']['NumberOfTasksSucceeded']), ('Complete', 2))
    check('thawing', states()['large'], ('DEEP_ARCHIVE', True))
    check('jobs', [j['JobId'] for j in jobs.list_jobs(AccountId=ACCOUNT)['Jobs']], [job])


for part in (objects, restores, transfers, lifecycle, batch):
    part()
sys.exit(1 if failures else 0)

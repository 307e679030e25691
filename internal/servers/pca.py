"""Swift proxy middleware with the semantics of a sealed archive policy.

Containers of the configured storage policies behave as OVH documents its Public
Cloud Archive (github.com/ovh/docs, pages/storage_and_backup/object_storage/
pca_unlock; for policy_extra docs.ovh.com, storage/pca):

* an object is sealed once it is uploaded (here: ``seal_after`` seconds later);
* GET of a sealed object answers ``429 Too Many Requests`` with ``Retry-After``
  and starts the retrieval; further GETs only tell the time that is left;
* after the delay the object can be read for ``unsealed_for`` seconds, then it
  is sealed again;
* HEAD and GET carry ``X-Ovh-Retrieval-State: sealed|unsealing|unsealed`` and,
  while unsealing, ``X-Ovh-Retrieval-Delay`` in seconds;
* a JSON listing with ``?policy_extra=true`` has ``policy_retrieval_state`` and
  ``policy_retrieval_delay`` (null unless unsealing) in each entry;
* a retrieval that begins within ``repeat_window`` seconds of the last one's
  end takes ``repeat_delay`` instead of ``unseal_delay`` (documented: such a
  retrieval takes significantly longer);
* DELETE, HEAD, PUT and POST work in every state; copying from a sealed object
  is a read and is refused like one.

Place it to the right of ``copy`` and to the left of ``slo`` and ``dlo``: a
large object is then one archive, whose manifest decides for all of it. Read by
themselves, its segments are archives of their own. The service does not say how
it treats them: with ``segments`` set, the manifest shows no state, and a GET of
it unseals its segments one after the other, the first that is sealed at a time,
and is refused until the last can be read.

Filter options (all times in seconds, fractions allowed)::

    [filter:pca]
    paste.filter_factory = pca:filter_factory
    policies = PCA              storage policies that seal
    state_db = /path/pca.sqlite
    control_dir = /path/pca
    event_log = /path/pca-events.jsonl
    seal_after = 0
    unseal_delay = 3
    unsealed_for = 86400
    repeat_window = 0
    repeat_delay = 0            0: as unseal_delay

A file NAME.json in ``control_dir`` overrides the times for the container NAME,
and for the container NAME_segments unless that has a file of its own; replace
it by renaming, so that no half of it is read. It also knows ``clock_offset``,
seconds added to the container's clock, which lets a test move past a deadline
without waiting, and ``segments``, true or false. The times of a running
retrieval are fixed when it starts.
``event_log`` receives one JSON line for each retrieval that starts, so that a
test can count what it asked for.
"""
import calendar
import json
import math
import os
import time
from io import BytesIO
from urllib.parse import parse_qs, quote, unquote

from swift.common.storage_policy import POLICIES
from swift.common.swob import Request, Response
from swift.common.utils import (config_true_value, list_from_csv,
                                register_swift_info, split_path)
from swift.common.wsgi import make_subrequest
from swift.proxy.controllers.base import get_container_info

from retrievals import Retrievals

SEALED, UNSEALING, UNSEALED = 'sealed', 'unsealing', 'unsealed'
TOO_MANY = (b'<html><h1>Too Many Requests</h1>'
            b'<p>Too Many Requests.</p></html>')
TIMES = {'seal_after': 0.0, 'unseal_delay': 3.0, 'unsealed_for': 86400.0,
         'repeat_window': 0.0, 'repeat_delay': 0.0, 'clock_offset': 0.0,
         'segments': False}


class PCA:
    def __init__(self, app, conf):
        self.app = app
        self.policies = set(list_from_csv(conf.get('policies', 'PCA')))
        self.retrievals = Retrievals(conf['state_db'])
        self.control_dir = conf['control_dir']
        self.event_log = conf['event_log']
        self.base = {name: float(conf.get(name, default))
                     for name, default in TIMES.items()}

    # -- clock and settings -------------------------------------------------

    def times(self, container):
        """The container's times; a control file that is wrong is an error."""
        for name in (container, container.removesuffix('_segments')):
            path = os.path.join(self.control_dir,
                                quote(name, safe='') + '.json')
            try:
                with open(path) as control:
                    own = json.load(control)
            except FileNotFoundError:
                continue
            unknown = set(own) - set(TIMES)
            if unknown:
                raise ValueError('%s: unknown %s' % (path, unknown))
            return dict(self.base, **own)
        return self.base

    def log_event(self, event, key, now, **more):
        line = dict(more, event=event, account=key[0], container=key[1],
                    object=key[2], time=round(now, 3))
        with open(self.event_log, 'a') as log:
            log.write(json.dumps(line, sort_keys=True) + '\n')

    # -- state --------------------------------------------------------------

    @staticmethod
    def state(row, uploaded, now, times):
        """(state, seconds left while unsealing or None)"""
        if row and now < row[0]:
            return UNSEALING, max(1, math.ceil(row[0] - now))
        if row and now < row[1]:
            return UNSEALED, None
        if uploaded is not None and now < uploaded + times['seal_after']:
            return UNSEALED, None
        return SEALED, None

    def seals(self, env):
        info = get_container_info(env, self.app, swift_source='PCA')
        if not 200 <= info['status'] < 300:
            return False
        policy = POLICIES.get_by_index(info['storage_policy'])
        return policy is not None and policy.name in self.policies

    @staticmethod
    def uploaded(headers):
        for name in ('X-Backend-Data-Timestamp', 'X-Timestamp'):
            try:
                return float(headers.get(name, '').split('_')[0])
            except ValueError:
                continue
        return None

    def head(self, req):
        """The object's HEAD under the same authorisation as the request."""
        env = dict(req.environ, REQUEST_METHOD='HEAD')
        env['wsgi.input'] = BytesIO(b'')
        env['swift.source'] = 'PCA'
        for name in ('CONTENT_LENGTH', 'HTTP_RANGE', 'HTTP_IF_MATCH',
                     'HTTP_IF_NONE_MATCH', 'HTTP_IF_MODIFIED_SINCE',
                     'HTTP_IF_UNMODIFIED_SINCE', 'HTTP_TRANSFER_ENCODING'):
            env.pop(name, None)
        return Request(env).get_response(self.app)

    @staticmethod
    def show(headers, state, left):
        headers['X-Ovh-Retrieval-State'] = state
        if left is not None:
            headers['X-Ovh-Retrieval-Delay'] = str(left)

    # -- requests -----------------------------------------------------------

    def __call__(self, env, start_response):
        req = Request(env)
        try:
            _, account, container, obj = split_path(req.path, 3, 4, True)
        except ValueError:
            return self.app(env, start_response)
        if req.method not in ('GET', 'HEAD', 'PUT', 'DELETE', 'POST'):
            return self.app(env, start_response)
        if not obj and not (req.method == 'GET' and config_true_value(
                parse_qs(env.get('QUERY_STRING', '')).get(
                    'policy_extra', [''])[0])):
            return self.app(env, start_response)
        if not self.seals(env):
            return self.app(env, start_response)
        times = self.times(container)
        now = time.time() + times['clock_offset']
        key = (account, container, obj)
        if not obj:
            response = self.listing(req, account, container, now, times)
        elif req.method == 'GET':
            response = self.read(req, key, now, times)
        elif req.method == 'HEAD':
            response = req.get_response(self.app)
            if response.is_success and not (
                    times['segments'] and self.is_manifest(response.headers)):
                self.show(response.headers, *self.state(
                    self.retrievals.get(key),
                    self.uploaded(response.headers), now, times))
        else:
            response = req.get_response(self.app)
            if response.is_success and req.method in ('PUT', 'DELETE'):
                self.retrievals.forget(key)
        return response(env, start_response)

    def read(self, req, key, now, times):
        head = self.head(req)
        if not head.is_success:
            return req.get_response(self.app)
        if times['segments'] and self.is_manifest(head.headers):
            return self.read_segments(req, account=key[0], head=head)
        state, left = self.ask(key, head.headers, now, times)
        if state != UNSEALED:
            return self.refusal(req, state, left)
        response = req.get_response(self.app)
        if response.is_success:
            self.show(response.headers, state, left)
        return response

    def ask(self, key, headers, now, times):
        """The state after a GET, which starts the retrieval of what is sealed."""
        row = self.retrievals.get(key)
        state, left = self.state(row, self.uploaded(headers), now, times)
        if state != SEALED:
            return state, left
        delay = times['unseal_delay']
        if row and now - row[1] < times['repeat_window']:
            delay = times['repeat_delay'] or delay
        self.retrievals.start(key, now + delay,
                              now + delay + times['unsealed_for'])
        self.log_event('unseal', key, now, delay=delay)
        return UNSEALING, max(1, math.ceil(delay))

    def refusal(self, req, state, left):
        response = Response(request=req, status='429 Too Many Requests',
                            body=TOO_MANY, content_type='text/html')
        response.headers['Retry-After'] = str(left)
        self.show(response.headers, state, left)
        return response

    # -- large objects ------------------------------------------------------

    @staticmethod
    def is_manifest(headers):
        return (config_true_value(headers.get('X-Static-Large-Object'))
                or 'X-Object-Manifest' in headers)

    def read_segments(self, req, account, head):
        if req.params.get('multipart-manifest') == 'get':
            return req.get_response(self.app)
        for container, obj in self.segments(req, account, head.headers):
            times = self.times(container)
            segment = make_subrequest(
                req.environ, method='HEAD', swift_source='PCA',
                path=quote('/v1/%s/%s/%s' % (account, container, obj)))
            state, left = self.ask(
                (account, container, obj),
                segment.get_response(self.app).headers,
                time.time() + times['clock_offset'], times)
            if state != UNSEALED:
                return self.refusal(req, state, left)
        return req.get_response(self.app)

    def segments(self, req, account, headers):
        """(container, object) of each segment, in the order of the content"""
        if 'X-Object-Manifest' in headers:
            container, _, prefix = unquote(
                headers['X-Object-Manifest']).partition('/')
            path = quote('/v1/%s/%s' % (account, container))
            query = 'format=json&prefix=' + quote(prefix)
        else:
            path, query = quote(req.path), 'multipart-manifest=get'
        entries = json.loads(make_subrequest(
            req.environ, method='GET', path=path + '?' + query,
            swift_source='PCA').get_response(self.app).body)
        for entry in entries:
            if 'X-Object-Manifest' in headers:
                yield container, entry['name']
            else:
                yield entry['name'].lstrip('/').split('/', 1)

    def listing(self, req, account, container, now, times):
        response = req.get_response(self.app)
        if response.status_int != 200:
            return response
        body = response.body
        try:
            entries = json.loads(body)
        except ValueError:
            entries = None
        if isinstance(entries, list):
            rows = self.retrievals.of_container(account, container)
            for entry in entries:
                if 'name' not in entry:
                    continue
                state, left = self.state(
                    rows.get(entry['name']),
                    listed_time(entry.get('last_modified')), now, times)
                entry['policy_retrieval_state'] = state
                entry['policy_retrieval_delay'] = left
            body = json.dumps(entries).encode('ascii')
        response.body = body
        return response


def listed_time(text):
    """Seconds since the epoch of a listing's last_modified."""
    try:
        whole, _, fraction = text.partition('.')
        parsed = time.strptime(whole, '%Y-%m-%dT%H:%M:%S')
        return calendar.timegm(parsed) + float('0.' + (fraction or '0'))
    except (AttributeError, ValueError):
        return None


def filter_factory(global_conf, **local_conf):
    conf = dict(global_conf, **local_conf)
    register_swift_info('pca', policies=list_from_csv(
        conf.get('policies', 'PCA')))
    return lambda app: PCA(app, conf)

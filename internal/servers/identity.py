#!/usr/bin/python3
"""Sets up, fills and serves Keystone out of a private directory.

    identity.py init CONF URL PASSWORD  creates the database and the admin user
    identity.py serve CONF HOST PORT    serves the identity API
    identity.py seed JSON               creates services, users and credentials,
                                        and prints shell assignments
"""
import base64
import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request


def init(conf, url, password):
    """Schema, key stores and the bootstrap user."""
    directory = os.path.dirname(conf)
    for name in ('fernet', 'credential'):
        make_keys(os.path.join(directory, name))
    me = [sys.executable, '/usr/bin/keystone-manage', '--config-file', conf]
    subprocess.run(me + ['db_sync'], check=True)
    subprocess.run(me + ['bootstrap', '--bootstrap-password', password,
                         '--bootstrap-public-url', url,
                         '--bootstrap-internal-url', url,
                         '--bootstrap-admin-url', url,
                         '--bootstrap-region-id', 'GRA'], check=True)
    # Readers must not block a writer of the same process.
    database = os.path.join(directory, 'keystone.sqlite')
    sqlite3.connect(database).execute('PRAGMA journal_mode=WAL')


def make_keys(directory):
    """A Fernet key repository: the key to come, and the one in use."""
    os.mkdir(directory, 0o700)
    for name in ('0', '1'):
        with open(os.path.join(directory, name), 'wb') as key:
            key.write(base64.urlsafe_b64encode(os.urandom(32)))


def serve(conf, host, port):
    """One process; requests are answered one after another."""
    import eventlet
    import eventlet.wsgi
    from keystone.server import wsgi
    sys.argv[1:] = []
    os.environ['OS_KEYSTONE_CONFIG_FILES'] = os.path.basename(conf)
    os.environ['OS_KEYSTONE_CONFIG_DIR'] = os.path.dirname(conf)
    # The last connection to close removes the database's log, which the next
    # creates again, many times in each request: so one stays open.
    database = sqlite3.connect(os.path.join(os.path.dirname(conf),
                                            'keystone.sqlite'))
    database.execute('SELECT count(*) FROM sqlite_master')
    app = wsgi.initialize_public_application()
    eventlet.wsgi.server(eventlet.listen((host, int(port))), app,
                         log=sys.stdout)


class Identity:
    """The few identity calls that the seed needs."""

    def __init__(self, url):
        self.url = url.rstrip('/')
        self.token = None

    def call(self, method, path, body=None, ok=(200, 201, 204)):
        headers = {'Content-Type': 'application/json'}
        if self.token:
            headers['X-Auth-Token'] = self.token
        request = urllib.request.Request(
            self.url + path, method=method, headers=headers,
            data=None if body is None else json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                data = response.read()
                return response.headers, json.loads(data) if data else None
        except urllib.error.HTTPError as error:
            if error.code in ok:
                return error.headers, None
            raise SystemExit('%s %s: %s %s' % (
                method, path, error.code, error.read()[-300:].decode()))

    def login(self, name, password, project):
        domain = {'id': 'default'}
        headers, body = self.call('POST', '/auth/tokens', {'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': name, 'password': password, 'domain': domain}}},
            'scope': {'project': {'name': project, 'domain': domain}}}})
        self.token = headers['X-Subject-Token']
        return body['token']

    def ensure(self, kind, name, **more):
        """The id of the named thing, created where it is missing."""
        plural = kind + 's'
        found = self.call('GET', '/%s?name=%s' % (plural, name))[1][plural]
        if found:
            return found[0]['id']
        body = {kind: dict(more, name=name)}
        return self.call('POST', '/' + plural, body)[1][kind]['id']


def seed(text):
    """Users, projects and the catalogue; prints shell assignments."""
    want = json.loads(text)
    admin = Identity(want['url'])
    admin.login('admin', want['admin_password'], 'admin')
    roles = {name: admin.ensure('role', name)
             for name in ('admin', 'member', 'reader')}
    service_project = admin.ensure('project', 'service', domain_id='default')
    swift_user = admin.ensure('user', 'swift', domain_id='default',
                              password=want['service_password'])
    grant = '/projects/%s/users/%s/roles/%s'
    admin.call('PUT', grant % (service_project, swift_user, roles['admin']))
    service = admin.ensure('service', 'swift', type='object-store')
    for region in want['regions']:
        admin.call('POST', '/regions', {'region': {'id': region}}, ok=(409,))
        for interface, at in want['storage'].items():
            admin.call('POST', '/endpoints', {'endpoint': {
                'service_id': service, 'interface': interface,
                'region_id': region, 'url': at + '/v1/AUTH_$(project_id)s'}})
    for entry in want['users']:
        project = admin.ensure('project', entry['project'],
                               domain_id='default')
        user = admin.ensure('user', entry['name'], domain_id='default',
                            password=entry['password'])
        admin.call('PUT', grant % (project, user, roles[entry['role']]))
    # What only a user may create for itself, for the first user.
    entry = want['users'][0]
    own = Identity(want['url'])
    token = own.login(entry['name'], entry['password'], entry['project'])
    base = '/users/%s' % token['user']['id']
    path = base + '/application_credentials'
    made = own.call('POST', path, {'application_credential': {
        'name': 'servers', 'secret': want['app_secret']}})[1]
    made = made['application_credential']
    ec2 = own.call('POST', base + '/credentials/OS-EC2',
                   {'tenant_id': token['project']['id']})[1]['credential']
    print('APP_ID=%s' % made['id'])
    print('PROJECT_ID=%s' % token['project']['id'])
    print('EC2_ACCESS=%s' % ec2['access'])
    print('EC2_SECRET=%s' % ec2['secret'])


def main(argv):
    roles = {'init': init, 'serve': serve, 'seed': seed}
    if not argv or argv[0] not in roles:
        raise SystemExit(__doc__)
    return roles[argv[0]](*argv[1:])


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/python3
"""Runs one OpenStack Swift component out of a private directory.

The Swift modules read /etc/swift/swift.conf by default. This launcher points
them at the swift.conf that lies beside the given configuration file instead, so
that a cluster needs no file outside its own state directory and several
clusters can run on one machine.

    swiftd.py rings ETCDIR OBJECT_PORT CONTAINER_PORT ACCOUNT_PORT POLICIES
    swiftd.py proxy|account|container|object|object-updater CONF
"""
import os
import sys


def use_swift_conf(directory):
    from swift.common import utils
    utils.SWIFT_CONF_FILE = os.path.join(directory, 'swift.conf')


def rings(etc, object_port, container_port, account_port, policies):
    from swift.common.ring import RingBuilder
    wanted = [('account', account_port), ('container', container_port)]
    for index in range(int(policies)):
        wanted.append(('object-%d' % index if index else 'object', object_port))
    for name, port in wanted:
        builder = RingBuilder(4, 1, 0)  # 16 partitions, one replica
        builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0,
                         'ip': '127.0.0.1', 'port': int(port),
                         'replication_ip': '127.0.0.1',
                         'replication_port': int(port),
                         'device': 'd1', 'meta': ''})
        builder.rebalance()
        builder.get_ring().save(os.path.join(etc, name + '.ring.gz'))


def server(role, conf):
    use_swift_conf(os.path.dirname(conf))
    from swift.common.wsgi import run_wsgi
    options = {'verbose': True}
    if role == 'object':
        from swift.obj import server as obj_server
        options['global_conf_callback'] = obj_server.global_conf_callback
    return run_wsgi(conf, role + '-server', **options)


def object_updater(conf):
    """Sends the container updates that an object server could not."""
    use_swift_conf(os.path.dirname(conf))
    from swift.common.daemon import run_daemon
    from swift.obj.updater import ObjectUpdater
    run_daemon(ObjectUpdater, conf, verbose=True)


def main(argv):
    role, args = (argv[0], argv[1:]) if argv else ('', [])
    if role == 'rings':
        return rings(*args)
    if role == 'object-updater':
        return object_updater(*args)
    if role in ('proxy', 'account', 'container', 'object'):
        return server(role, *args)
    raise SystemExit(__doc__)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

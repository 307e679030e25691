"""The memory of pca.py: a database of the retrievals that were asked for."""
import os
import sqlite3

SCHEMA = '''
CREATE TABLE IF NOT EXISTS retrieval (
    account TEXT, container TEXT, object TEXT,
    ready_at REAL, sealed_at REAL,
    PRIMARY KEY (account, container, object)) WITHOUT ROWID
'''


class Retrievals:
    """Which objects were asked for, and until when they can be read."""

    def __init__(self, path):
        self.path = path
        self.pid = None
        self.connection = None

    def db(self):
        if self.pid != os.getpid():  # a forked worker opens its own
            self.connection = sqlite3.connect(self.path, timeout=10,
                                              isolation_level=None)
            self.connection.execute('PRAGMA journal_mode=WAL')
            self.connection.execute('PRAGMA synchronous=OFF')
            self.connection.execute(SCHEMA)
            self.pid = os.getpid()
        return self.connection

    def get(self, key):
        return self.db().execute(
            'SELECT ready_at, sealed_at FROM retrieval WHERE account=? AND'
            ' container=? AND object=?', key).fetchone()

    def start(self, key, ready_at, sealed_at):
        self.db().execute('INSERT OR REPLACE INTO retrieval VALUES'
                          ' (?,?,?,?,?)', key + (ready_at, sealed_at))

    def forget(self, key):
        self.db().execute('DELETE FROM retrieval WHERE account=? AND'
                          ' container=? AND object=?', key)

    def of_container(self, account, container):
        return {row[0]: row[1:] for row in self.db().execute(
            'SELECT object, ready_at, sealed_at FROM retrieval WHERE'
            ' account=? AND container=?', (account, container))}

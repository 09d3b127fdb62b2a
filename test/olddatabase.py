"""An older server's database as a file, which its processes share and find again: tables that are dictionaries."""

import json
import sqlite3
import threading
from collections.abc import MutableMapping

BUSY_SECONDS = 60


class Table(MutableMapping):
    """Keys are texts; values are what JSON can hold, or what pack() makes to that and unpack() back."""

    def __init__(self, database, name, pack, unpack):
        self.database, self.name, self.pack, self.unpack = database, name, pack, unpack
        database.do(f"CREATE TABLE IF NOT EXISTS {name} (key TEXT PRIMARY KEY, value TEXT)")

    def __getitem__(self, key):
        rows = self.database.do(f"SELECT value FROM {self.name} WHERE key = ?", key)
        if not rows:
            raise KeyError(key)
        return self.unpack(json.loads(rows[0][0]))

    def __setitem__(self, key, value):
        self.database.do(f"REPLACE INTO {self.name} VALUES (?, ?)", key, json.dumps(self.pack(value)))

    def __delitem__(self, key):
        self.database.do(f"DELETE FROM {self.name} WHERE key = ?", key)

    def __iter__(self):
        return iter([key for key, in self.database.do(f"SELECT key FROM {self.name} ORDER BY key")])

    def __len__(self):
        return self.database.do(f"SELECT count(*) FROM {self.name}")[0][0]

    def items(self):
        rows = self.database.do(f"SELECT * FROM {self.name} ORDER BY key")
        return [(key, self.unpack(json.loads(value))) for key, value in rows]


class Database:
    """One file. Each change is in it at once."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    def do(self, command, *values):
        with self.lock:
            return self.connection.execute(command, values).fetchall()

    def table(self, name, pack=lambda value: value, unpack=lambda value: value):
        return Table(self, name, pack, unpack)

"""Redis without its server: what a client of it costs, and nothing else.

A socket's 50 µs a command would hide what a view costs; so would pickle, which
cachelib's SimpleCache uses in place of the serializer of Flask-Session.
"""

from __future__ import annotations

import typing as t

import redis


class MemoryRedis(redis.Redis):
    """A copy of a Redis server's texts in this process; they do not expire.

    Everything above the connection is redis-py's. A command that it does not know is an
    error, so nothing is measured that did not happen.
    """

    def __init__(self, source: redis.Redis) -> None:
        super().__init__()
        keys: t.Any = source.keys("*")
        self.entries = {k: source.get(k) for k in keys if source.type(k) == b"string"}

    def execute_command(self, *parts: t.Any, **_: t.Any) -> t.Any:
        name, key, *rest = parts
        key = key.encode() if isinstance(key, str) else key
        if name in {"GET", "GETEX"}:
            return self.entries.get(key)
        if name == "SET":
            if "XX" in rest and key not in self.entries:
                return None
            self.entries[key] = rest[0]
            return True
        if name == "MGET":
            wanted = [part.encode() if isinstance(part, str) else part for part in rest]
            return [self.entries.get(part) for part in (key, *wanted)]
        raise NotImplementedError(f"the stand-in for Redis does not know {name}")

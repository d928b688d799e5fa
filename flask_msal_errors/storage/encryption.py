"""Encryption of what is kept in the session store.

Knows nothing of what the data says.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from cryptography.fernet import Fernet
from cryptography.fernet import InvalidToken
from cryptography.fernet import MultiFernet


class Cipher:
    """Data to and from an entry: as it is, or encrypted if there are keys.

    :param keys: Fernet keys, newest first: the first encrypts, each of them decrypts.
    """

    def __init__(self, keys: cabc.Sequence[str] = ()) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def seal(self, data: bytes) -> dict[str, str]:
        """Return an entry that holds UTF-8 data."""
        if self._fernet is None:
            return {"plain": data.decode()}
        return {"encrypted": self._fernet.encrypt(data).decode()}

    def open(self, entry: cabc.Mapping[str, t.Any]) -> bytes:
        """Return the data of an entry.

        :raises ValueError: it is broken, of another key, or not encrypted though there
            are keys.
        """
        name = "plain" if self._fernet is None else "encrypted"
        data = entry.get(name)
        if not isinstance(data, str):
            raise ValueError(f"it has no {name} string")
        if self._fernet is None:
            return data.encode()
        try:
            return self._fernet.decrypt(data.encode())
        except InvalidToken as error:
            raise ValueError("encrypted with another key") from error

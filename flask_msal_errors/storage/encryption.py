"""Text at rest in the store: plain, or encrypted if there are keys.

Knows nothing of what the text says.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from cryptography.fernet import Fernet
from cryptography.fernet import InvalidToken
from cryptography.fernet import MultiFernet


class Vault:
    """Turns text into an entry and back.

    :param keys: Fernet keys, newest first: it seals, all of them open. None, no
        encryption.
    """

    def __init__(self, keys: cabc.Sequence[str] = ()) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def seal(self, text: str) -> dict[str, t.Any]:
        """An entry that says ``text``."""
        if self._fernet is None:
            return {"plain": text}
        return {"sealed": self._fernet.encrypt(text.encode()).decode()}

    def open(self, entry: cabc.Mapping[str, t.Any]) -> str:
        """What an entry says.

        :raises ValueError: it is broken, of another key, or not encrypted though there
            are keys.
        """
        kind = "plain" if self._fernet is None else "sealed"
        text = entry.get(kind)
        if not isinstance(text, str):
            raise ValueError(f"it has no text that is {kind}")
        if self._fernet is None:
            return text
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken as error:
            raise ValueError("sealed with another key") from error

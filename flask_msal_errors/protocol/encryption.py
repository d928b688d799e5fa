"""Fernet, as cookies and stored values use it.

Owns when ``cryptography`` is imported: with the first value, not with the package, a
third of whose import it would be.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

if t.TYPE_CHECKING:
    from cryptography.fernet import InvalidToken as InvalidToken
    from cryptography.fernet import MultiFernet
else:

    def __getattr__(name: str) -> t.Any:
        """Return ``InvalidToken``: an ``except`` looks it up only if it has to."""
        if name != "InvalidToken":
            raise AttributeError(name)
        from cryptography.fernet import InvalidToken

        return InvalidToken


def fernet(keys: cabc.Iterable[str]) -> MultiFernet:
    """Return what encrypts with the first of some keys, and decrypts with each."""
    from cryptography.fernet import Fernet
    from cryptography.fernet import MultiFernet

    return MultiFernet([Fernet(key) for key in keys])

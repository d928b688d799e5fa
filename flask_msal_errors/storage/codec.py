"""Values to and from entries of the session store: JSON with a kind and a version.

Owns their encryption, and is the one place where what cannot be read becomes nothing.
Knows no kind of value.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import functools
import logging
import threading
import typing as t
import zlib

import msgspec

from ..protocol import encryption
from ..protocol.secret import Hidden
from .base import Entry

if t.TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

logger = logging.getLogger("flask_msal_errors")

#: Exceptions of decoding foreign data, at whatever depth it breaks. Which of them,
#: differs by msgspec's version, too.
UNREADABLE = (
    *(ValueError, LookupError, TypeError, AttributeError, OverflowError),
    *(RecursionError, zlib.error, msgspec.MsgspecError),
)
#: Bytes of a decompressed value: many times what the tokens of a session take.
_LARGEST = 16 * 2**20


# msgspec lets an object come without its tag, but never an array.
class Stored(msgspec.Struct, array_like=True, tag_field="stored"):
    """Base of all values in the store.

    A subclass is tagged with its kind and version, such as ``tag="record-1"``. Raise
    the version when fields change: older entries then read as nothing.
    """

    compressed = False
    """Whether zlib makes it smaller."""
    apart = ""
    """Name of a field with a long string, which follows the JSON as it is: parsing it
    takes longer than all the rest."""

    def __repr__(self) -> str:
        """Show no field: most are secrets, and tracebacks and logs show ``repr``."""
        return f"<{type(self).__name__}>"


_Kind = t.TypeVar("_Kind", bound=Stored)


class Codec:
    """Encodes values, encrypted if there are keys.

    :param keys: Fernet keys, newest first: the first encrypts, each of them decrypts.
    """

    def __init__(self, keys: cabc.Sequence[str] = ()) -> None:
        self._keys = tuple(keys)

    def encode(self, value: Stored) -> Entry:
        """Return the entry of a value: strings only, which any backend can keep."""
        data = msgspec.json.encode(value)
        if value.apart:
            short = msgspec.structs.replace(value, **{value.apart: ""})
            # JSON of msgspec has no line breaks.
            lines = (msgspec.json.encode(short), getattr(value, value.apart).encode())
            data = b"\n".join(lines)
        if value.compressed:
            data = base64.b64encode(zlib.compress(data))
        if not self._keys:
            return Hidden(plain=data.decode())
        return Hidden(encrypted=self._fernet.encrypt(data).decode())

    def decode(self, kind: type[_Kind], entry: Entry | None) -> _Kind | None:
        """Return the value of an entry.

        ``None`` for no entry, and for one that is broken, of another kind, version or
        key, or not encrypted though there are keys. The log says so, and nothing of
        what is in it.
        """
        if entry is None:
            return None
        try:
            text: str = (
                entry["plain"]
                if not self._keys
                else self._fernet.decrypt(entry["encrypted"]).decode()
            )
            json, _, apart = text.partition("\n") if kind.apart else (text, "", "")
            data = _decompressed(json) if kind.compressed else json
            value: _Kind = _decoder(kind).decode(data)
            if kind.apart:
                setattr(value, kind.apart, apart)
            return value
        except (*UNREADABLE, encryption.InvalidToken) as error:
            name = f"{kind.__struct_config__.tag} ({type(error).__name__})"
            logger.warning("An entry of the session store was unreadable: %s.", name)
            return None

    @functools.cached_property
    def _fernet(self) -> MultiFernet:
        return encryption.fernet(self._keys)


_making = threading.Lock()


@functools.cache
def _decoder(kind: type[Stored]) -> msgspec.json.Decoder[t.Any]:
    # msgspec crashes where two threads meet a new nested type at once.
    with _making:
        return msgspec.json.Decoder(kind)


def _decompressed(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text, validate=True), _LARGEST)
    if not unpacker.eof:
        raise ValueError("cut off, or too large")
    return data

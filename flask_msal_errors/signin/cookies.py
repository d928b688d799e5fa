"""Our own cookies: signed, timed, for this host only.

Owns the cookie attributes and the secrets. Knows nothing of what is kept in them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import time
import typing as t
import zlib

from flask import Flask
from itsdangerous import BadData
from itsdangerous import URLSafeTimedSerializer
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import ConfigurationError
from ..navigation import HOST_PREFIX
from ..navigation import is_https
from ..navigation import sent_cookies
from ..protocol import encryption

if t.TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

#: Its number is the version of all signed values. Raise it when the fields of one
#: change: workers of both versions then take the other's for foreign ones.
_SALT = "flask_msal_errors.1."
#: Hosts that share the secret may differ in their clocks by this much (seconds).
_SKEW = 120


class Expired(Exception):
    """A genuine value that is too old; :attr:`value` is what it said."""

    def __init__(self, value: t.Any) -> None:
        super().__init__("expired")
        self.value = value


def _secrets(app: Flask) -> list[bytes]:
    newest: t.Any = app.secret_key
    if newest and not isinstance(newest, str | bytes | bytearray):
        raise ConfigurationError(
            f"SECRET_KEY is of the type {type(newest).__name__}, but must be a string. "
            "In the environment digits alone are a number: put '\"' around them, or "
            "take one that has letters."
        )
    if not newest:
        raise ConfigurationError(
            "SECRET_KEY is missing: the cookies of a sign-in are signed with it. Set "
            "it to a long random value, the same for all workers, for example from "
            "`python -c 'import secrets; print(secrets.token_hex())'`."
        )
    keys = [*_older_secrets(app), newest]
    return [key.encode() if isinstance(key, str) else key for key in keys]


def _older_secrets(app: Flask) -> list[str | bytes]:
    older = app.config.get("SECRET_KEY_FALLBACKS") or ()
    if isinstance(older, list | tuple):
        keys = [key for key in older if key and isinstance(key, str | bytes)]
        if len(keys) == len(older):
            return keys
    raise ConfigurationError(
        "SECRET_KEY_FALLBACKS is not a list of keys. Each letter of a string would "
        "be a key, which anybody guesses. Set it to a list, for example by "
        """`FLASK_SECRET_KEY_FALLBACKS='["the older key"]'` in the environment."""
    )


class Signer:
    """Signed and timed values, each kind under its own salt.

    :param owner: name of the app registration: apps that share ``SECRET_KEY`` take none
        of each other's values.
    """

    def __init__(self, app: Flask, owner: str = "") -> None:
        keys = _secrets(app)
        self.owner = owner
        self._salt = f"{_SALT}{owner}."
        self._serializer = URLSafeTimedSerializer(keys)
        self.encryption_keys = [_fernet_key(key, owner) for key in reversed(keys)]
        """Fernet keys made of the secrets, newest first."""

    def dumps(self, kind: str, value: t.Any) -> str:
        """Return a URL-safe string that :meth:`loads` takes back."""
        return self._serializer.dumps(value, salt=self._salt + kind)

    def loads(self, kind: str, signed: str, lifetime: float) -> t.Any:
        """Return the value, or ``None`` if it is not of our making or of another kind.

        :raises Expired: it is older than ``lifetime`` seconds.
        """
        try:
            value, made = self._serializer.loads(
                signed, salt=self._salt + kind, return_timestamp=True
            )
        except (BadData, UnicodeError):
            return None
        if not -_SKEW <= time.time() - made.timestamp() <= lifetime + _SKEW:
            raise Expired(value)
        return value

    def seal(self, value: t.Any) -> str:
        """Return an encrypted string that fits a URL."""
        data = zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)
        return self._fernet.encrypt(data).decode().rstrip("=")

    def unseal(self, sealed: str, lifetime: int | None = None) -> t.Any:
        """Return the value of :meth:`seal`, or ``None`` if it is foreign or too old.

        :param lifetime: seconds; however old by default.
        """
        sealed += "=" * (-len(sealed) % 4)
        try:
            if lifetime is None:
                data = self._fernet.decrypt(sealed)
            else:
                # Fernet itself takes only a minute from the future.
                age, now = lifetime + 2 * _SKEW, int(time.time()) + _SKEW
                data = self._fernet.decrypt_at_time(sealed, age, now)
            return json.loads(zlib.decompress(data))
        except (encryption.InvalidToken, ValueError, zlib.error):
            return None

    @functools.cached_property
    def _fernet(self) -> MultiFernet:
        return encryption.fernet(self.encryption_keys)


def _fernet_key(secret: bytes, owner: str) -> str:
    salt = f"flask_msal_errors{owner}".encode()
    digest = hashlib.sha256(salt + secret).digest()
    return base64.urlsafe_b64encode(digest).decode()


class Cookies:
    """Cookies named ``msal_…``, on https with the ``__Host-`` prefix.

    The prefix keeps a sibling subdomain from planting one
    (https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis). Cookies know
    no port, and ours no path: the name holds the first digits of the registration's.
    """

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        own = f"msal_{signer.owner[:6]}_" if signer.owner else "msal_"
        self._prefixes = (own, HOST_PREFIX + own)
        """Of names on http, and on https."""

    def get(self, request: Request, name: str, lifetime: float) -> t.Any:
        """Return the value of a cookie, or ``None``.

        :raises Expired: it is genuine but older than ``lifetime`` seconds.
        """
        values = sent_cookies(request).get(self._prefixes[is_https(request)] + name, [])
        # Nobody can tell which of two is ours.
        one = values[0] if len(values) == 1 else None
        return self.signer.loads(name, one, lifetime) if one else None

    def set(
        self,
        request: Request,
        response: Response,
        name: str,
        value: t.Any,
        *,
        lifetime: float,
        cross_site: bool = False,
        is_signed: bool = False,
    ) -> Response:
        """Give the browser a value for ``lifetime`` seconds.

        :param cross_site: let another site's post carry it (``SameSite=None``), which
            browsers allow over https or on localhost only.
        :param is_signed: the value is of :meth:`Signer.dumps`, for this name.
        """
        response.set_cookie(
            self._prefixes[is_https(request)] + name,
            value if is_signed else self.signer.dumps(name, value),
            max_age=int(lifetime),
            path="/",
            httponly=True,
            secure=cross_site or is_https(request),
            samesite="None" if cross_site else "Lax",
        )
        return response

    def delete(
        self,
        request: Request,
        response: Response,
        name: str,
        *,
        cross_site: bool = False,
    ) -> Response:
        """Make the browser forget a cookie."""
        # Chromium lets only a Secure cookie replace a Secure one, on localhost too.
        response.delete_cookie(
            self._prefixes[is_https(request)] + name,
            path="/",
            httponly=True,
            secure=cross_site or is_https(request),
        )
        return response

    def sizes(self, request: Request, prefix: str) -> dict[str, int]:
        """Return the request's cookies that start with ``prefix``, by their names.

        :return: the bytes that each takes of the ``Cookie`` header.
        """
        start = self._prefixes[is_https(request)] + prefix
        skip = len(start) - len(prefix)
        return {
            name[skip:]: len("; ") + len(f"{name}={values[0]}")
            for name, values in sent_cookies(request).items()
            if name.startswith(start)
        }

"""The app's credential: loaded from its source, in the form that MSAL takes.

Owns the sources, which may have another credential later: a certificate or a secret is
renewed while the app runs.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import hashlib
import threading
import typing as t

from msal import SystemAssignedManagedIdentity

from ...errors import ConfigurationError
from ...parsers import as_credential
from .managed_identity import FromManagedIdentity

Credential = str | dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class LoadedCredential:
    """A credential as its source had it when it was loaded."""

    value: Credential | None = dataclasses.field(repr=False)
    digest: str = dataclasses.field(repr=False)
    """Of all that was read: it changes when the source has another credential."""


def load(setting: Credential | cabc.Callable[[], t.Any] | None) -> LoadedCredential:
    """Load the credential that a setting names: read its file, or call its function.

    :param setting: a secret, MSAL's dict, or a function that returns one of them;
        an API may have none.
    :raises ConfigurationError: the source fails, or has something else.
    """
    value = _called(setting) if callable(setting) else setting
    read = [repr(value).encode()]
    path = value.get("private_key_pfx_path") if isinstance(value, dict) else None
    if path:
        read.append(_content(path))
    return LoadedCredential(value, hashlib.sha256(b"".join(read)).hexdigest())


def prepared(
    credential: Credential | None,
    client_id: str,
    token_endpoint: cabc.Callable[[], str],
) -> Credential | None:
    """Return the credential in the form that costs MSAL least.

    :param credential: a secret, or MSAL's dict for a certificate, an assertion or a
        managed identity.
    :param token_endpoint: told only when the first assertion is made.
    :raises ConfigurationError: the certificate or key cannot be read.
    """
    if credential is None or isinstance(credential, str):
        return credential
    if SystemAssignedManagedIdentity.is_managed_identity(credential):
        return {"client_assertion": FromManagedIdentity(credential, token_endpoint)}
    assertion = credential.get("client_assertion")
    if assertion:
        return {"client_assertion": AppAssertion(assertion)}
    # It imports cryptography, which an app with a secret needs later, if ever.
    from .certificate import Signed

    return {"client_assertion": Signed(credential, client_id, token_endpoint)}


class AppAssertion:
    """An assertion of the app's own, whose exceptions are not taken for MSAL's.

    :param assertion: a string, or a function that returns one.
    """

    def __init__(self, assertion: t.Any) -> None:
        own = assertion if callable(assertion) else lambda: assertion
        # MSAL looks at its parameters: it may want a context.
        functools.update_wrapper(self, own, updated=())
        self._own = own
        self._given = threading.local()

    def __call__(self, *context: t.Any) -> t.Any:
        try:
            given = self._own(*context)
        except Exception as error:
            raise ConfigurationError(
                "MSAL_CLIENT_CREDENTIAL: client_assertion, a function of the app, "
                f"failed with {type(error).__name__}. See that it returns an assertion."
            ) from error
        self._given.last, self._given.context = given, context
        return given

    def has_another(self) -> bool:
        """Tell whether it returns another assertion than last in this thread."""
        last = self._given.last
        return bool(self(*self._given.context) != last)


def _called(source: cabc.Callable[[], t.Any]) -> Credential:
    try:
        value = as_credential(source())
        if callable(value):
            raise TypeError("one function too many")
        return value
    except Exception as error:
        raise ConfigurationError(
            "MSAL_CLIENT_CREDENTIAL, a function of the app, failed with "
            f"{type(error).__name__}. See that it returns a secret or MSAL's dict."
        ) from error


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigurationError(
            "MSAL_CLIENT_CREDENTIAL: the file of private_key_pfx_path cannot be read "
            f"({type(error).__name__}). Check its path and permissions."
        ) from None

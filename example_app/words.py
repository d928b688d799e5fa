"""Words for refusals, and the code that pages show."""

from __future__ import annotations

import inspect
import types

from flask_msal_errors.errors import MsalAuthError

#: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_CODES = {
    50055: "your password has expired",
    50076: "more proof of who you are is needed",
    50079: "more proof of who you are is needed",
    50173: "your sign-in was revoked",
    53003: "a policy of your organisation blocks it",
    65001: "you have not agreed to it yet",
    70043: "your sign-in is too old",
    90033: "it has a fault of its own at the moment",
    7000215: "the secret of this app is wrong",
    7000222: "the secret of this app has expired",
}


def why(error: MsalAuthError) -> str:
    """Why there is no token, in the middle of a sentence."""
    return known(error) or f"{error.title[0].lower()}{error.title[1:]}"


def known(error: MsalAuthError) -> str:
    """Return the meaning of a code of Entra; nothing if it is none of these."""
    return next((_CODES[code] for code in error.codes if code in _CODES), "")


def evidence(error: MsalAuthError) -> str:
    """The codes, in brackets."""
    codes = ", ".join(f"AADSTS{code}" for code in error.codes)
    return f" ({codes})" if codes else ""


def source(module: types.ModuleType, *names: str) -> str:
    """The source of functions of a module, as they run."""
    found = (inspect.unwrap(getattr(module, name)) for name in names)
    return "\n\n".join(inspect.getsource(function).strip() for function in found)

"""Values that do not show themselves in a traceback's locals, which Sentry reports.

Both hide from ``repr`` alone: they are sent, compared and kept like any others.
"""

from __future__ import annotations

import typing as t


class Secret(str):
    """A token or code. MSAL and msgspec get it as a plain string, by ``str()``."""

    # MSAL tells requests apart by the repr of what they send, and msgspec encodes no
    # subclass of str.
    __slots__ = ()

    def __repr__(self) -> str:
        """Show nothing."""
        return "'***'"


class Hidden(dict[str, t.Any]):
    """A dict with a secret in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show nothing."""
        return "{***}"

    #: Sentry shows the items of a dict, and not its repr, unless it has this.
    __sentry_repr__ = __repr__

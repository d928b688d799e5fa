"""Values that do not show themselves in a traceback's locals, which Sentry reports.

Both hide from ``repr`` alone: they are sent, compared and kept like any others. The
locals of others, who do not hide theirs, are cleared.
"""

from __future__ import annotations

import traceback
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


def forget_locals(error: BaseException) -> None:
    """Clear the frames that an exception left, whose locals tracebacks may show.

    MSAL's hold codes, tokens and the app's secret, and so have those of its transport;
    those of a store's client hold entries.
    """
    waiting: list[BaseException | None] = [error]
    seen = set[int]()
    while waiting:
        cause = waiting.pop()
        if cause is not None and id(cause) not in seen:
            seen.add(id(cause))
            traceback.clear_frames(cause.__traceback__)
            waiting += [cause.__cause__, cause.__context__]

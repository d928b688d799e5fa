"""What happens to a sign-in, as signals (https://blinker.readthedocs.io).

Each is sent with the Flask app as its sender. No argument holds a token.
"""

from __future__ import annotations

import typing as t

from blinker import NamedSignal
from blinker import Namespace
from flask import current_app

_signals = Namespace()

#: ``user``: somebody signed in, in a session where nobody was.
signed_in = _signals.signal("signed_in")
#: ``user``, ``reason``: the signed-in user signed in again for what was missing.
reauthenticated = _signals.signal("reauthenticated")
#: ``user``: who signed out, or ``None``.
signed_out = _signals.signal("signed_out")
#: ``session``: its id was changed, by a sign-in, a sign-out or the app.
session_id_changed = _signals.signal("session_id_changed")
#: ``error``: an :exc:`InteractionRequired`, of an API or the token endpoint;
#: ``silent``: whether a new token met it, or the user has to.
challenge_received = _signals.signal("challenge_received")
#: ``url``: an interrupted form is posted again, to this path, in place of the view's
#: first attempt.
request_resumed = _signals.signal("request_resumed")
#: ``error``: the :exc:`Throttled` that a page of ours answers, with its ``retry_after``
#: in seconds. An app with an error handler of its own knows by that.
throttled = _signals.signal("throttled")
#: ``error``: why a sign-in was not completed.
sign_in_failed = _signals.signal("sign_in_failed")


def emit(signal: NamedSignal, **data: t.Any) -> None:
    """Send a signal of the current app."""
    signal.send(current_app._get_current_object(), **data)  # type: ignore[attr-defined]

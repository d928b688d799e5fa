"""The log of the payroll API, in plain words, by the id that a client gives its calls.

The web app shows the lines of its own calls. Lines are few, and hold no token.
"""

from __future__ import annotations

import re
import threading
import typing as t

from flask import Flask
from flask import Response
from flask import request

from flask_msal_errors import signals
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import MsalAuthError

from .. import words

#: A header of Microsoft's APIs, by which a call is found again in their logs.
HEADER = "client-request-id"
MOST_CLIENTS = 100
MOST_LINES = 6
_ID = re.compile(r"[0-9a-f]{32}")


class Log:
    """The last lines of each of the last clients. Safe for threads."""

    def __init__(self) -> None:
        self._lines: dict[str, list[dict[str, str]]] = {}
        self._lock = threading.Lock()

    def watch(self, app: Flask) -> None:
        """Note what happens to the callers of ``app``."""
        signals.challenge_received.connect(self._refused, app)
        signals.refused.connect(self._refused, app)
        signals.throttled.connect(self._refused, app)
        app.after_request(self._answered)

    def of(self, client: str) -> list[dict[str, str]]:
        """Return the lines of a client's calls, oldest first."""
        with self._lock:
            return list(self._lines.get(client, []))

    def _add(self, mark: str, text: str) -> None:
        client = request.headers.get(HEADER, "")
        if not _ID.fullmatch(client):
            return
        with self._lock:
            lines = self._lines.pop(client, [])
            if not lines or lines[-1]["text"] != text:
                lines.append({"mark": mark, "text": text})
            self._lines[client] = lines[-MOST_LINES:]
            while len(self._lines) > MOST_CLIENTS:
                self._lines.pop(next(iter(self._lines)))

    def _refused(self, app: Flask, *, error: MsalAuthError, **more: t.Any) -> None:
        if more.get("silent"):
            text = "Graph refused the token. Entra gave a new one without you."
            self._add("silent", text)
            return
        if isinstance(error, InteractionRequired) and error.reason == "step_up":
            self._add("no", "Your token does not prove the context c1.")
        else:
            why = words.why(error)
            self._add("no", f"No token for Graph: {why}{words.evidence(error)}.")

    def _answered(self, response: Response) -> Response:
        header = response.headers.get("WWW-Authenticate", "")
        error = re.search(r'error="(\w+)"', header)
        if response.status_code == 200:
            self._add("done", "Called Graph on your behalf, and answered.")
        else:
            told = f", {error[1]}" if error else ""
            self._add("no", f"Answered the web app: {response.status_code}{told}.")
        return response

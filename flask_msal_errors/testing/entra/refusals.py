"""Entra's refusals: the JSON or redirect they come in, and their HTTP headers.

Source: bodies and headers captured in public issues; the module knows nothing of who
is refused or why.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
import typing as t
import uuid

from flask import Response
from flask import request
from werkzeug.datastructures import MultiDict

from .codes import INTERACTION
from .codes import KINDS


class Refusal(Exception):
    """Entra says no.

    :param code: a key of ``KINDS``.
    :param claims: what would satisfy it, as an object.
    :param detail: takes the place of the code's description.
    :param error: takes the place of the code's ``error``, with status 400.
    """

    def __init__(
        self,
        code: int,
        *,
        claims: t.Any = None,
        detail: str | None = None,
        error: str = "",
    ) -> None:
        super().__init__(f"AADSTS{code}")
        self.code = code
        self.kind = KINDS[code]
        if error:
            self.kind = dataclasses.replace(self.kind, error=error, status=400)
        self.claims = claims
        self.text = detail or self.kind.text

    def redirect_fields(self, base: str) -> dict[str, str]:
        """Return the fields of an error response at the redirect URI."""
        trace, correlation, stamp = identifiers()
        fields = {
            "error": self.kind.redirect or self.kind.error,
            "error_description": f"AADSTS{self.code}: {self.text}\r\n"
            f"Trace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}",
        }
        if self.kind.page:
            fields["error_uri"] = f"{base}/error?code={self.code}"
        if self.kind.suberror and self.kind.redirect != INTERACTION:
            fields["suberror"] = self.kind.suberror
        return fields

    def body(self, base: str) -> dict[str, t.Any]:
        """Return the token endpoint's error envelope; ``claims`` is a JSON string."""
        trace, correlation, stamp = identifiers()
        body: dict[str, t.Any] = {
            "error": self.kind.error,
            "error_description": f"AADSTS{self.code}: {self.text} Trace ID: {trace}"
            f" Correlation ID: {correlation} Timestamp: {stamp}",
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
        }
        if self.kind.page:
            body["error_uri"] = f"{base}/error?code={self.code}"
        if self.kind.suberror:
            body["suberror"] = self.kind.suberror
        if self.claims is not None:
            body["claims"] = json.dumps(self.claims, separators=(",", ":"))
        if self.code == 50055:
            body["password_change_url"] = (
                "https://portal.microsoftonline.com/ChangePassword.aspx"
            )
        return body


def check_once(sent: MultiDict[str, str]) -> None:
    """See that no parameter came twice.

    :raises Refusal: AADSTS9000411 (Azure/azure-sdk-for-java#31733).
    """
    for name, values in sent.lists():
        if len(values) > 1:
            text = "The request is not properly formatted. The parameter"
            raise Refusal(9000411, detail=f"{text} '{name}' is duplicated.")


def identifiers() -> tuple[str, str, str]:
    """Return a trace id, the request's correlation id and the time, Entra's way."""
    sent = request.headers.get("client-request-id", "")
    try:
        correlation = str(uuid.UUID(sent))
    except ValueError:
        correlation = str(uuid.uuid4())
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    return str(uuid.uuid4()), correlation, stamp


def entra_headers(response: Response) -> Response:
    """Give a token endpoint's answer the headers and cookies that Entra sends."""
    body = response.get_json(silent=True) if response.is_json else None
    body = body if isinstance(body, dict) else {}
    codes = body.get("error_codes")
    code = codes[0] if isinstance(codes, list) and codes else 0
    response.headers.update(
        {
            "Cache-Control": "no-store, no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "P3P": 'CP="DSP CUR OTPi IND OTRi ONL FIN"',
            "x-ms-request-id": body.get("trace_id") or str(uuid.uuid4()),
            "x-ms-ests-server": "2.1.12171.14 - NCUS ProdSlices",
            "x-ms-clitelem": f"1,{code},0,,",
        }
    )
    if response.is_json:
        response.headers["Content-Type"] = "application/json; charset=utf-8"
    secure = "path=/; secure; HttpOnly; SameSite=None"
    for cookie in (
        f"fpc={secrets.token_urlsafe(16)}; {secure}",
        "x-ms-gateway-slice=estsfd; path=/; secure; httponly",
        "stsservicecookie=estsfd; path=/; secure; httponly",
    ):
        response.headers.add("Set-Cookie", cookie)
    return response

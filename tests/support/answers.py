"""Error answers of Entra, as MSAL hands them on."""

from __future__ import annotations

import typing as t

CORRELATION = "9c7f2f5e-8a3d-4b6e-9d0a-1f2e3d4c5b6a"
POLIDS = '{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}'
CAPOLIDS = '{"access_token":{"capolids":{"essential":true,"values":["01234567"]}}}'
JSON: t.TypeAlias = dict[str, t.Any]


def answer(error: str, code: int | None = None, **more: t.Any) -> JSON:
    """An error of the token endpoint, as MSAL hands it on."""
    text = f"AADSTS{code}: Some text of the day. Correlation ID: {CORRELATION}"
    return {
        "error": error,
        "error_description": text,
        "error_codes": [code] if code else [],
        "timestamp": "2026-01-02 03:04:05Z",
        "trace_id": "0d9f5c0e-trace",
        "correlation_id": CORRELATION,
        **more,
    }


def redirect(error: str, code: int | None = None) -> JSON:
    """An error at the redirect URI: MSAL keeps three fields of it."""
    uri = f"https://login.microsoftonline.com/error?code={code}"
    found = {"error": error, "error_description": f"AADSTS{code}: Some text."}
    return found | ({"error_uri": uri} if code else {})


def grant(code: int, suberror: str = "", **more: t.Any) -> JSON:
    return answer("invalid_grant", code, **({"suberror": suberror} | more))

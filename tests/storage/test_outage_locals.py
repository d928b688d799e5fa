"""Tests of what a failing backend leaves in a traceback."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.protocol.secret import Hidden
from flask_msal_errors.storage.store import Store
from support import session_apps

SECRET = "eyJhbGciOi-a-token"


def test_no_entry(tmp_path: Path) -> None:
    """Frames of a client whose server is gone show nothing of an entry."""
    client = Redis(port=1)
    store = Store(session_apps.session_app(tmp_path, "redis", client), "app")
    with pytest.raises(ServiceUnavailable) as caught:
        store.write("a", Hidden(plain=SECRET), timedelta(hours=1))
    seen: list[BaseException] = [caught.value]
    while cause := seen[-1].__cause__ or seen[-1].__context__:
        seen.append(cause)
    frames = [
        frame for each in seen for frame, _ in traceback.walk_tb(each.__traceback__)
    ]
    ours = [frame for frame in frames if frame.f_code.co_name != "test_no_entry"]
    shown = [repr(value) for frame in ours for value in frame.f_locals.values()]
    assert len(seen) > 1 and not [text for text in shown if SECRET in text]

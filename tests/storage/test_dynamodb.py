"""DynamoDB, where Flask-Session alone reads too much and too early."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.store import Store
from support import servers
from support import session_apps

pytestmark = pytest.mark.once

HOUR = timedelta(hours=1)


def test_expired(dynamodb_resource: t.Any, tmp_path: Path) -> None:
    """An item that DynamoDB has not deleted yet is none, for all that asks for it."""
    app = session_apps.session_app(tmp_path, "dynamodb", dynamodb_resource)
    store, interface = Store(app), t.cast(t.Any, app.session_interface)
    browser = app.test_client()
    browser.get("/set/1")
    key = f"session:{session_apps.session_id(browser)}"
    store.write("a", {"old": 1}, HOUR)
    for place in (key, "msal-entry:a"):
        interface.store.update_item(
            Key={"id": place},
            UpdateExpression="SET expiration = :past",
            ExpressionAttributeValues={":past": int(time.time()) - 60},
        )
    assert browser.get("/get").text == "None"
    assert store.read("a") is None and store.take("a") is None
    assert not store.replace("a", {"late": 1}, HOUR)
    assert store.add("a", {"new": 1}, HOUR)


@pytest.mark.parametrize("end", ["never", "99999999999", b"x", [1], {"a": 1}, True])
def test_foreign(dynamodb_resource: t.Any, tmp_path: Path, end: t.Any) -> None:
    """An item without a date is somebody else's, and none of ours."""
    app = session_apps.session_app(tmp_path, "dynamodb", dynamodb_resource)
    store, interface = Store(app), t.cast(t.Any, app.session_interface)
    data = interface.serializer.encode({"value": "1"})
    for place in ("session:planted", "msal-entry:a"):
        item = {"id": place, "val": data, "expiration": end}
        interface.store.put_item(Item=item)
    browser = app.test_client()
    browser.set_cookie("session", "planted")
    assert browser.get("/get").text == "None"
    assert store.read("a") is None


def test_consistent(dynamodb_resource: t.Any, tmp_path: Path) -> None:
    """Reads are such as show the latest write, which DynamoDB's own are not."""
    app = session_apps.session_app(tmp_path, "dynamodb", dynamodb_resource)
    asked: list[t.Any] = []
    dynamodb_resource.meta.client.meta.events.register(
        "before-parameter-build.dynamodb.GetItem",
        lambda params, **_: asked.append(params),
    )
    browser = app.test_client()
    browser.get("/set/1")
    assert browser.get("/get").text == "1"
    assert asked and all(params["ConsistentRead"] for params in asked)


def test_outage(tmp_path: Path) -> None:
    """A DynamoDB that is gone is a 503, and never an entry that is not there."""
    pytest.importorskip("moto")
    with contextlib.ExitStack() as stack:
        server = contextlib.ExitStack()
        url = server.enter_context(servers.dynamodb())
        client = stack.enter_context(servers.dynamodb_client(url))
        app = session_apps.session_app(tmp_path, "dynamodb", client)
        store = Store(app)
        store.write("a", {"kept": 1}, HOUR)
        server.close()
        for call in (store.read, store.take, store.delete):
            with pytest.raises(ServiceUnavailable) as caught:
                call("a")
            assert caught.value.error == "session_store_unavailable"

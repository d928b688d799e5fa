"""Outages of the identity provider, as README and docs/errors.rst describe them."""

from __future__ import annotations

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp
from support.live_app import Start


def stale(live: LiveApp, entra: Emulator) -> Person:
    """Sign a person in, whose tokens have to be refreshed each time."""
    entra.token_lifetime = 60
    person = entra.person()
    assert person.visit(live.url + "/mail").status_code == 200
    return person


class TestOutage:
    def test_server_error(self, live: LiveApp, entra: Emulator) -> None:
        """After a 5xx the token endpoint is left alone as long as is told."""
        person = stale(live, entra)
        entra.unavailable(30)
        page = person.get(live.url + "/mail")
        assert page.status_code == 503
        assert "does not answer" in page.text
        assert 1 <= int(page.headers["Retry-After"]) <= 5
        asked = entra.counters["token"]
        entra.clear_faults()
        assert person.get(live.url + "/mail").status_code == 503
        assert entra.counters["token"] == asked

    def test_timeout(self, start: Start, entra: Emulator) -> None:
        """After a time-out nobody has to wait: the next request tries again."""
        live = start(MSAL_HTTP_TIMEOUT=3)
        person = stale(live, entra)
        entra.slow(5, "token")
        page = person.get(live.url + "/mail")
        assert page.status_code == 503
        assert "Retry-After" not in page.headers
        entra.clear_faults()
        assert person.get(live.url + "/mail").status_code == 200

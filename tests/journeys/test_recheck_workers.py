"""Sessions that two workers share follow their account, on Redis."""

from __future__ import annotations

import collections.abc as cabc
import time
import typing as t
import uuid

import msgspec
import pytest
import redis
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support.cluster import LINUX
from support.cluster import Cluster
from support.waiting import PATIENCE

pytestmark = [pytest.mark.once, LINUX]
HOUR = 3600


class Site:
    """Two workers of an app, and a store whose sessions can be made older."""

    def __init__(self, entra: Emulator, url: str, store: redis.Redis) -> None:
        self.entra, self.url, self.store = entra, url, store

    def person(self, name: str = "ada") -> Person:
        """Somebody in a browser of their own, who signed in."""
        person = self.entra.person(name)
        assert person.visit(self.url + "/roles").status_code == 200
        return person

    def get(self, person: Person, path: str = "/roles") -> requests.Response:
        """Return the answer of any worker; no redirect is followed."""
        cookie = person.cookies.header(self.url, "GET", None, False)
        return requests.get(
            self.url + path,
            headers={"Cookie": cookie, "Accept": "text/html"},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def age(self) -> None:
        """Let an hour have passed since the provider vouched for anybody."""
        for key in self.store.scan_iter("session:*"):
            entry: t.Any = self.store.get(key)
            kept = msgspec.msgpack.decode(entry)
            (ours,) = (value for name, value in kept.items() if "_msal_" in name)
            ours["vouched_at"] = time.time() - HOUR - 1
            data = msgspec.msgpack.encode(kept)
            assert self.store.set(key, data, xx=True, keepttl=True)

    @property
    def refreshes(self) -> int:
        return self.entra.counters["token.refresh_token"]


@pytest.fixture
def site(
    entra: Emulator, redis_server: str, redis_client: redis.Redis
) -> cabc.Iterator[Site]:
    entra.give_role("ada", "Approver")
    with Cluster(entra, redis_server) as cluster:
        host = cluster.host(workers=2, threads=4)
        yield Site(entra, host.url, redis_client)


def test_role_removed(site: Site) -> None:
    """Eight requests at once of both workers take one refresh, and all follow it."""
    ada = site.person()
    assert site.get(ada).text == "Approver"
    site.entra.take_role("ada", "Approver")
    site.entra.one_time_refresh_tokens = True
    site.entra.slow(0.3)
    assert site.get(ada).text == "Approver"
    site.age()
    answers: list[requests.Response] = []
    parallel.in_threads(8, lambda _: answers.append(site.get(ada)))
    assert [(one.status_code, one.text) for one in answers] == [(200, "")] * 8
    assert site.refreshes == 1
    assert site.get(ada).text == ""
    assert site.refreshes == 1


def test_revoked(site: Site) -> None:
    """A revocation that one session meets is known to all, in whatever worker."""
    ada, phone, grace = site.person(), site.person(), site.person("grace")
    site.entra.revoke("ada")
    assert site.get(phone).text == "Approver"
    assert site.get(ada, "/renewed").status_code == 302
    seen = set()
    for _ in range(20):
        answer = site.get(phone)
        assert answer.status_code == 302
        seen.add(answer.headers["X-Worker"])
    # MSAL keeps the refusal for a minute, in the record.
    assert site.refreshes == 2
    assert site.get(grace).status_code == 200
    assert site.refreshes == 2
    assert phone.visit(site.url + "/roles").text == "Approver"
    assert site.get(phone).status_code == 200
    assert site.get(ada).status_code == 302


def test_groups(site: Site) -> None:
    """Groups that do not fit in an ID token are asked for once, for both workers."""
    entra = site.entra
    entra.users["ada"].groups = {str(uuid.UUID(int=number)) for number in range(300)}
    entra.give_consent("ada", "https://graph.microsoft.com/User.Read")
    ada = site.person()
    answers: list[requests.Response] = []
    parallel.in_threads(8, lambda _: answers.append(site.get(ada, "/groups")))
    assert [(one.status_code, one.text) for one in answers] == [(200, "300")] * 8
    seen = set[str]()
    while len(seen) < 2:
        answer = site.get(ada, "/groups")
        assert answer.text == "300"
        seen.add(answer.headers["X-Worker"])
    assert len([call for call in entra.calls if "transitiveMemberOf" in call.path]) == 1


def test_back_channel(
    entra: Emulator, redis_server: str, redis_client: redis.Redis
) -> None:
    """A provider's logout token ends a session in both workers, and is used once."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    entra.openid_backchannel_logout_uri = "http://localhost:1/"
    config = {**entra.config("openid"), **absent}
    with Cluster(entra, redis_server, **config) as cluster:
        site = Site(entra, cluster.host(workers=2, threads=4).url, redis_client)
        ada, grace = site.person(), site.person("grace")
        form = {"logout_token": entra.logout_token("ada")}
        place = site.url + "/auth/back-channel-logout"
        told, seen = list[int](), set[str]()
        while len(seen) < 2:
            answer = requests.post(place, data=form, timeout=PATIENCE)
            told.append(answer.status_code)
            seen.add(answer.headers["X-Worker"])
        assert (told[0], {*told[1:]}) == (200, {400})
        seen.clear()
        while len(seen) < 2:
            answer = site.get(ada)
            assert answer.status_code == 302
            seen.add(answer.headers["X-Worker"])
        assert site.get(grace).status_code == 200
        assert ada.visit(site.url + "/roles").status_code == 200

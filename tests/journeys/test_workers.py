"""Workers of gunicorn that share one user's session, on Redis and on files.

Real processes, among them some that die at the worst moment.
"""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import contextlib
import threading
import time
import typing as t

import pytest
import redis
import requests
from flask import Response

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support import waiting
from support.cluster import LINUX
from support.cluster import Cluster
from support.cluster import Gunicorn
from support.waiting import PATIENCE

#: Seconds; MSAL_HTTP_TIMEOUT where a lock's lifetime is waited for.
SHORT = 4


class Site:
    """A user who is signed in, and may ask any host for anything at the same time."""

    def __init__(self, entra: Emulator, host: Gunicorn) -> None:
        self.entra = entra
        self.person: Person = entra.person()
        self.url = host.url
        assert self.person.visit(host.url + "/profile").status_code == 200

    def get(self, path: str, url: str = "") -> requests.Response:
        """Return the answer that the user's browser gets; no redirect is followed."""
        cookie = self.person.cookies.header(self.url, "GET", None, False)
        return requests.get(
            (url or self.url) + path,
            headers={"Cookie": cookie, "Accept": "text/html"},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def text(self, path: str, url: str = "") -> str:
        answer = self.get(path, url)
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        return answer.text

    def expire(self) -> None:
        """Leave the user with a token that is too old, and a new refresh token."""
        self.entra.token_lifetime = 100
        self.text("/renewed")
        self.entra.token_lifetime = 3600

    @property
    def token_calls(self) -> int:
        return self.entra.counters["token"]


pytestmark = [pytest.mark.once, LINUX]
Clusters = cabc.Callable[..., Cluster]


@pytest.fixture
def clusters(
    entra: Emulator, request: pytest.FixtureRequest
) -> cabc.Iterator[Clusters]:
    """A function that makes clusters: ``clusters("redis", KEY=value)``."""
    with contextlib.ExitStack() as stack:

        def make(store: str, **config: t.Any) -> Cluster:
            url = ""
            if store == "redis":
                request.getfixturevalue("redis_client")
                url = request.getfixturevalue("redis_server")
            return stack.enter_context(Cluster(entra, url, **config))

        yield make


class TestSingleFlight:
    @pytest.mark.parametrize(
        ("store", "workers", "options"),
        [
            pytest.param("redis", 1, [], id="threads"),
            pytest.param("redis", 4, [], id="redis"),
            pytest.param("redis", 4, ["--preload"], id="forked"),
            pytest.param("files", 2, [], id="files"),
        ],
    )
    def test_expired_token(
        self,
        entra: Emulator,
        clusters: Clusters,
        store: str,
        workers: int,
        options: list[str],
    ) -> None:
        """Eight requests at once, one-time refresh tokens: one call, no failure."""
        host = clusters(store).host(*options, workers=workers, threads=8 // workers)
        site = Site(entra, host)
        entra.one_time_refresh_tokens = True
        entra.slow(0.1)
        seen: set[str] = set()
        for _ in range(6):
            site.expire()
            calls, answers = site.token_calls, self.eight(site)
            assert [answer.status_code for answer in answers] == [200] * 8
            assert len({answer.text for answer in answers}) == 1
            assert site.token_calls == calls + 1
            seen |= {answer.headers["X-Worker"] for answer in answers}
        assert seen <= {str(pid) for pid in host.workers()}
        assert len(seen) >= min(workers, 2)

    def eight(self, site: Site) -> list[requests.Response]:
        answers: list[requests.Response] = []
        parallel.in_threads(8, lambda _: answers.append(site.get("/token")))
        return answers


class TestDeadHolder:
    """A worker dies while it waits for the token endpoint, and holds the lock."""

    def test_on_redis(
        self, entra: Emulator, clusters: Clusters, redis_client: redis.Redis
    ) -> None:
        """Its lock ends by itself, after what its token call might have taken."""
        cluster = clusters("redis", MSAL_HTTP_TIMEOUT=SHORT)
        site, other = self.bereaved(entra, cluster)
        (lock,) = redis_client.keys("msal-lock:*")
        assert 0 < redis_client.pttl(lock) <= (SHORT + 5) * 1000
        assert site.text("/token", other.url)
        assert redis_client.pttl(lock) < 0

    def test_on_files(self, entra: Emulator, clusters: Clusters) -> None:
        """Its lock is gone with it: nobody waits for the length of a token call."""
        cluster = clusters("files", MSAL_HTTP_TIMEOUT=2 * PATIENCE)
        site, other = self.bereaved(entra, cluster)
        assert site.text("/token", other.url)

    def test_spent_refresh_token(self, entra: Emulator, clusters: Clusters) -> None:
        """If its one-time refresh token is spent, the user signs in, no more."""
        site, other = self.bereaved(entra, clusters("files"), spent=True)
        page = site.person.visit(other.url + "/token")
        assert (page.status_code, page.url) == (200, other.url + "/token")
        assert site.text("/renewed", other.url) != page.text

    def bereaved(
        self, entra: Emulator, cluster: Cluster, spent: bool = False
    ) -> tuple[Site, Gunicorn]:
        """A user whose refresh died half-way, and the host that is left."""
        doomed, other = cluster.host(workers=1), cluster.host(workers=1)
        site = Site(entra, doomed)
        assert site.text("/token", other.url)
        entra.one_time_refresh_tokens = True
        site.expire()
        asked, dead = threading.Event(), threading.Event()

        def wait(_: t.Any) -> Response | None:
            asked.set()
            assert dead.wait(PATIENCE)
            return None if spent else Response("nobody listens", 503)

        entra.fail_next(wait)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            lost = pool.submit(site.get, "/token")
            assert asked.wait(PATIENCE)
            doomed.kill()
            dead.set()
            with pytest.raises(requests.ConnectionError):
                lost.result(PATIENCE)
        waiting.until(lambda: entra.counters["token"] == 3)
        return site, other


class TestSlowView:
    """A view that only reads the session ends after its tokens were renewed."""

    def test_nothing_is_lost(
        self, entra: Emulator, clusters: Clusters, redis_client: redis.Redis
    ) -> None:
        """200 rounds: each new token stays, and so does each throttle entry."""
        host = clusters("redis").host(workers=4, threads=0)
        entra.one_time_refresh_tokens = True
        site = Site(entra, host)
        for number in range(180):
            token = self.round(site, redis_client, f"token-{number}", 200)
            assert site.text("/token") == token
        sites = [Site(entra, host) for _ in range(20)]
        entra.throttle(600)
        for number, site in enumerate(sites):
            calls = site.token_calls
            self.round(site, redis_client, f"pause-{number}", 429)
            assert site.get("/renewed").status_code == 429
            assert site.token_calls == calls + 1

    def round(self, site: Site, store: redis.Redis, name: str, status: int) -> str:
        """Renew the token in one worker while another is inside the slow view."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            slow = pool.submit(site.get, f"/slow/{name}")
            assert store.blpop([f"test-read-{name}"], timeout=PATIENCE)
            renewed = site.get("/renewed")
            store.rpush(f"test-go-{name}", 1)
            read = slow.result(PATIENCE)
        # It was written back: Flask-Session renews the cookie just then.
        assert read.status_code == 200 and "Set-Cookie" in read.headers
        assert renewed.status_code == status
        assert renewed.headers["X-Worker"] != read.headers["X-Worker"]
        return renewed.text


class TestRestart:
    """All workers die, and others take their place."""

    @pytest.mark.parametrize("store", ["redis", "files"])
    def test_in_mid_flow(self, entra: Emulator, clusters: Clusters, store: str) -> None:
        """A sign-in that was at Entra's page completes; a throttle stays in force."""
        host = clusters(store).host()
        person = entra.person()
        page = person.visit(host.url + "/profile?from=before", stop_at="pick")
        before = host.workers()
        host.restart()
        assert not before & host.workers()
        page = person.submit(page, person.name)
        assert (page.status_code, page.url) == (200, host.url + "/profile?from=before")

        site = Site(entra, host)
        entra.throttle(600)
        assert site.get("/renewed").status_code == 429
        calls = site.token_calls
        host.restart()
        answer = site.get("/renewed")
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 600
        assert site.token_calls == calls
        assert site.text("/profile")


class TestEverywhere:
    """A user signs out of all browsers while one of them is in a slow view."""

    def test_slow_view(
        self, entra: Emulator, clusters: Clusters, redis_client: redis.Redis
    ) -> None:
        """Its session ends in every worker; that view cannot bring it back."""
        host = clusters("redis").host(workers=2, threads=2)
        here, there = Site(entra, host), Site(entra, host)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            slow = pool.submit(there.get, "/slow/ended")
            assert redis_client.blpop(["test-read-ended"], timeout=PATIENCE)
            ended = here.person.visit(host.url + "/everywhere", {"any": "field"})
            assert "You are signed out" in ended.text
            # A page of less than a tenth of a second does not look again.
            time.sleep(0.1)
            redis_client.rpush("test-go-ended", 1)
            assert "Set-Cookie" not in slow.result(PATIENCE).headers
        seen = set[str]()
        while seen != {str(pid) for pid in host.workers()}:
            answer = there.get("/token")
            assert answer.status_code == 302, answer.text
            seen.add(answer.headers["X-Worker"])

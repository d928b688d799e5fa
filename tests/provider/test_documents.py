"""The provider's documents: kept for a day, fresh where that matters."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t

import pytest
import requests
from flask import redirect

from flask_msal_errors.provider.documents import Documents
from flask_msal_errors.provider.documents import UnreadableDocument
from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.testing import Emulator
from support.sockets import Unreachable
from support.sockets import answering
from support.sockets import peer as peer
from support.sockets import saying
from support.sockets import transport


def documents(**config: t.Any) -> Documents:
    return Documents(transport(**config))


class TestDocuments:
    """Discovery documents and keys."""

    def test_kept(self, entra: Emulator) -> None:
        """MSAL's documents are fetched once a day and process."""
        sender = documents(MSAL_VERIFY=entra.ca_file)
        url = f"{entra.authority}/v2.0/.well-known/openid-configuration"
        first = sender.get(url)
        assert sender.get(url) is first and entra.counters["discovery"] == 1
        assert sender.metadata(json.loads(first.text)["token_endpoint"])["issuer"]
        assert sender.metadata("https://elsewhere/token") == {}
        sender.close()

    def test_expired(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a day they are fetched again."""
        sender, now = documents(MSAL_VERIFY=entra.ca_file), time.monotonic()
        url = f"{entra.authority}/v2.0/.well-known/openid-configuration"
        sender.get(url)
        sender._kept = {
            key: (now - 1, reply) for key, (_, reply) in sender._kept.items()
        }
        sender.get(url)
        assert entra.counters["discovery"] == 2
        sender.close()

    @pytest.mark.parametrize("fault", ["unavailable", "broken"])
    def test_outlive_an_outage(self, entra: Emulator, fault: str) -> None:
        """One that cannot be had again is kept until it can."""
        sender, now = documents(MSAL_VERIFY=entra.ca_file), time.monotonic()
        url = f"{entra.authority}/v2.0/.well-known/openid-configuration"
        first = sender.get(url)
        sender._kept = {
            key: (now - 1, reply) for key, (_, reply) in sender._kept.items()
        }
        getattr(entra, fault)(target="discovery")
        assert sender.get(url) is first
        entra.clear_faults()
        assert sender.get(url) is not first
        sender.close()

    def test_path_for_msal(self) -> None:
        """The path that an issuer was given for MSAL's sake is not sent."""
        asked: list[str] = []

        class Noting(Unreachable):
            def get(self, url: str, **kwargs: t.Any) -> t.NoReturn:
                asked.append(url)
                super().get(url)

        with pytest.raises(requests.ConnectionError):
            documents(MSAL_HTTP_CLIENT=Noting()).get("https://a.example/./b/c")
        assert asked == ["https://a.example/b/c"]

    def test_aliases(self) -> None:
        """MSAL's search for other names of a host finds none, and asks nobody."""
        sender = documents(MSAL_HTTP_CLIENT=Unreachable())
        host = "https://login.microsoftonline.com"
        url = f"{host}/common/discovery/instance"
        reply = sender.get(url, params={"api-version": "1.1"})
        assert json.loads(reply.text) == {"metadata": []}
        for params in ({"api-version": "1.0"}, None):
            with pytest.raises(requests.ConnectionError):
                sender.get(url, params=params)

    def test_fresh(self, entra: Emulator) -> None:
        """Keys are fetched whenever they are asked for: their reader keeps them."""
        sender = documents(MSAL_VERIFY=entra.ca_file)
        for _ in range(2):
            assert sender.fetch(f"{entra.authority}/discovery/v2.0/keys")["keys"]
        assert entra.counters["jwks"] == 2
        sender.close()

    @pytest.mark.parametrize(
        ("status", "body"),
        [(200, "<html>"), (200, "[]"), (429, "{}"), (500, "{}"), (503, "")],
    )
    def test_unusable(self, peer: t.Any, status: int, body: str) -> None:
        """A failure is an error with the seconds to wait, and is not kept."""
        server = peer(saying(answering(status, body, Retry_After="7")))
        sender = documents()
        for ask in (sender.get, sender.fetch, sender.get):
            with pytest.raises(UnreadableDocument) as caught:
                ask(server.url)
            assert caught.value.retry_after == 7
        assert server.connections == 3

    def test_missing(self, peer: t.Any) -> None:
        """A 404 is MSAL's to judge; for a document of ours it is a failure."""
        server = peer(saying(answering(404, "{}")))
        assert documents().get(server.url).status_code == 404
        with pytest.raises(UnreadableDocument):
            documents().fetch(server.url)

    @pytest.mark.parametrize("ask", ["get", "fetch"])
    @pytest.mark.parametrize("own_client", [False, True])
    def test_redirect(
        self, entra: Emulator, peer: t.Any, ask: str, own_client: bool
    ) -> None:
        """An answer over plain http is no document, whoever redirected to it."""
        evil = peer(saying(answering(200, '{"keys": []}')))
        entra.fail_next(lambda _: redirect(evil.url), "jwks", times=9)
        url = f"{entra.authority}/discovery/v2.0/keys"
        with requests.Session() as session:
            session.verify = entra.ca_file
            own = {"MSAL_HTTP_CLIENT": session} if own_client else {}
            sender = documents(MSAL_VERIFY=entra.ca_file, **own)
            with pytest.raises(requests.RequestException, match="left https"):
                getattr(sender, ask)(url)
            entra.clear_faults()
            assert sender.fetch(url)["keys"]
            sender.close()

    @pytest.mark.parametrize("own_client", [False, True])
    def test_redirect_by_http(
        self, entra: Emulator, peer: t.Any, own_client: bool
    ) -> None:
        """Nor is one on https that an answer over plain http led to."""
        url = f"{entra.authority}/discovery/v2.0/keys"
        hop = peer(saying(answering(302, "", Location=url)))
        entra.fail_next(lambda _: redirect(hop.url), "jwks")
        with requests.Session() as session:
            session.verify = entra.ca_file
            own = {"MSAL_HTTP_CLIENT": session} if own_client else {}
            sender = documents(MSAL_VERIFY=entra.ca_file, **own)
            with pytest.raises(requests.RequestException, match="left https"):
                sender.fetch(url)
            sender.close()

    def test_redirect_on_https(self, entra: Emulator) -> None:
        """Elsewhere on https is fine."""
        url = f"{entra.authority}/discovery/v2.0/keys"
        entra.fail_next(lambda _: redirect(url), "jwks")
        sender = documents(MSAL_VERIFY=entra.ca_file)
        assert sender.fetch(url)["keys"]
        sender.close()

    @pytest.mark.parametrize(("status", "raises"), [(200, False), (404, True)])
    def test_raise_for_status(self, status: int, raises: bool) -> None:
        """MSAL's interface: an error raises what requests would."""
        with pytest.raises(requests.HTTPError) if raises else contextlib.nullcontext():
            Reply(status, "", {}).raise_for_status()

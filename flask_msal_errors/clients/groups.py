"""Groups that do not fit in the user's ID token, from Microsoft Graph.

Owns that they are asked for once for each ID token, that Graph gets the pauses that it
asks for, and that no answer never reads as no group. Knows nothing of pages.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import re
import time
import typing as t
from datetime import timedelta
from types import SimpleNamespace

from flask import has_request_context

from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..protocol.scopes import of_graph
from ..protocol.secret import Hidden
from ..provider.client import Client
from ..provider.replies import json_object
from ..provider.transport import Transport
from ..provider.transport import within
from ..session.records import Records
from ..state import FromStore
from ..state import of_request
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from ..user import SignedIn
from ..user import User
from ..user import signed_in
from .flow import Owner
from .flow import Refresher
from .flow import following
from .refusals import paused
from .tokens import Tokens

#: Enough for one's own groups, and every user may consent to it
#: (https://learn.microsoft.com/graph/api/user-list-transitivememberof).
_SCOPE = "User.Read"
#: 999 is the most; a cast needs ``$count`` and the header ``ConsistencyLevel``.
_PATH = (
    "v1.0/me/transitiveMemberOf/microsoft.graph.group?$select=id&$top=999&$count=true"
)
#: Of 999 groups.
_MOST_PAGES = 20
_HOST = re.compile(r"[\w.-]+(:[0-9]+)?", re.ASCII)
UNAVAILABLE, DENIED = "groups_unavailable", "groups_denied"


class _Groups(Stored, tag="groups-1"):
    compressed = True
    ids: list[str]


class _Pause(Stored, tag="graphpause-1"):
    until: float
    """When Graph may be asked again (epoch seconds)."""
    status: int
    error: str
    host: str


@dataclasses.dataclass(repr=False)
class _Seen(FromStore):
    """Groups as this request read them, by their keys."""

    groups: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)


class Groups:
    """Asks Microsoft Graph for the groups of the signed-in user, and keeps them.

    They are kept beside the record for as long as the claims that do not list them.

    :param timeout: seconds that all pages may take together.
    """

    def __init__(
        self,
        *,
        client: Client,
        tokens: Tokens,
        records: Records,
        store: Store,
        codec: Codec,
        timeout: float,
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._records = records
        self._store = store
        self._codec = codec
        self._timeout = timeout

    def of(self, user: User) -> frozenset[str]:
        """Return the object ids of all groups that the user is in, nested ones too.

        :raises InteractionRequired: there is no token for Graph without the user.
        :raises AccessDenied: Graph refuses, or the provider is not Entra.
        :raises ServiceUnavailable: Graph does not answer.
        :raises ConfigurationError: somebody else, or nobody, is signed in here.
        """
        person = signed_in() if has_request_context() else None
        if person is None or person.user.account != user.account:
            raise ConfigurationError(
                "The groups of a user were asked for where they are not signed in. "
                "Their ID token does not list them: read auth.user.groups in the view."
            )
        seen, key = of_request(_Seen).groups, _key(person)
        if key not in seen:
            found = self._kept(key)
            seen[key] = frozenset(self._asked(person, key) if found is None else found)
        return seen[key]

    def _kept(self, key: str) -> list[str] | None:
        found = self._codec.decode(_Groups, self._store.read(key))
        return None if found is None else found.ids

    def _asked(self, person: SignedIn, key: str) -> list[str]:
        """Ask Graph, unless another request of the session did so meanwhile."""
        with self._store.lock(key, self._timeout + 5):
            found = self._kept(key)
            if found is None:
                with within(self._timeout), self._pausing(key):
                    found = self._listed()
                entry = self._codec.encode(_Groups(found))
                self._records.keep(
                    person.handle, key, entry, self._records.lifetime, most=1
                )
        return found

    @contextlib.contextmanager
    def _pausing(self, key: str) -> cabc.Iterator[None]:
        """Keep the pause that Graph asks for, and see that none is left.

        :raises Throttled: it had too many requests.
        :raises ServiceUnavailable: it did not work.
        """
        key += "-pause"
        kept = self._codec.decode(_Pause, self._store.read(key))
        left = int(kept.until - time.time()) if kept else 0
        if kept and left > 0:
            kind = Throttled if kept.status == Throttled.status else ServiceUnavailable
            words = f"{kept.host} asked for a pause."
            raise _by(kind(words, error=kept.error, retry_after=left), kept.host)
        try:
            yield
        except (Throttled, ServiceUnavailable) as error:
            # Those of the token endpoint are kept with the session's tokens.
            if error.api_host and error.retry_after:
                until = time.time() + error.retry_after
                pause = _Pause(until, error.status, error.error, error.api_host)
                lifetime = timedelta(seconds=error.retry_after)
                self._store.write(key, self._codec.encode(pause), lifetime)
            raise

    def _listed(self) -> list[str]:
        connection = self._client.connection()
        host = connection.metadata.get("msgraph_host") if connection.is_entra else None
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise AccessDenied(
                "The ID token does not list the user's groups but names another place,"
                " and the identity provider is none whose groups can be asked for.",
                error=DENIED,
            )
        owner = Owner("Microsoft Graph", self._tokens)
        call = Refresher(self._tokens, (of_graph(_SCOPE, host),), owner)
        found: list[str] = []
        url: t.Any = f"https://{host}/{_PATH}"
        for _ in range(_MOST_PAGES):
            page = _page(connection.transport, call, url, host)
            found += _ids(page, host)
            url = page.get("@odata.nextLink")
            if url is None:
                return found
            if not isinstance(url, str) or not url.startswith(f"https://{host}/"):
                raise _failed(host, "its next page is elsewhere")
        raise _failed(host, f"there are more than {_MOST_PAGES} pages")


def _page(
    transport: Transport, call: Refresher, url: str, host: str
) -> dict[str, t.Any]:
    """Return a page, got by a token that Graph accepts."""
    token = call.token("https", host)
    flow = call.call(token)
    sending: str | None = next(flow)
    answer: t.Any = None
    while sending is not None:
        answer = _sent(transport, url, sending, host)
        sending = following(flow, answer)
    pause = paused(answer)
    if pause is not None:
        raise pause
    if answer.status_code in (401, 403):
        raise _refused(answer, host)
    page = json_object(answer.text) if answer.status_code == 200 else None
    if page is None:
        raise _failed(host, f"it answered {answer.status_code}, with no list")
    return page


def _sent(transport: Transport, url: str, token: str, host: str) -> t.Any:
    """Return an answer of Graph, with the request that it answers."""
    sent = Hidden(Authorization=f"Bearer {token}", ConsistencyLevel="eventual")
    try:
        reply = transport.send("GET", url, {"headers": sent})
    except (OSError, UnicodeError) as error:
        raise _failed(host, f"it cannot be reached ({type(error).__name__})") from None
    return SimpleNamespace(
        status_code=reply.status_code,
        headers=reply.headers,
        text=reply.text,
        request=SimpleNamespace(headers=sent, url=url),
    )


def _ids(page: cabc.Mapping[str, t.Any], host: str) -> list[str]:
    listed = page.get("value")
    groups = listed if isinstance(listed, list) else [None]
    ids = [each.get("id") if isinstance(each, dict) else None for each in groups]
    if not all(isinstance(each, str) for each in ids):
        raise _failed(host, "its list is none of groups")
    return t.cast("list[str]", ids)


def _key(person: SignedIn) -> str:
    """Return the key of the groups of a session, for the ID token that it holds."""
    issued = person.user.claims.get("iat")
    of_token = int(issued) if isinstance(issued, (int, float)) else 0
    return f"groups-{person.handle}-{of_token}"


def _refused(answer: t.Any, host: str) -> MsalAuthError:
    error = AccessDenied(
        f"{host} does not tell the user's groups ({answer.status_code}). Give the app "
        "registration the delegated permission User.Read of Microsoft Graph, or have "
        "ID tokens list only groups that are assigned to the application.",
        error=DENIED,
    )
    return _by(error, host)


def _failed(host: str, fault: str) -> MsalAuthError:
    words = f"The user's groups are not known: {host} was asked, and {fault}."
    return _by(ServiceUnavailable(words, error=UNAVAILABLE), host)


def _by(error: MsalAuthError, host: str) -> MsalAuthError:
    error.api_host, error.wanted = host, (of_graph(_SCOPE, host),)
    return error

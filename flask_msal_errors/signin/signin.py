"""The objects of signing in, built for one app."""

from __future__ import annotations

import dataclasses

from ..provider.client import Client
from ..session.records import Records
from ..session.session_index import SessionIndex
from ..settings import Settings
from ..storage.store import Store
from . import b2c
from .back_channel import BackChannel
from .begin import SignInStart
from .complete import SignInCompletion
from .completed import CompletedFlows
from .cookies import Cookies
from .flow_cookies import FlowCookies
from .form_post import FormPost
from .limits import Loops
from .limits import Pauses
from .recheck import Recheck
from .renewal import Renewal
from .sign_out import SignOut


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignIn:
    """Begins, completes, renews, rechecks and ends sign-ins."""

    user_flows: b2c.UserFlows
    flows: FlowCookies
    loops: Loops
    start: SignInStart
    form_post: FormPost
    completion: SignInCompletion
    renewal: Renewal
    recheck: Recheck
    sign_out: SignOut
    back_channel: BackChannel

    @classmethod
    def build(
        cls,
        *,
        settings: Settings,
        cookies: Cookies,
        client: Client,
        store: Store,
        records: Records,
        session_index: SessionIndex,
    ) -> SignIn:
        """Return the objects for one app."""
        user_flows = b2c.clients(settings)
        completed = CompletedFlows(settings, cookies.signer, store)
        flows = FlowCookies(settings, cookies, store, records, completed)
        loops, pauses = Loops(settings, cookies), Pauses(cookies, records)
        start = SignInStart(settings, client, user_flows, flows, loops, pauses, records)
        completion = SignInCompletion(
            client=client,
            user_flows=user_flows,
            flows=flows,
            completed=completed,
            loops=loops,
            pauses=pauses,
            start=start,
            records=records,
            session_index=session_index,
            interval=settings.registration.recheck,
        )
        sign_out = SignOut(settings, cookies, client, records, loops, session_index)
        return cls(
            user_flows=user_flows,
            flows=flows,
            loops=loops,
            start=start,
            form_post=FormPost(settings, cookies, store, flows),
            completion=completion,
            renewal=Renewal(records, session_index),
            recheck=Recheck(client, records, session_index),
            sign_out=sign_out,
            back_channel=BackChannel(client, sign_out, store),
        )

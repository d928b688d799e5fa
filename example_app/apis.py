"""The sources of the pages' data: the emulator's API, or Microsoft Graph."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses

from flask_msal_errors.testing import Emulator

from .api import Payroll

_GRAPH = "https://graph.microsoft.com/v1.0"


@dataclasses.dataclass(frozen=True)
class Api:
    """One resource, and the scope that a token for it needs."""

    url: str
    scope: str


@dataclasses.dataclass(frozen=True)
class Apis:
    """The APIs behind the pages.

    :param acrs: the authentication context that the payroll page itself demands,
        where no API does.
    :param claim_contexts: the authentication contexts of expense claims, one after the
        other: the proof for one claim is none for the next. Payroll has c1 and c2.
    :param verify: what the APIs' certificates are checked with, as requests takes it.
    :param panel_url: of the emulator's control panel.
    :param counters: says what the emulator has counted.
    :param payroll_log: the lines that the payroll API noted for a client's id.
    """

    profile: Api
    mail: Api
    payroll: Api
    busy: Api
    bonus: Api | None = None
    acrs: str | None = None
    claim_contexts: tuple[str, ...] = ("c1",)
    verify: bool | str = True
    panel_url: str = ""
    counters: cabc.Callable[[], cabc.Mapping[str, int]] | None = None
    payroll_log: cabc.Callable[[str], list[dict[str, str]]] = lambda client: []


def emulated(entra: Emulator, payroll: Payroll) -> Apis:
    """The emulator's API, and the payroll API, which demands a step-up itself."""

    def api(path: str, scope: str) -> Api:
        return Api(f"{entra.api_url}/{path}", entra.scope(scope))

    return Apis(
        profile=api("me", "Profile.Read"),
        mail=api("mail", "Mail.Read"),
        payroll=Api(f"{payroll.url}/payroll", payroll.scope),
        bonus=Api(f"{payroll.url}/bonus", payroll.scope),
        payroll_log=payroll.log.of,
        busy=api("busy", "Busy.Read"),
        claim_contexts=tuple(f"c{number}" for number in range(3, 26)),
        verify=entra.ca_file,
        panel_url=entra.panel_url,
        counters=lambda: entra.counters,
    )


def real() -> Apis:
    """Microsoft Graph. It has no payroll: that page demands its step-up itself."""
    me = Api(f"{_GRAPH}/me", "User.Read")
    mail = Api(f"{_GRAPH}/me/messages?$select=subject,from&$top=5", "Mail.Read")
    return Apis(profile=me, mail=mail, payroll=me, busy=me, acrs="c1")

"""Every switch in one class, and the one way to flip them by name."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ..declaration import GROUPS
from ..declaration import RESET
from ..declaration import SWITCHES
from ..declaration import Group
from ..declaration import Switch
from ..declaration import switch
from ..entra.settings import Settings
from ..entra.tenant import Tenant
from .credentials import Credentials
from .faults_api import FaultsApi
from .people import People
from .policies import Policies
from .registrations import RegistrationsApi


class Switches(People, Policies, FaultsApi, Credentials, RegistrationsApi, Settings):
    """Every switch: methods that change the tenant, and attributes that it keeps."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(tenant)
        self.setting_values = tenant.settings.setting_values

    @switch(
        RESET,
        "Reset everything",
        done="Everything is as at the start. Tokens from before are refused.",
        question="This ends every sign-in, and takes back all that you switched on."
        " Sessions of your app go on until it asks Entra or an API.",
    )
    def reset(self) -> None:
        """Go back to the start: users, policies, faults, counters, sessions, tokens."""
        self.tenant.reset()


def in_groups() -> dict[Group, list[Switch]]:
    """Return the switches by group, in the order of their declarations."""
    return {
        group: [one for one in SWITCHES.values() if one.group == group]
        for group in GROUPS
    }


def names() -> list[str]:
    """Return the names of all switches, group by group."""
    return [one.name for switches in in_groups().values() for one in switches]


def flip(tenant: Tenant, name: str, given: cabc.Mapping[str, t.Any]) -> t.Any:
    """Flip a switch, and return what it returns.

    :param given: its fields, as ``Switch.checked`` accepted them.
    :raises LookupError: the tenant has no such user.
    :raises ValueError: a value does not fit.
    """
    on, declared, values = Switches(tenant), SWITCHES[name], dict(given)
    with tenant.lock:
        if declared.is_setting:
            return setattr(on, name, values["value"])
        for field in declared.fields:
            if field.spread:
                values.update(values.pop(field.name, {}))
        return getattr(on, name)(**values)


def setting_names() -> list[str]:
    """Return the names of the switches that keep a value."""
    return [name for name, declared in SWITCHES.items() if declared.is_setting]


def help_lines() -> list[str]:
    """Return a line for each switch: its name, and the fields that it takes."""
    lines = []
    for name in names():
        fields = ", ".join(field.name for field in SWITCHES[name].fields)
        lines.append(f"  {name:23} {fields}".rstrip())
    return lines

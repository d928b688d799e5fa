"""The demands of a page on its user, checked when its view is decorated.

Owns their types, and which of them a user lacks. Knows nothing of views, nor of how a
refusal is answered.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import inspect
import typing as t

from ..clients.tokens import checked
from ..errors import ConfigurationError
from ..errors import RoleRequired
from ..parsers import CONTEXTS
from ..settings import Settings
from ..user import User

#: One name, or several of which one is enough.
Names: t.TypeAlias = str | cabc.Collection[str]
#: Authentication contexts, or a function that says for each request which.
Acrs: t.TypeAlias = Names | cabc.Callable[[], Names | None]

_View = t.TypeVar("_View", bound=cabc.Callable[..., t.Any])
#: Name of the attribute of a view, or of its class, that everybody may see.
_PUBLIC = "_flask_msal_errors_public"


class Contexts(dict[str, str]):
    """Ids of authentication contexts, by the names that views use: theirs, or an app's.

    Those of other providers than Entra are any strings.
    """

    def __init__(self, settings: Settings) -> None:
        own = CONTEXTS if settings.authority else ()
        super().__init__({name: name for name in own} | (settings.acrs or {}))
        self._is_open = not settings.authority

    def __missing__(self, name: str) -> str:
        if self._is_open:
            return name
        raise ConfigurationError(
            f"acrs={name!r} is no context of Entra (c1 to c99), nor a name in MSAL_ACRS"
            f" ({', '.join(sorted(self.keys() - CONTEXTS)) or 'which is empty'})."
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """The demands of a page.

    ``roles``, ``groups``: of which the user has to have one each. ``recheck``: seconds
    for which the provider's word on them is good, if not ``MSAL_RECHECK``.
    ``is_plain``: the user has to be signed in, and nothing else.
    """

    scopes: tuple[str, ...] = ()
    acrs: tuple[str, ...] | cabc.Callable[[], Names | None] = ()
    max_age: int | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    recheck: int | None = None
    is_plain: bool = True

    @classmethod
    def of(
        cls,
        *,
        scopes: cabc.Sequence[str] | None = None,
        acrs: Acrs | None = None,
        max_age: int | None = None,
        roles: Names | None = None,
        groups: Names | None = None,
        recheck: int | None = None,
    ) -> Requirements:
        """Return the requirements of a developer's arguments.

        :raises ConfigurationError: one of them is of another type.
        """
        wanted = tuple(checked(() if scopes is None else scopes))
        several = _names("roles", roles), _names("groups", groups)
        # A class is no function that says which, and would be called for each request.
        is_function = callable(acrs) and not isinstance(acrs, type)
        asked = acrs if is_function else _names("acrs", acrs)
        if inspect.iscoroutinefunction(acrs):
            raise ConfigurationError("acrs must not be an async function.")
        return cls(
            scopes=wanted,
            acrs=t.cast("t.Any", asked),
            max_age=_seconds("max_age", max_age),
            roles=several[0],
            groups=several[1],
            recheck=_seconds("recheck", recheck),
            is_plain=not (wanted or asked or any(several)) and max_age is None,
        )

    def asked(self) -> tuple[str, ...]:
        """Return the names of contexts that a function says for this request."""
        return _names("acrs", self.acrs() if callable(self.acrs) else self.acrs)

    def admit(self, user: User) -> None:
        """See that a user has the roles and the groups.

        :raises RoleRequired: they have none of them.
        :raises TokenError: their groups cannot be read, see :attr:`.User.groups`.
        """
        if self.roles and user.roles.isdisjoint(self.roles):
            raise RoleRequired(roles=self.roles)
        if self.groups and user.groups.isdisjoint(self.groups):
            raise RoleRequired(groups=self.groups)


def public(view: _View) -> _View:
    """Mark a view, or its class, so that guards of the whole app let everybody in."""
    if not callable(view):
        raise ConfigurationError("auth.public goes on a view, or on its class.")
    setattr(view, _PUBLIC, True)
    return view


def is_public(
    views: cabc.Mapping[str, t.Any], endpoint: str, listed: cabc.Collection[str]
) -> bool:
    """Tell whether everybody may see an endpoint.

    A class is public by its own mark: those that inherit from it are not.

    :param views: of the app, by their endpoints.
    :param listed: names of endpoints; ``shop.*`` is all of a blueprint.
    """
    view = views.get(endpoint)
    for marked in (view, getattr(view, "view_class", None)):
        if _PUBLIC in getattr(marked, "__dict__", ()):
            return True
    places = (name[:-1] for name in listed if name.endswith(".*"))
    return endpoint in listed or endpoint.startswith(tuple(places))


def _names(argument: str, value: t.Any) -> tuple[str, ...]:
    """Return the names that a developer gave as an argument."""
    if value is None:
        return ()
    listed = [value] if isinstance(value, str) else value
    is_list = isinstance(listed, (list, tuple, set, frozenset)) and bool(listed)
    if not is_list or not all(isinstance(name, str) and name for name in listed):
        raise ConfigurationError(
            f"{argument} must be a string, or a list of strings of which one is "
            f'enough: {argument}=["…"].'
        )
    return tuple(dict.fromkeys(listed))


def _seconds(argument: str, value: t.Any) -> int | None:
    """Return the seconds that a developer gave as an argument."""
    if value is None or (type(value) is int and value >= 0):
        return value
    raise ConfigurationError(
        f"{argument} must be a whole number of seconds, 0 or more: {argument}=600."
    )

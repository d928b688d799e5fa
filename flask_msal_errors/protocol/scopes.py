"""Rules about scopes: reserved ones, resources, and what a developer may write."""

from __future__ import annotations

import collections.abc as cabc
import functools

# Microsoft Graph: its scopes need no prefix, and its application ID is one. An app is
# in one cloud: https://learn.microsoft.com/graph/deployments
_GRAPH = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    }
)
#: Graph in the worldwide cloud, to which scopes without a prefix belong.
WORLD_GRAPH = "graph.microsoft.com"
#: Scopes of OpenID Connect that Google's answers name otherwise.
_GOOGLE = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
#: MSAL adds these itself, and refuses to be given them.
ADDED = frozenset({"openid", "profile", "offline_access"})

#: Scopes of OpenID Connect: no API is called with them.
RESERVED = ADDED | {"email"}


# An app has few scopes, and asks for them at every page: so with all that is cached.
@functools.lru_cache(maxsize=256)
def resource(scope: str) -> str:
    """Return the resource of a scope in lower case; ``""`` for Microsoft Graph.

    ``"api://3f9a/Mail.Read"`` is of ``"api://3f9a"``. A scope without a prefix is
    Graph's, and so is one with ``https://graph.microsoft.com`` or another cloud's.
    """
    name = _prefix(scope).rstrip("/").lower()
    return "" if name in _GRAPH else name


def of_graph(name: str, host: str) -> str:
    """Return a scope of Microsoft Graph as an app asks for it in one cloud.

    Graph of a sovereign cloud has a host of its own, by which its scopes are named
    (https://learn.microsoft.com/graph/deployments).

    :param name: ``"User.Read"``.
    :param host: of Graph in that cloud; any but a sovereign cloud's is left out.
    """
    full = f"https://{host.lower()}/{name}"
    is_sovereign = host.lower() != WORLD_GRAPH and not resource(full)
    return full if is_sovereign else name


def known_as(
    scopes: cabc.Iterable[str], *, exact: bool = False
) -> set[tuple[str, str]]:
    """Return scopes as their provider compares them.

    Entra does so by resource and name, in lower case: its answers are in the spelling
    of the API's registration, with one slash, and Graph's scopes by their short names,
    however they were asked for.

    :param exact: every letter counts (RFC 6749 §3.3), as with all other providers.
    """
    return {
        ("", scope)
        if exact
        else (resource(scope), scope.rpartition("/")[2].lower() or scope.lower())
        for scope in scopes
    }


def cover(granted: str, scopes: cabc.Iterable[str], *, exact: bool) -> bool:
    """Tell whether granted scopes include all of these.

    :param granted: as a token's answer lists them.
    :param exact: see :func:`known_as`.
    """
    words = known_as(granted.split(), exact=exact)
    return words.issuperset(known_as(scopes, exact=exact))


def together(scopes: cabc.Iterable[str], *, exact: bool = True) -> tuple[str, ...]:
    """Return scopes of one resource as one request can ask for them.

    Each once, in its first spelling. ``/.default`` stands for all that are registered,
    and Entra takes it alone (AADSTS70011).

    :param exact: see :func:`known_as`.
    """
    several: dict[frozenset[tuple[str, str]], str] = {}
    for scope in scopes:
        several.setdefault(frozenset(known_as([scope], exact=exact)), scope)
    listed = tuple(several.values())
    return tuple(filter(is_default, listed))[:1] or listed


def renamed(asked: cabc.Iterable[str], granted: cabc.Iterable[str]) -> set[str]:
    """Return the scopes that Google granted under their other name.

    https://developers.google.com/identity/protocols/oauth2/scopes#google-sign-in
    """
    return {scope for scope in asked if _GOOGLE.get(scope) in set(granted)}


@functools.lru_cache(maxsize=256)
def by_resource(scopes: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return scopes grouped by their resources, in the order of their first ones.

    An access token of Entra's serves one resource (AADSTS28000). Reserved scopes belong
    to none.
    """
    groups: dict[str, list[str]] = {}
    for scope in scopes:
        if scope not in RESERVED:
            groups.setdefault(resource(scope), []).append(scope)
    return tuple(map(tuple, groups.values()))


@functools.lru_cache(maxsize=256)
def problem_of(scopes: tuple[str, ...]) -> str:
    """Return what is wrong with a developer's scopes, ``""`` if nothing is."""
    for scope in scopes:
        # No token would be found that serves it: each page would ask for a new one.
        if scope.split() != [scope]:
            return f"scopes must be a list with one scope a string, but hold {scope!r}."
    if len(scopes) > 1 and any(map(is_default, scopes)):
        return (
            f"scopes are {list(scopes)!r}, but Entra takes /.default alone "
            "(AADSTS70011): name the scopes instead."
        )
    if not ADDED.isdisjoint(scopes):
        return (
            f"scopes hold {', '.join(sorted(ADDED.intersection(scopes)))}, which "
            "MSAL_BASE_SCOPES has for every sign-in: name only the scopes of the API."
        )
    return ""


def qualified(names: cabc.Iterable[str], called: cabc.Sequence[str]) -> tuple[str, ...]:
    """Return the scopes that an API names, with the prefix of the called resource.

    :param called: the scopes of the call; without them the resource is unknown, and
        nothing is returned.
    """
    if not called:
        return ()
    prefix, home = _prefix(called[0]), resource(called[0])
    full = [f"{prefix}/{n}" if prefix and "/" not in n else n for n in names]
    return together(name for name in full if _is_scope_of(home, name))


def is_default(scope: str) -> bool:
    """Return whether it is the scope ``/.default`` of a resource.

    https://learn.microsoft.com/entra/identity-platform/scopes-oidc#the-default-scope
    """
    return scope.lower().endswith("/.default")


def _is_scope_of(home: str, name: str) -> bool:
    last = name.rpartition("/")[2]
    is_scope = last not in RESERVED | {""} and _prefix(name) != name
    return is_scope and name != ".default" and resource(name) == home


def _prefix(scope: str) -> str:
    """Return all before a scope's own name: ``"api://3f9a"`` of ``"api://3f9a/a"``."""
    head = scope.rpartition("/")[0]
    return scope if head.endswith(":/") else head

"""Trust in discovery documents: for the configured issuer, and on https.

Pure: knows documents and settings, and fetches nothing.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

import requests

from ..parsers import GUID
from ..parsers import as_browser_url
from ..protocol.demand import printable
from ..settings import MICROSOFT
from ..settings import Settings

#: Stands for any tenant in the issuer of an authority that several share.
TENANT = "{tenantid}"
#: The tenant of personal accounts, which "consumers" names.
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
#: A token endpoint of B2C names a policy, in one of two places; its own and custom
#: policies begin so (https://learn.microsoft.com/azure/active-directory-b2c/openid-connect).
_OF_POLICY = re.compile(
    r"/(tfp/)?[^/]+/(b2c_1[\w.-]*/oauth2/v2\.0/token|oauth2/v2\.0/token\?p=b2c_1.*)",
    re.ASCII | re.IGNORECASE,
)
_REQUIRED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
#: A browser visits these; what it sends to this very machine, nobody else reads.
_PAGES = ("authorization_endpoint", "end_session_endpoint")


_OF_KEY = (
    "Check the key: it is the issuer, exactly as the provider publishes it, or an"
    " authority of Entra with the right tenant."
)
_OF_SCHEME = (
    "Have the provider publish https URLs: behind a proxy, it has to be told that it is"
    " reached by https (X-Forwarded-Proto)."
)
_OF_URL = "Correct that URL in the provider's own configuration."


class Untrusted(requests.RequestException):
    """A discovery document is another provider's, or leads to unsafe places.

    Its text completes "its OpenID configuration …".

    :param remedy: the next step, as a sentence.
    """

    def __init__(self, fault: str, remedy: str = _OF_KEY) -> None:
        super().__init__(fault)
        self.remedy = remedy


def check(document: dict[str, t.Any], settings: Settings) -> None:
    """See that a discovery document is the configured provider's.

    :raises Untrusted: its issuer is another (OpenID Connect Discovery 1.0 §4.3), or an
        endpoint is not on https.
    """
    found = {name: document.get(name) or None for name in _REQUIRED}
    missing = [name for name, value in found.items() if not isinstance(value, str)]
    if missing:
        raise Untrusted(f"has no usable {', '.join(missing)}")
    issuer = document["issuer"]
    if not _is_issuer(issuer, settings):
        secured = re.sub("^http:", "https:", issuer)
        if secured != issuer and _is_issuer(secured, settings):
            raise Untrusted(f"names the issuer {printable(issuer)!r}", _OF_SCHEME)
        raise _of_another(document, settings)
    for name, value in document.items():
        is_place = name.endswith("_endpoint") or name == "jwks_uri"
        # Programs in Go write what they do not have as an empty string.
        if is_place and value not in (None, ""):
            _check_place(name, value)


def _of_another(document: dict[str, t.Any], settings: Settings) -> Untrusted:
    """Return the error for a document whose issuer is not the configured one."""
    issuer = printable(document["issuer"])
    own = settings.authority or settings.oidc_authority or ""
    fault = f"names another issuer, {issuer!r}"
    if issuer.rstrip("/") == own.rstrip("/"):
        fault += ", which differs by the slash at the end"
    elif issuer.lower() == own.lower():
        fault += ", which differs in upper and lower case"
    if settings.oidc_authority and is_b2c(document):
        # One issuer serves all policies, and does not lead back to the document.
        place = own.removesuffix("/").removesuffix("/v2.0")
        remedy = f"This is Azure AD B2C. Set MSAL_AUTHORITY={place} instead."
        return Untrusted(fault, remedy)
    is_external = re.match(r"https://[\w-]+\.ciamlogin\.com/", issuer)
    if is_external and not re.fullmatch(GUID, settings.tenant, re.IGNORECASE):
        # A domain does not say that the id in the issuer is its own.
        return Untrusted(fault, "This is External ID: name the tenant by its ID.")
    return Untrusted(fault)


def _check_place(name: str, value: t.Any) -> None:
    """See that an endpoint is on https, at a path that MSAL can read.

    :raises Untrusted: it is not.
    """
    said = f"has {printable(str(value))!r} as {name}"
    if not isinstance(value, str) or not _is_safe(value, name in _PAGES):
        on_http = str(value).startswith("http:")
        raise Untrusted(
            f"{said}, which is no https URL", _OF_SCHEME if on_http else _OF_URL
        )
    # MSAL 1.39 takes the first segment of this path for a tenant (``canonicalize``).
    if name == "token_endpoint" and not re.match("/[^/]", urlsplit(value).path):
        raise Untrusted(f"{said}, whose path does not begin with one slash", _OF_URL)


def is_entra(document: dict[str, t.Any], settings: Settings) -> bool:
    """Tell whether the provider is Entra, perhaps at a domain of the customer's own.

    Entra names its cloud in each discovery document, and keeps its issuers.
    https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc
    """
    host = urlsplit(str(document.get("issuer"))).netloc
    is_told = not {"cloud_instance_name", "tenant_region_scope"}.isdisjoint(document)
    is_told = is_told or MICROSOFT.fullmatch(host) is not None
    return bool(settings.authority) or is_told or is_b2c(document)


def is_b2c(document: dict[str, t.Any]) -> bool:
    """Tell whether the provider is Azure AD B2C, whose documents name no cloud.

    At a domain of the customer's own it is told by the policy in its addresses.
    """
    place = urlsplit(str(document.get("token_endpoint")))
    path = f"{place.path}?{place.query}" if place.query else place.path
    return _OF_POLICY.fullmatch(path) is not None


def is_of(issuer: str, published: str) -> bool:
    """Tell whether an issuer is the one that a document has, or a tenant of those."""
    own = re.escape(published).replace(re.escape(TENANT), GUID)
    return re.fullmatch(own, issuer) is not None


def _is_issuer(issuer: str, settings: Settings) -> bool:
    set_to = urlsplit(settings.authority or settings.oidc_authority or "")
    # Host names have no case, and issuers have them in lower case.
    own = set_to._replace(netloc=set_to.netloc.lower()).geturl()
    if issuer in (set_to.geturl(), own, own.removesuffix("/")):
        return True
    parts = urlsplit(own.lower())
    path = parts.path.removesuffix("/").removeprefix("/tfp/").removesuffix("/v2.0")
    name, _, policy = path.strip("/").partition("/")
    found = re.search(f"{GUID}|{re.escape(TENANT)}", issuer)
    host, tenant = urlsplit(issuer).netloc, found[0] if found else ""
    # External ID keeps this host for those who come by a domain of their own.
    is_host = host == f"{tenant}.ciamlogin.com"
    # Hosts of one cloud publish each other's issuers.
    if MICROSOFT.fullmatch(parts.netloc):
        is_host = is_host or MICROSOFT.fullmatch(host) is not None
    elif settings.authority:
        is_host = is_host or host == parts.netloc
    elif name != tenant:
        return False
    return is_host and _is_tenant(tenant, name) and _is_written(issuer, tenant, policy)


def _is_tenant(tenant: str, name: str) -> bool:
    """Tell whether an issuer's tenant is the one that the authority names."""
    if name in ("common", "organizations"):
        return tenant == TENANT
    if name == "consumers":
        return tenant == PERSONAL
    # A domain, or External ID without a path, does not say which id is its own.
    return tenant == name if re.fullmatch(GUID, name) else tenant != TENANT


def _is_written(issuer: str, tenant: str, policy: str) -> bool:
    """Tell whether an issuer is written as Entra's are, or as those of a B2C policy."""
    host = f"https://{urlsplit(issuer).netloc}"
    if policy:
        by_policy = f"{host}/tfp/{tenant}/{policy}/v2.0/"
        return issuer == f"{host}/{tenant}/v2.0/" or issuer.lower() == by_policy
    of_version_1 = f"{host}/{tenant}/" if host.startswith("https://sts.") else None
    return issuer in (f"{host}/{tenant}/v2.0", of_version_1)


def _is_safe(place: str, is_page: bool) -> bool:
    if place != place.strip():
        return False
    try:
        url = as_browser_url(place)
    except ValueError:
        return False
    return is_page or url.startswith("https:")

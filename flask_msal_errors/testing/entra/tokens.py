"""Signed tokens: what Entra puts into ID tokens and ``client_info``.

It also forges ID tokens for tests that attack a client's validation.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import hmac
import json
import typing as t
import uuid

import jwt

from . import authorities
from . import membership
from .model import CUSTOM
from .model import OPENID
from .model import Ask
from .model import Authority
from .model import SignIn
from .model import User
from .model import pairwise
from .registrations import Registration
from .tenant import Tenant

Claims = dict[str, t.Any]
Hook = t.Callable[[Claims, Claims], t.Any]


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _compact(value: t.Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def client_info(tenant: Tenant, user: User, authority: Authority) -> str:
    """Return the ``client_info`` from which MSAL makes its home account id."""
    flow = f"-{authority.policy.lower()}" if authority.policy else ""
    home = tenant.external_id if authority.kind == CUSTOM else tenant.id
    return _base64url(_compact({"uid": user.object_id + flow, "utid": home}))


def lifetime(tenant: Tenant, authority: Authority | None) -> int:
    """Return the seconds that an access token lives."""
    settings = tenant.settings
    if authority is None or authority.kind != OPENID:
        return settings.token_lifetime
    return min(settings.token_lifetime, settings.openid_lifetime)


def lives(tenant: Tenant, seconds: int) -> Claims:
    start = int(tenant.now()) + tenant.settings.clock_skew
    return {"iat": start, "nbf": start, "exp": start + seconds}


def proof(sign_in: SignIn) -> Claims:
    """Return the claims that say how, and for which contexts, the user signed in."""
    claims: Claims = {"amr": ["pwd", "mfa"] if sign_in.mfa else ["pwd"]}
    if sign_in.acrs:
        claims["acrs"] = sorted(sign_in.acrs)
    return claims


def sign(tenant: Tenant, claims: Claims, header: Claims) -> str:
    key = tenant.keys.current
    return jwt.encode(claims, key.private, algorithm="RS256", headers=header)


def _sign_plain(tenant: Tenant, claims: Claims, header: Claims) -> str:
    """Sign an ID token of the plain provider, by the algorithm of its header."""
    alg, key = header["alg"], tenant.keys.private(header["alg"])
    if alg not in ("HS256", "Ed25519"):
        return jwt.encode(claims, key, algorithm=alg, headers=header)
    # PyJWT warns of short secrets, and does not know the names of RFC 9864.
    text = f"{_base64url(_compact(header))}.{_base64url(_compact(claims))}"
    if alg == "Ed25519":
        return f"{text}.{_base64url(key.sign(text.encode()))}"
    digest = hmac.digest(tenant.client_secret.encode(), text.encode(), "sha256")
    return f"{text}.{_base64url(digest)}"


def _header(tenant: Tenant, authority: Authority) -> Claims:
    alg, kid = "RS256", tenant.keys.current.kid
    if authority.kind == OPENID:
        alg = tenant.settings.openid_alg
        if not tenant.settings.openid_kid:
            return {"typ": "JWT", "alg": alg}
        kid = tenant.keys.plain_jwks(alg)[-1]["kid"]
    return {"typ": "JWT", "alg": alg, "kid": kid}


def id_token(
    tenant: Tenant,
    client: Registration,
    sign_in: SignIn,
    ask: Ask | None,
    authority: Authority,
) -> str:
    """Sign an ID token; ``ask`` is the sign-in it answers, ``None`` at a refresh."""
    user = sign_in.user
    header = _header(tenant, authority)
    claims: Claims = {
        "aud": client.client_id,
        "iss": tenant.issuer,
        **lives(tenant, tenant.settings.token_lifetime),
        **proof(sign_in),
        "auth_time": int(sign_in.at) + tenant.settings.clock_skew,
        "email": user.username,
        "login_hint": user.hint,
        "name": user.name,
        "oid": user.object_id,
        "preferred_username": user.username,
        "sid": sign_in.sid,
        "sub": pairwise(user, client.client_id),
        "tid": tenant.id,
        "uti": uuid.uuid4().hex,
        "ver": "2.0",
    }
    if ask and ask.get("nonce"):
        claims["nonce"] = ask.get("nonce")
    met = [acr for acr in ask.wanted.acr_values if acr in sign_in.acrs] if ask else []
    if met:
        claims["acr"] = met[0]
    claims |= membership.claims(tenant, client, user)
    claims = authorities.id_claims(tenant, authority, sign_in, claims)
    hook = tenant.settings.id_token_hook
    changed = hook(claims, header) if hook else None
    if isinstance(changed, str):
        return changed
    signed = _sign_plain if authority.kind == OPENID else sign
    return signed(tenant, changed if changed is not None else claims, header)


def logout_token(tenant: Tenant, sign_in: SignIn, changes: Claims) -> str:
    """Sign a logout token of the plain provider.

    :param changes: other claims; ``None`` leaves one out.
    """
    authority = authorities.find(tenant, "openid")
    start = int(tenant.now()) + tenant.settings.clock_skew
    claims = {
        "aud": tenant.client_id,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "exp": start + 120,
        "iat": start,
        "iss": authorities.issuer(tenant, authority),
        "jti": uuid.uuid4().hex,
        "sid": sign_in.sid or None,
        "sub": authorities.id_claims(tenant, authority, sign_in, {})["sub"],
        **changes,
    }
    header = {**_header(tenant, authority), "typ": "logout+jwt"}
    kept = {name: value for name, value in claims.items() if value is not None}
    return _sign_plain(tenant, kept, header)


def forger(
    tenant: Tenant, alg: str, kid: str | None, drop: cabc.Iterable[str], changes: Claims
) -> Hook:
    """Return an ID-token hook that changes claims and signs with ``alg``.

    ``HS256`` signs with the *public* key, as the known confusion attack does; ``none``
    leaves the signature empty.
    """
    dropped = frozenset(drop)

    def hook(claims: Claims, header: Claims) -> str:
        key = tenant.keys.current
        kept = {k: v for k, v in {**claims, **changes}.items() if k not in dropped}
        head = {**header, "alg": alg, **({"kid": kid} if kid else {})}
        if alg == "RS256":
            return jwt.encode(kept, key.private, algorithm=alg, headers=head)
        text = f"{_base64url(_compact(head))}.{_base64url(_compact(kept))}"
        if alg == "none":
            return f"{text}."
        # PyJWT refuses a PEM as an HMAC secret, so the attack is written out.
        digest = hmac.new(key.public_pem(), text.encode(), hashlib.sha256).digest()
        return f"{text}.{_base64url(digest)}"

    return hook

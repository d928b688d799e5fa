"""An OpenID provider made with Authlib, as its documentation shows it, on https.

A program for an environment of its own: certificate, key and folder are its arguments.
Its keys have no ``kid``, and it takes the client's secret by HTTP Basic alone.
https://docs.authlib.org/en/latest/flask/2/openid-connect.html
"""

from __future__ import annotations

import dataclasses
import secrets
import sys
import time
import typing as t

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749 import TokenMixin
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from authlib.oidc.rpinitiated import EndSessionEndpoint
from flask import Flask
from flask import jsonify
from flask import request
from flask import session
from joserfc.jwk import KeySet
from joserfc.jwk import RSAKey

from providers.serving import API_SCOPES
from providers.serving import CLIENT
from providers.serving import PASSWORD
from providers.serving import SECRET
from providers.serving import USER
from providers.serving import listen
from providers.serving import serve
from providers.serving import url_of

_KEY: RSAKey = RSAKey.generate_key(2048, auto_kid=False)
_SCOPES = ("openid", "profile", *API_SCOPES)
_LOGIN = """
<form method=post>
<input name=username><input name=password type=password><button>Log in</button>
</form>
"""
_CONSENT = """
<form method=post>
<button name=confirm value=no>No</button><button name=confirm value=yes>Yes</button>
</form>
"""


@dataclasses.dataclass
class User:
    """The one person."""

    id: str = USER

    def get_user_id(self) -> str:
        return self.id


@dataclasses.dataclass
class Client(ClientMixin):
    """The one client."""

    app: str = ""

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return f"{self.app}/auth/callback"

    @property
    def client_metadata(self) -> dict[str, list[str]]:
        return {"post_logout_redirect_uris": [f"{self.app}/auth/signed-out"]}

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(name for name in scope.split() if name in _SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.get_default_redirect_uri()

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


@dataclasses.dataclass
class Code(AuthorizationCodeMixin):
    """A code of one authorization."""

    code: str
    redirect_uri: str
    scope: str
    nonce: str
    auth_time: int
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclasses.dataclass
class Token(TokenMixin):
    """An access token with its refresh token."""

    access_token: str
    refresh_token: str
    scope: str
    expires: float
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        return True

    def get_scope(self) -> str:
        return self.scope

    def get_user(self) -> User:
        return User()

    def is_expired(self) -> bool:
        return self.expires < time.time()

    def is_revoked(self) -> bool:
        return self.revoked


class Store:
    """All that the provider remembers."""

    def __init__(self) -> None:
        self.client = Client()
        self.codes: dict[str, Code] = {}
        self.tokens: list[Token] = []
        self.lifetime = 3600
        self.asks = False
        self.age = 0
        self.calls: list[dict[str, t.Any]] = []

    def save(self, token: dict[str, t.Any], _: object) -> None:
        self.tokens.append(
            Token(
                token["access_token"],
                token.get("refresh_token", ""),
                token["scope"],
                time.time() + token["expires_in"],
            )
        )

    def find(self, **fields: str) -> Token | None:
        (name, value), *_ = fields.items()
        living = (each for each in self.tokens if not each.revoked)
        return next((each for each in living if getattr(each, name) == value), None)


store = Store()


class CodeGrant(grants.AuthorizationCodeGrant):
    """Codes, whose client has a secret."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]

    def save_authorization_code(self, code: str, asked: t.Any) -> None:
        data = asked.payload.data
        store.codes[code] = Code(
            code,
            asked.payload.redirect_uri,
            asked.payload.scope,
            data.get("nonce"),
            session["at"],
            data.get("code_challenge"),
            data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return store.codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del store.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> User:
        return User()


class RefreshGrant(grants.RefreshTokenGrant):
    """Refresh tokens that serve once."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        return store.find(refresh_token=refresh_token)

    def authenticate_user(self, refresh_token: Token) -> User:
        return User()

    def revoke_old_credential(self, refresh_token: Token) -> None:
        refresh_token.revoked = True


class IdTokens(OpenIDCode):
    """ID tokens, whose header names no key."""

    def __init__(self, issuer: str) -> None:
        super().__init__(require_nonce=False)
        self._issuer = issuer

    def exists_nonce(self, nonce: str, asked: object) -> bool:
        return any(code.nonce == nonce for code in store.codes.values())

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return _KEY

    def get_client_claims(self, client: Client) -> dict[str, t.Any]:
        return {"iss": self._issuer, "aud": [CLIENT]}

    def generate_user_info(self, user: User, scope: str) -> dict[str, t.Any]:
        return {"sub": user.id}


class Revocation(RevocationEndpoint):
    """The end of refresh tokens, for the client that has them."""

    CLIENT_AUTH_METHODS = ["client_secret_basic"]

    def query_token(self, token_string: str, token_type_hint: str) -> Token | None:
        return store.find(refresh_token=token_string)

    def revoke_token(self, token: Token, request: object) -> None:
        token.revoked = True
        store.calls.append({"grant_type": "revocation", "status": 200})


class EndSession(EndSessionEndpoint):
    """The sign-out, which leads back whoever shows an ID token alone."""

    def get_server_jwks(self) -> KeySet:
        return KeySet([_KEY])

    def end_session(self, end_session_request: object) -> None:
        session.clear()


class ApiTokens(BearerTokenValidator):
    """The tokens that the provider's own API takes."""

    def authenticate_token(self, token_string: str) -> Token | None:
        return store.find(access_token=token_string)


def _authorization(app: Flask, issuer: str) -> None:
    clients = {CLIENT: store.client}
    server = AuthorizationServer(app, clients.get, store.save)
    generator = server.create_bearer_token_generator(app.config)
    generator.expires_generator = lambda *_: store.lifetime
    server.register_token_generator("default", generator)
    server.register_grant(CodeGrant, [IdTokens(issuer), CodeChallenge()])
    server.register_grant(RefreshGrant)
    server.register_endpoint(EndSession)
    server.register_endpoint(Revocation)

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> t.Any:
        asks_again = request.args.get("prompt") == "login" or _is_old()
        if "password" in request.form and request.form["password"] == PASSWORD:
            session["at"] = int(time.time()) - store.age
        elif "at" not in session or (asks_again and "confirm" not in request.form):
            return _LOGIN
        if store.asks and "confirm" not in request.form:
            return _CONSENT
        try:
            grant = server.get_consent_grant(end_user=User())
        except OAuth2Error as error:
            return server.handle_error_response(request, error)
        user = None if request.form.get("confirm") == "no" else User()
        return server.create_authorization_response(grant=grant, grant_user=user)

    @app.post("/token")
    def token() -> t.Any:
        answer = server.create_token_response()
        kept = {k: v for k, v in request.form.items() if k in ("grant_type", "scope")}
        store.calls.append({**kept, "status": answer.status_code})
        return answer

    app.add_url_rule(
        "/revoke",
        "revoke",
        lambda: server.create_endpoint_response("revocation"),
        methods=["POST"],
    )

    @app.route("/logout", methods=["GET", "POST"])
    def logout() -> t.Any:
        try:
            asked = server.validate_endpoint_request("end_session")
        except OAuth2Error as error:
            return server.handle_error_response(None, error)
        if asked.needs_confirmation and "confirm" not in request.form:
            return _CONSENT
        return server.create_endpoint_response("end_session", asked) or "Signed out."


def _is_old() -> bool:
    age = request.args.get("max_age", type=int)
    return age is not None and time.time() - session.get("at", 0) > age


def _documents(app: Flask, issuer: str) -> None:
    @app.get("/.well-known/openid-configuration")
    def configuration() -> t.Any:
        return jsonify(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/authorize",
            token_endpoint=f"{issuer}/token",
            jwks_uri=f"{issuer}/jwks",
            revocation_endpoint=f"{issuer}/revoke",
            end_session_endpoint=f"{issuer}/logout",
            scopes_supported=_SCOPES,
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
        )

    @app.get("/jwks")
    def jwks() -> t.Any:
        return jsonify(keys=[_KEY.as_dict(private=False, use="sig")])

    @app.get("/api/<scope>")
    def api(scope: str) -> str:
        with protect.acquire([scope]):
            return f"api {scope}"

    protect = ResourceProtector()
    protect.register_token_validator(ApiTokens())


def _control(app: Flask) -> None:
    @app.post("/control")
    def control() -> t.Any:
        """Change what the posted object names, and return what was called since."""
        asked = request.get_json()
        store.client.app = asked.get("app", store.client.app)
        store.asks = asked.get("asks", store.asks)
        store.age = asked.get("age", store.age)
        store.lifetime = asked.get("lifetime", store.lifetime)
        if asked.get("revoke"):
            store.tokens.clear()
        if asked:
            store.calls.clear()
        return jsonify(calls=store.calls)


def _create(issuer: str) -> Flask:
    app = Flask("authlib_server")
    app.config.update(
        SECRET_KEY=secrets.token_hex(),
        # The app under test is on another port, which cookies don't tell apart.
        SESSION_COOKIE_NAME="authlib",
        OAUTH2_REFRESH_TOKEN_GENERATOR=True,
    )
    _authorization(app, issuer)
    _documents(app, issuer)
    _control(app)
    return app


if __name__ == "__main__":
    certificate, key, folder = sys.argv[1:]
    listener = listen(certificate, key)
    serve(listener, _create(url_of(listener)), url_of(listener))

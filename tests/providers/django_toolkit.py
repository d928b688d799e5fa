"""django-oauth-toolkit as its documentation sets it up, on https.

A program for an environment of its own: certificate, key and folder are its arguments.
https://django-oauth-toolkit.readthedocs.io/en/latest/oidc.html
"""

from __future__ import annotations

import json
import sys
import typing as t
import urllib.parse

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest
from django.http import HttpResponse
from django.http import JsonResponse
from django.urls import include
from django.urls import path

from providers.serving import API_SCOPES
from providers.serving import CLIENT
from providers.serving import PASSWORD
from providers.serving import SECRET
from providers.serving import USER
from providers.serving import listen
from providers.serving import serve
from providers.serving import url_of

_LOGIN = "<form method=post>{% csrf_token %}{{ form }}<button>Log in</button></form>"
#: Nothing has to outlast this process.
_FAST = "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY;"
#: Token requests as they came: fields that are no secrets, and the answer's status.
calls: list[dict[str, t.Any]] = []


def _key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()


def _configure(folder: str) -> None:
    templates = {"registration/login.html": _LOGIN}
    settings.configure(
        ALLOWED_HOSTS=["localhost"],
        AUTH_PASSWORD_VALIDATORS=[],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/provider.sqlite3",
                "OPTIONS": {"timeout": 60, "init_command": _FAST},
            }
        },
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        LOGIN_URL="/accounts/login/",
        MIDDLEWARE=[
            f"{__name__}.noting",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        OAUTH2_PROVIDER={
            "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
            # So that it looks at the line above again when that changes.
            "ALWAYS_RELOAD_OAUTHLIB_CORE": True,
            "OIDC_ENABLED": True,
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            # By default it asks whoever signs out, whatever the app shows.
            "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
            "OIDC_RSA_PRIVATE_KEY": _key(),
            "SCOPES": dict.fromkeys(("openid", "profile", *API_SCOPES), "a scope"),
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test" * 8,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        ("django.template.loaders.locmem.Loader", templates),
                        "django.template.loaders.app_directories.Loader",
                    ]
                },
            }
        ],
        USE_TZ=True,
    )
    django.setup()


def noting(answer: t.Callable[[HttpRequest], HttpResponse]) -> t.Any:
    """Note each token request, a middleware."""

    def noted(request: HttpRequest) -> HttpResponse:
        response = answer(request)
        if request.path == "/o/token/":
            form = dict(urllib.parse.parse_qsl(request.body.decode()))
            kept = {k: form[k] for k in ("grant_type", "scope") if k in form}
            calls.append({**kept, "status": response.status_code})
        return response

    return noted


def control(request: HttpRequest) -> HttpResponse:
    """Change what the posted object names, and return what was called since then."""
    from oauth2_provider import models
    from oauth2_provider.settings import oauth2_settings

    asked = json.loads(request.body or "{}")
    client = models.Application.objects.get(client_id=CLIENT)
    if "app" in asked:
        client.redirect_uris = asked["app"] + "/auth/callback"
        client.post_logout_redirect_uris = asked["app"] + "/auth/signed-out"
    client.skip_authorization = not asked.get("asks", not client.skip_authorization)
    client.save()
    if "lifetime" in asked:
        oauth2_settings.ACCESS_TOKEN_EXPIRE_SECONDS = asked["lifetime"]
    if asked.get("revoke"):
        models.RefreshToken.objects.all().delete()
        models.AccessToken.objects.all().delete()
    if asked:
        calls.clear()
    return JsonResponse({"calls": calls})


def api(request: HttpRequest, scope: str) -> HttpResponse:
    """Answer whoever has a token with this scope, others as RFC 6750 §3.1 has it."""
    from oauth2_provider.decorators import protected_resource

    view = protected_resource(scopes=[scope])(lambda _: HttpResponse(f"api {scope}"))
    response: HttpResponse = view(request)
    if response.status_code == 403:
        response.status_code = 401
        response["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return response


def _urls() -> list[t.Any]:
    from django.contrib.auth import urls
    from django.views.decorators.csrf import csrf_exempt

    return [
        path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
        path("accounts/", include(urls)),
        path("control", csrf_exempt(control)),
        path("api/<scope>", api),
    ]


def _fill() -> None:
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    user = User.objects.create_user(USER, password=PASSWORD)
    Application.objects.create(
        client_id=CLIENT,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
        user=user,
    )


if __name__ == "__main__":
    certificate, key, folder = sys.argv[1:]
    # Django names this module by strings.
    __name__ = "providers.django_toolkit"
    sys.modules[__name__] = sys.modules["__main__"]
    _configure(folder)
    _fill()
    urlpatterns = _urls()
    listener = listen(certificate, key)
    serve(listener, get_wsgi_application(), url_of(listener) + "/o")

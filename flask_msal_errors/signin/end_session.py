"""The request by which a browser ends its session at the identity provider.

Owns what the provider is told there, and whether by GET or POST. Knows no session.
Source: OpenID Connect RP-Initiated Logout 1.0 §2, which some providers do not follow.
"""

from __future__ import annotations

import typing as t
from urllib.parse import quote
from urllib.parse import urlencode

from ..protocol.secret import Hidden
from ..protocol.secret import Secret

#: Characters of a URL that every server takes: IIS takes 2,048 of a query.
#: https://learn.microsoft.com/iis/configuration/system.webserver/security/requestfiltering/requestlimits/
_LONGEST_URL = 2000
_HINT = "id_token_hint"


class EndSession(t.NamedTuple):
    """A place to go to, and the fields of the form to post there; none for a GET."""

    url: Secret
    fields: Hidden


def to_endpoint(
    endpoint: str, client_id: str, back: str, *, id_token: str, login_hint: str
) -> EndSession:
    """Return the request for an ``end_session_endpoint``.

    :param back: where the provider sends the browser afterwards.
    :param id_token: of the user, expired or not, if the provider wants to see it; it
        is posted where the URL would be long.
    :param login_hint: names the user where no ID token does.
    """
    hint = {_HINT: id_token} if id_token else {"logout_hint": login_hint}
    fields = Hidden(client_id=client_id, post_logout_redirect_uri=back, **hint)
    fields = Hidden((name, value) for name, value in fields.items() if value)
    mark = "&" if "?" in endpoint else "?"
    url = Secret(f"{endpoint}{mark}{urlencode(fields)}")
    if _HINT in fields and len(url) > _LONGEST_URL:
        return EndSession(Secret(endpoint), fields)
    return EndSession(url, Hidden())


def by_template(template: str, client_id: str, back: str) -> EndSession:
    """Return the request for a URL that ``MSAL_LOGOUT_URL`` describes.

    It has the app and the way back, and nothing of the user.
    """
    url = template.replace("{client_id}", quote(client_id, safe=""))
    url = url.replace("{return_url}", quote(back, safe=""))
    return EndSession(Secret(url), Hidden())

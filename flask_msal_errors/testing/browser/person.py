"""A person in front of a browser: cookies, redirects, and the emulator's pages.

It stands for a browser in tests over real sockets, without one; nothing it sends or
gets is printed.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t
import urllib.parse

import requests

from ..attributes import KnownAttributes
from .cookies import CookieJar
from .fetch import Data
from .fetch import Step
from .fetch import browser_headers
from .fetch import origin
from .forms import Page
from .forms import refresh_target

MAX_STEPS = 40
_BUTTONS = {
    "mfa": "mfa",
    "device": "device",
    "context": "context",
    "password": "password",
    "profile": "profile",
    "consent": "accept",
    "form_post": "continue",
    "leave": "yes",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of Entra at an app's redirect URI.

    :param params: the fields, as MSAL's ``auth_response`` takes them.
    """

    method: str
    url: str
    params: dict[str, str] = dataclasses.field(repr=False)


class Person(KnownAttributes):
    """A user with a browser of their own.

    :param pages_url: the emulator's pages; what lies elsewhere is the app.
    :param verify: the CA that signs for those pages, as requests takes it.
    :param name: the short name of the user they sign in as; may be changed.
    :param decline_consent: decline on the consent page.
    :param cancel: press Cancel on the first page that has it.
    :param second_factor: can prove more than a password where a page asks for it.
    :param http: the session of requests to go by; one of their own without it.
    """

    name: str
    decline_consent: bool
    cancel: bool
    second_factor: bool
    cookies: CookieJar
    history: list[str]
    pages: list[str]

    def __init__(
        self,
        pages_url: str,
        verify: str | bool,
        name: str = "ada",
        *,
        decline_consent: bool = False,
        cancel: bool = False,
        second_factor: bool = True,
        http: requests.Session | None = None,
    ) -> None:
        self.name = name
        self.decline_consent = decline_consent
        self.cancel = cancel
        self.second_factor = second_factor
        self.cookies = CookieJar()
        self.history = []
        self.pages = []
        self._pages_url = pages_url
        self._http = http or requests.Session()
        self._http.trust_env = False
        self._http.verify = verify

    def get(self, url: str, **kwargs: t.Any) -> requests.Response:
        """Send one GET, as the address bar does; redirects are not followed."""
        return self._send(Step("GET", url, **kwargs))

    def post(
        self, url: str, data: Data | None = None, **kwargs: t.Any
    ) -> requests.Response:
        """Send one POST, as a form on the same origin does; no redirect is followed.

        :param kwargs: ``headers``, ``files``, or ``chain`` for a form of another
            origin: ``chain=("https://evil.example/",)``.
        """
        kwargs.setdefault("chain", (url,))
        return self._send(Step("POST", url, data, **kwargs))

    def visit(
        self,
        url: str,
        data: Data | None = None,
        *,
        stop_at: str | None = None,
        **kwargs: t.Any,
    ) -> requests.Response:
        """Go to ``url`` and on, through redirects and sign-in pages, to the app.

        :param data: post this form instead of a GET.
        :param stop_at: stay on this page of the emulator: ``pick``, ``consent``,
            ``mfa``, ``context``, ``password``, ``form_post``; or, in the app, before an
            interrupted form is sent again: ``resume``.
        :raises RuntimeError: after ``MAX_STEPS`` requests.
        """
        if data is not None or "files" in kwargs:
            kwargs.setdefault("chain", (url,))
            step = Step("POST", url, data, **kwargs)
        else:
            step = Step("GET", url, **kwargs)
        return self._follow(step, stop_at, lambda _: False)[0]

    def submit(
        self,
        response: requests.Response,
        button: str | None = None,
        *,
        stop_at: str | None = None,
        files: t.Any = None,
        **fields: t.Any,
    ) -> requests.Response:
        """Fill and send a form of a page, then go on as ``visit`` does.

        :param button: the value of the button; without it, the first form's first.
        :param fields: what the person enters.
        """
        page = Page(str(response.url), response.text)
        if button is None:
            form = page.forms[0]
            pressed = form.buttons[0] if form.buttons else ("", "")
        else:
            form, pressed = page.find(button)
        data = {**form.fields, **({pressed[0]: pressed[1]} if pressed[0] else {})}
        data.update(fields)
        chain = (str(response.url),)
        if form.method == "GET":
            target = f"{form.action.partition('?')[0]}?{urllib.parse.urlencode(data)}"
            step = Step("GET", target, chain=chain)
        else:
            step = Step("POST", form.action, data, chain, files)
        return self._follow(step, stop_at, lambda _: False)[0]

    def authorize(self, url: str) -> Answer:
        """Go through sign-in as ``visit`` does, but keep what the app would get.

        For apps that do not listen on a socket, such as a Flask test client or MSAL
        alone.

        :raises RuntimeError: if sign-in ended on a page of the emulator.
        """
        step = self._follow(Step("GET", url), None, self._leaves)[1]
        if step is None:
            page = self.pages[-1] if self.pages else "unknown"
            raise RuntimeError(f"Sign-in ended on the emulator's page {page!r}.")
        parts = urllib.parse.urlsplit(step.url)
        params = dict(urllib.parse.parse_qsl(parts.query or parts.fragment))
        if isinstance(step.data, cabc.Mapping):
            params.update(step.data)
        return Answer(step.method, step.url, params)

    def _leaves(self, step: Step) -> bool:
        return origin(step.url) != origin(self._pages_url)

    def _follow(
        self, step: Step, stop_at: str | None, until: t.Callable[[Step], bool]
    ) -> tuple[requests.Response, Step | None]:
        """Take steps until nothing leads on, or the next one is as ``until`` says."""
        for _ in range(MAX_STEPS):
            response = self._send(step)
            following = self._next(step, response, stop_at)
            if following is None or until(following):
                return response, following
            step = following
        raise RuntimeError(f"No end after {MAX_STEPS} requests: a redirect loop?")

    def _next(
        self, step: Step, response: requests.Response, stop_at: str | None
    ) -> Step | None:
        """Return the request that this answer leads to, if any."""
        location = response.headers.get("Location")
        if response.is_redirect and location:
            target = urllib.parse.urljoin(step.url, location)
            chain = (*step.chain, step.url) if step.chain else ()
            kept = response.status_code in (307, 308)
            return Step(
                step.method if kept else "GET",
                target,
                step.data if kept else None,
                chain,
            )
        if "text/html" not in response.headers.get("Content-Type", ""):
            return None
        page = Page(step.url, response.text)
        page.refresh = page.refresh or refresh_target(
            step.url, response.headers.get("Refresh", "")
        )
        if self._leaves(step):
            return self._go_on(page, step.url, stop_at)
        if page.kind is None:
            return None
        self.pages.append(page.kind)
        return None if page.kind == stop_at else self._act(page, step.url)

    def _go_on(self, page: Page, url: str, stop_at: str | None) -> Step | None:
        """Follow a page of the app that leads on by itself in a browser."""
        if page.refresh:
            return Step("GET", page.refresh, chain=(url,))
        for form in page.forms:
            is_kept = "_msal_resume" in form.fields
            if stop_at != "resume" if is_kept else form.id == "resume":
                return Step(form.method, form.action, form.fields, (url,))
        return None

    def _act(self, page: Page, url: str) -> Step | None:
        """Press the button that this person presses on a page of the emulator."""
        for frame in page.frames:
            self._send(Step("GET", frame, chain=(url,)), frame=True)
        if page.refresh:
            return Step("GET", page.refresh, chain=(url,))
        wanted = self.name if page.kind == "pick" else _BUTTONS.get(page.kind or "")
        if page.kind == "consent" and self.decline_consent:
            wanted = "decline"
        stuck = page.kind in ("mfa", "context") and not self.second_factor
        if wanted is None or (stuck and not self.cancel):
            return None
        cancelled = self.cancel and page.kind != "form_post"
        form, button = page.find("cancel" if cancelled else wanted)
        data = {**form.fields, **({button[0]: button[1]} if button[0] else {})}
        return Step(form.method, form.action, data, (url,))

    def _send(self, step: Step, frame: bool = False) -> requests.Response:
        """Send one request with the headers and cookies a browser would send."""
        self.history.append(step.url)
        initiator = step.chain[0] if step.chain else None
        cookie = self.cookies.header(step.url, step.method, initiator, frame)
        headers = browser_headers(step, frame)
        if cookie:
            headers["Cookie"] = cookie
        response = self._http.request(
            step.method,
            step.url,
            data=step.data,
            files=step.files,
            headers={**headers, **step.headers},
            allow_redirects=False,
            timeout=30,
        )
        self._http.cookies.clear()
        raw: t.Any = response.raw
        self.cookies.store(step.url, raw.headers.getlist("Set-Cookie"))
        return response

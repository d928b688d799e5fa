"""Reading a page's forms, links and frames: as much HTML as a person needs."""

from __future__ import annotations

import dataclasses
import html.parser
import re
import urllib.parse


@dataclasses.dataclass
class Form:
    """A form: where it goes, what it holds, its buttons as (name, value).

    ``id`` is the attribute of that name.
    """

    action: str
    method: str
    id: str = ""
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    buttons: list[tuple[str, str]] = dataclasses.field(default_factory=list)


#: HTML standard, "shared declarative refresh steps": case does not matter.
_REFRESH = re.compile(
    r"\s*[0-2]\s*[;,]\s*(?:url\s*=\s*|(?!url\s*=))(?:(?P<quote>['\"])(?P<quoted>.+?)(?P=quote).*|(?P<url>[^'\"\s].*))",
    re.IGNORECASE,
)


def refresh_target(url: str, content: str) -> str | None:
    """Return where a ``Refresh`` of the page at ``url`` leads, if it does so at once.

    >>> refresh_target("http://localhost/a/b", "0; URL='c'")
    'http://localhost/a/c'
    """
    found = _REFRESH.fullmatch(content)
    if found is None:
        return None
    way: str = found["quoted"] or found["url"]
    return urllib.parse.urljoin(url, way.strip())


class Page(html.parser.HTMLParser):
    """A parsed page.

    :param url: the page's own address, to which its links are relative.
    """

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self._url = url
        self.kind: str | None = None
        self.forms: list[Form] = []
        self.frames: list[str] = []
        self.refresh: str | None = None
        self._text_area: str | None = None
        self._open: Form | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta":
            self._meta(given)
        elif tag == "iframe" and given.get("src"):
            self.frames.append(urllib.parse.urljoin(self._url, given["src"]))
        elif tag == "form":
            action = urllib.parse.urljoin(self._url, given.get("action") or self._url)
            method = given.get("method", "get").upper()
            self._open = Form(action, method, given.get("id", ""))
            self.forms.append(self._open)
        elif self._open is not None:
            self._control(self._open, tag, given)

    def _meta(self, given: dict[str, str]) -> None:
        if given.get("name") == "entra-page":
            self.kind = given.get("content")
        elif given.get("http-equiv", "").lower() == "refresh":
            self.refresh = refresh_target(self._url, given.get("content", ""))

    def _control(self, form: Form, tag: str, given: dict[str, str]) -> None:
        name, value = given.get("name", ""), given.get("value", "")
        kind = given.get("type", "submit" if tag == "button" else "text").lower()
        sent = kind not in ("checkbox", "radio") or "checked" in given
        if kind == "submit" and tag in ("button", "input"):
            form.buttons.append((name, value))
        elif tag == "textarea" and name:
            self._text_area, form.fields[name] = name, ""
        elif tag == "input" and name and sent:
            form.fields[name] = value or ("on" if kind == "checkbox" else "")

    def handle_data(self, data: str) -> None:
        if self._open is not None and self._text_area is not None:
            self._open.fields[self._text_area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text_area = None
        elif tag == "form":
            self._open = None

    def find(self, *wanted: str) -> tuple[Form, tuple[str, str]]:
        """Return the first form with a button of one of these values.

        :raises LookupError: if no form has one.
        """
        for value in wanted:
            for form in self.forms:
                for button in form.buttons:
                    if button[1] == value:
                        return form, button
        raise LookupError(f"The page has no button {' or '.join(wanted)}.")

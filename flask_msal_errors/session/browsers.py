"""Names of browsers, by what they say of themselves. Pure functions."""

from __future__ import annotations

import re

#: The mark of a browser or system in the header, and its name for people. In this
#: order: most browsers name others, too (https://developer.mozilla.org/docs/Web/HTTP/
#: Reference/Headers/User-Agent).
_BROWSERS = {
    **{"Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet"},
    **{"Vivaldi": "Vivaldi", "FxiOS": "Firefox", "Firefox": "Firefox"},
    **{"CriOS": "Chrome", "Chrome": "Chrome", "HeadlessChrome": "Chrome"},
    **{"Safari": "Safari"},
}
_SYSTEMS = {
    **{"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "CrOS": "ChromeOS"},
    **{"Windows": "Windows", "Macintosh": "macOS", "Linux": "Linux"},
}
#: Characters of the header that are looked at.
_LONGEST = 400


def browser_of(user_agent: str) -> str:
    """Return a browser in words, such as ``"Firefox on Windows"``.

    A hint for its user, and no proof: any program can say that it is any browser.

    :param user_agent: the header of that name.
    """
    words = set(re.findall(r"[A-Za-z]+", user_agent[:_LONGEST]))
    # Edge says Edg, EdgA or EdgiOS.
    words |= {"Edg"} & {word[:3] for word in words}
    browser = next((name for mark, name in _BROWSERS.items() if mark in words), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in words), "")
    if system:
        return f"{browser or 'Browser'} on {system}"
    return browser or "Unknown browser"

"""Names of programs that open links for a person, as they stand in ``User-Agent``.

The one table of them. Each is a whole word that no browser's name has.
"""

from __future__ import annotations

import re

#: Words in the ``User-Agent`` of Word, Excel and PowerPoint, which resolve a link
#: without the cookies of the browser that they then open it in
#: (https://learn.microsoft.com/office/troubleshoot/office-suite-issues/click-hyperlink-to-sso-website,
#: once KB 899927; https://github.com/indico/indico/issues/4720,
#: https://github.com/IdentityServer/IdentityServer3/issues/3227), and of the WebDAV
#: client of Windows, which asks ahead of them.
OFFICE = re.compile(
    r"(?<![\w-])(ms-office|msoffice|microsoft-(office|webdav)"
    r"|microsoft (office|word|excel|powerpoint|onenote))(?!\w)"
    # Inside of such a program, the pages are shown by the engine of a browser.
    r"|^(?!.*AppleWebKit).*(?<![\w-])(word|excel|powerpoint|onenote)/\d",
    re.IGNORECASE,
)
#: Outlook shows web pages by the engine of Internet Explorer: that is a browser.
OUTLOOK = re.compile(r"(msie|trident).*microsoft outlook", re.IGNORECASE)
#: Words in the names of link previews, as their owners publish them
#: (https://api.slack.com/robots,
#: https://developers.facebook.com/docs/sharing/webmasters/web-crawlers/), and the
#: address that any robot gives for questions (RFC 9309 §2.2.1: "product token";
#: by custom ``+https://…``). ``SkypeUriPreview`` is Teams.
ROBOT = re.compile(
    r"\+https?://|(?<!\w)(slackbot|slack-imgproxy|skypeuripreview|facebookexternalhit"
    r"|facebot|twitterbot|linkedinbot|telegrambot|discordbot|urlpreviewbot"
    r"|mattermost-bot|google-calendar-importer|dataaccessd|calendaragent)(?!\w)"
    # Inside of a name, these are apps that show pages to people.
    r"|^(whatsapp|viber|mattermost|rocket\.chat|signal|snap url preview"
    r"|freshrss|tiny tiny rss|netnewswire|simplepie|feedparser)\b",
    re.IGNORECASE,
)
#: Types that only readers of feeds, calendars and podcasts name in ``Accept``.
FEEDS = re.compile(
    r"application/(rss|atom|rdf)\+xml|application/feed\+json|text/calendar|audio/"
)

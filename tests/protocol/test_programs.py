"""Names of programs in ``User-Agent``: of those meant, and of no browser."""

from __future__ import annotations

import pytest

from flask_msal_errors.protocol.programs import FEEDS
from flask_msal_errors.protocol.programs import OFFICE
from flask_msal_errors.protocol.programs import OUTLOOK
from flask_msal_errors.protocol.programs import ROBOT

IE = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
OFFICES = (
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "Mozilla/4.0 (compatible; ms-office; MSOffice rmj)",
    "Mozilla/4.0 (compatible; ms-office)",
    f"{IE}; .NET4.0C; .NET4.0E; ms-office)",
    f"{IE}; .NET4.0C; .NET4.0E; MSOffice 12)",
    "Microsoft Office Existence Discovery",
    "Microsoft Office Protocol Discovery",
    "Microsoft Office Word 2014",
    "Microsoft Office Excel 2014 (16.0.17328) Windows NT 10.0",
    "Microsoft Office PowerPoint 2014",
    "Microsoft Office Core Storage Infrastructure/1.0",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Word 16.0.17328; Pro)",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
    "Microsoft Word/16.89 (Macintosh; Mac OS X 14.6)",
    "Excel/16.89 CFNetwork/1498.700.2 Darwin/23.6.0",
    "Microsoft-WebDAV-MiniRedir/10.0.22631",
    "MSOffice",
    "Microsoft Excel 2019",
)
ROBOTS = (
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slackbot 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 "
    "skype-url-preview@microsoft.com",
    "WhatsApp/2.23.20.0",
    "WhatsApp/2.2413.51 W",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebookexternalhit/1.1;line-poker/1.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like "
    "Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot "
    "Twitterbot/1.0",
    "Twitterbot/1.0",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin"
    ".com)",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Mattermost-Bot/1.1",
    "mattermost-server/9.5.1",
    "Mozilla/5.0 (compatible; ZulipURLPreview/2.1; +https://zulip.com)",
    "Synapse (bot; +https://github.com/matrix-org/synapse)",
    "Mastodon/4.2.8 (http.rb/5.1.1; +https://mastodon.social/) Bot",
    "Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about) Bot",
    "Viber/20.3.0",
    "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
    "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 2 subscribers)",
    "Mozilla/5.0 (compatible; Miniflux/2.1.3; +https://miniflux.app)",
    "FreshRSS/1.24.1 (Linux; https://freshrss.org)",
    "Tiny Tiny RSS/24.05 (https://tt-rss.org/)",
    "NetNewsWire (RSS Reader; https://netnewswire.com/)",
    "feedparser/6.0.11 +https://github.com/kurtmckee/feedparser/",
    "Google-Calendar-Importer",
    "iOS/17.5 (21F79) dataaccessd/1.0",
    "macOS/14.5 (23F79) CalendarAgent/988",
)
BROWSERS = {
    "Chrome": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}",
    "Edge": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/130.0.0.0",
    "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Safari": f"{PHONE} (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Internet Explorer": "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like "
    "Gecko",
    "IE mode": f"{IE}; .NET4.0C; .NET4.0E)",
    "Teams": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Teams/1.7.00.6058 Chrome/108.0.5359.215 Electron/22.3.27 "
    "Safari/537.36",
    "new Teams": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/130.0.0.0 "
    "Teams/24277.3502.3161.3007/49",
    "Teams on a phone": f"{PHONE} (KHTML, like Gecko) Mobile/15E148 TeamsMobile-iOS",
    "Outlook on a phone": f"{PHONE} (KHTML, like Gecko) Mobile/15E148 "
    "Outlook-iOS/709.2226530.prod.iphone (3.24.1)",
    "Outlook on Android": "Mozilla/5.0 (Linux; Android 14; SM-S911B; wv) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile "
    "Safari/537.36 Outlook-Android/2.0",
    "Facebook's": f"{PHONE} (KHTML, like Gecko) Mobile/15E148 "
    "[FBAN/FBIOS;FBAV/470.1.0.43.107;FBBV/614001]",
    "LinkedIn's": f"{PHONE} (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.29",
    "WhatsApp's": f"{PHONE} (KHTML, like Gecko) Mobile/15E148 WhatsApp/2.24.10",
    "Slack's": f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Slack/4.39.95 Electron/31.3",
    "Discord's": f"Mozilla/5.0 (Windows NT 10.0) {CHROME} discord/1.0.9154",
    "Signal's": f"Mozilla/5.0 (X11; Linux) {CHROME} Signal/7.10.0 Electron/30",
    "Mattermost's": f"Mozilla/5.0 (X11; Linux) {CHROME} Mattermost/5.8 Electron/29",
    "Thunderbird": "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 "
    "Thunderbird/115.11.0",
    "OneNote's": f"{PHONE} (KHTML, like Gecko) Mobile/15E148 OneNote/16.80 Safari/604",
    "an odd phone's": "Mozilla/5.0 (Linux; Android 10; Excel M4) Gecko/130.0",
    "Samsung": "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, "
    "like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
}


@pytest.mark.parametrize("agent", OFFICES)
def test_office(agent: str) -> None:
    """Programs of Office, and what resolves links for them, are known."""
    assert OFFICE.search(agent)
    assert not ROBOT.search(agent)


@pytest.mark.parametrize("agent", ROBOTS)
def test_robots(agent: str) -> None:
    """Link previews and readers of feeds and calendars are known."""
    assert ROBOT.search(agent)


@pytest.mark.parametrize("agent", BROWSERS.values(), ids=BROWSERS)
def test_browsers(agent: str) -> None:
    """No browser is taken for one of them, in whichever app it is."""
    assert not OFFICE.search(agent)
    assert not ROBOT.search(agent)


def test_whole_words() -> None:
    """A longer word that has one of the names in it is another name."""
    for agent in ("WordPress/6.5; https://blog.example", "ExcelsiorBrowser/1.0"):
        assert not OFFICE.search(agent)
    assert not ROBOT.search("Mozilla/5.0 (X11) MySlackbots/1.0")


def test_outlook() -> None:
    """Outlook that shows pages by Internet Explorer's engine is a browser."""
    assert OUTLOOK.search(f"{IE}; Microsoft Outlook 16.0.17328; ms-office; MSOffice 16")
    assert not any(map(OUTLOOK.search, OFFICES))


@pytest.mark.parametrize(
    ("accept", "is_feed"),
    [
        ("application/atom+xml, application/rss+xml, text/html;q=0.7, */*;q=0.1", True),
        ("application/feed+json, application/json", True),
        ("text/calendar, */*", True),
        ("audio/mpeg, audio/*;q=0.8", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("text/html,application/xhtml+xml,image/jxr,*/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_feeds(accept: str, is_feed: bool) -> None:
    """Types of feeds, calendars and podcasts are told from those of browsers."""
    assert bool(FEEDS.search(accept)) == is_feed

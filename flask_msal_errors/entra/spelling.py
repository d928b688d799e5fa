"""Spelling of scopes: how Entra writes them, as far as it is known beforehand."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..protocol.scopes import of_graph
from ..protocol.scopes import resource

#: Delegated permissions that many apps ask for, as they are registered.
#: https://learn.microsoft.com/graph/permissions-reference
GRAPH_SCOPES = (
    "AuditLog.Read.All",
    "Calendars.Read",
    "Calendars.Read.Shared",
    "Calendars.ReadWrite",
    "Calendars.ReadWrite.Shared",
    "Channel.ReadBasic.All",
    "ChannelMessage.Send",
    "Chat.Read",
    "Chat.ReadWrite",
    "Contacts.Read",
    "Contacts.ReadWrite",
    "Device.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Files.Read",
    "Files.Read.All",
    "Files.ReadWrite",
    "Files.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "GroupMember.Read.All",
    "Mail.Read",
    "Mail.Read.Shared",
    "Mail.ReadBasic",
    "Mail.ReadWrite",
    "Mail.Send",
    "MailboxSettings.Read",
    "MailboxSettings.ReadWrite",
    "Notes.Read",
    "Notes.ReadWrite",
    "OnlineMeetings.Read",
    "OnlineMeetings.ReadWrite",
    "People.Read",
    "Presence.Read",
    "Sites.Read.All",
    "Sites.ReadWrite.All",
    "Tasks.Read",
    "Tasks.ReadWrite",
    "Team.ReadBasic.All",
    "User.Read",
    "User.Read.All",
    "User.ReadBasic.All",
    "User.ReadWrite",
    "User.ReadWrite.All",
)
_BY_NAME = {name.lower(): name for name in GRAPH_SCOPES}


def as_registered(scope: str) -> str:
    """Return a scope as Entra's answers write it, as far as that is known.

    Graph's scopes have short names there, but in a sovereign cloud; and one slash
    stands before the name.
    """
    prefix, _, name = scope.rpartition("/")
    if name.lower() == ".default":
        return f"{prefix.rstrip('/')}/.default" if prefix else scope
    if not resource(scope):
        return of_graph(_BY_NAME.get(name.lower(), name), urlsplit(prefix).netloc)
    return f"{prefix.rstrip('/')}/{name}" if name and prefix else scope

"""Flask sign-in with Microsoft Entra that handles "no, not without the user"."""

from __future__ import annotations

from .errors import AccessDenied
from .errors import ConfigurationError
from .errors import FlowExpired
from .errors import InteractionRequired
from .errors import InvalidIdToken
from .errors import MsalAuthError
from .errors import NotResumed
from .errors import OtherAccount
from .errors import ReauthenticationLoop
from .errors import RoleRequired
from .errors import ServiceUnavailable
from .errors import SignInError
from .errors import StateMismatch
from .errors import Throttled
from .errors import TokenError
from .extension import MsalAuth
from .session.user_session import UserSession
from .settings import Settings
from .user import User

__all__ = [
    "AccessDenied",
    "ConfigurationError",
    "FlowExpired",
    "InteractionRequired",
    "InvalidIdToken",
    "MsalAuth",
    "MsalAuthError",
    "NotResumed",
    "OtherAccount",
    "ReauthenticationLoop",
    "RoleRequired",
    "ServiceUnavailable",
    "Settings",
    "SignInError",
    "StateMismatch",
    "Throttled",
    "TokenError",
    "User",
    "UserSession",
]

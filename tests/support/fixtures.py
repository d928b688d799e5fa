"""Helpers by their old names; see the modules that they come from."""

from __future__ import annotations

from flask_msal_errors.provider.client import Client as Client
from flask_msal_errors.settings import Settings as Settings
from flask_msal_errors.storage.setup import prepare as prepare
from support.parallel import in_threads as in_threads
from support.parallel import python as python
from support.session_apps import BACKENDS as BACKENDS
from support.session_apps import CLIENTS as CLIENTS
from support.session_apps import SERVERS as SERVERS
from support.session_apps import DictInterface as DictInterface
from support.session_apps import app_on_backend as app_on_backend
from support.session_apps import bare_app as bare_app
from support.session_apps import close_database as close_database
from support.session_apps import plant as plant
from support.session_apps import session_app as session_app
from support.session_apps import session_id as session_id
from support.sign_ins import REDIRECT_URI as REDIRECT_URI
from support.sign_ins import access_tokens as access_tokens
from support.sign_ins import aged as aged
from support.sign_ins import client as client
from support.sign_ins import impatient as impatient
from support.sign_ins import packed as packed
from support.sign_ins import settings as settings
from support.sign_ins import sign_in as sign_in
from support.sign_ins import signed_in as signed_in
from support.sockets import silent_listener as silent_listener
from support.strategies import JSON as JSON
from support.waiting import until as until

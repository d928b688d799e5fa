"""Runs the app of app.py on an emulated tenant, until Enter is pressed."""

import logging
import os

from app import create_app
from cachelib import SimpleCache

from flask_msal_errors.testing import Emulator

logging.basicConfig(format="%(message)s")
logging.getLogger("flask_msal_errors").setLevel("INFO")

with Emulator() as entra:
    os.environ.update(REQUESTS_CA_BUNDLE=entra.ca_file, no_proxy="localhost")
    config = entra.config(
        SECRET_KEY="of the emulated tenant",
        GRAPH_URL=entra.graph_url,
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=SimpleCache(threshold=10_000),
    )
    with entra.serve(create_app(config)) as url:
        print("The app           ", url)
        print("The control panel ", entra.panel_url, flush=True)
        input("Press Enter to stop.\n")

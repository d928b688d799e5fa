"""A secret of Azure Key Vault, read as the signed-in user."""

from azure.keyvault.secrets import SecretClient
from flask import Flask

from flask_msal_errors import MsalAuth

VAULT = "https://contoso.vault.azure.net"

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/salary")
    @auth.login_required
    def salary():
        with SecretClient(VAULT, auth.credential()) as vault:
            return vault.get_secret("salary").value

    return app

"""Sessions in Azure Managed Redis: a cluster, by TLS and the app's managed identity."""

from flask import Flask
from redis.cluster import RedisCluster
from redis_entraid.cred_provider import create_from_default_azure_credential

from flask_msal_errors import MsalAuth

HOST, PORT = "contoso.westeurope.redis.azure.net", 10000

auth = MsalAuth()


def session_redis():
    scopes = ("https://redis.azure.com/.default",)
    return RedisCluster(
        host=HOST,
        port=PORT,
        ssl=True,
        # Nodes give their IP addresses, and certificates have the name only.
        address_remap=lambda address: (HOST, address[1]),
        credential_provider=create_from_default_azure_credential(scopes),
        socket_timeout=3,
        socket_connect_timeout=3,
    )


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = session_redis()
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app

"""An app in production: Redis, one proxy, checks of its health, a log in JSON."""

import json
import logging
import os
from datetime import datetime
from datetime import timezone

from flask import Flask
from redis import Redis
from redis import RedisError
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors import MsalAuth

auth = MsalAuth()


class JsonLines(logging.Formatter):
    """One line of JSON for each event, with the fields of ours that say something."""

    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {k: v for k, v in vars(record).items() if k.startswith("msal_") and v}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line | fields)


def create_app():
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])

    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1, x_prefix=1)
    app.config.from_prefixed_env()
    redis = Redis.from_url(
        os.environ["REDIS_URL"], socket_timeout=3, socket_connect_timeout=3
    )
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis)
    auth.init_app(app)

    @app.get("/health/live")
    def live():
        return "alive"

    @app.get("/health/ready")
    def ready():
        try:
            redis.ping()
        except RedisError:
            return "The session store does not answer.", 503
        return "ready"

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app

"""Guards in API frameworks, and below a cache."""

from flask import Flask
from flask.views import MethodView
from flask_caching import Cache
from flask_restx import Api
from flask_restx import Resource
from flask_restx import fields
from flask_smorest import Api as Smorest
from flask_smorest import Blueprint as Group

from flask_msal_errors import MsalAuth

auth = MsalAuth()
cache = Cache(config={"CACHE_TYPE": "SimpleCache"})
restx = Api(doc=False, prefix="/restx")
model = restx.model("Me", {"name": fields.String})
group = Group("orders", "orders", url_prefix="/orders")


@restx.route("/me")
class Me(Resource):
    # For each method; the marshal stands outside, and does not see an answer of ours.
    method_decorators = [auth.login_required]

    @restx.marshal_with(model)
    def get(self):
        return {"name": auth.user.name}


@group.route("/")
class Orders(MethodView):
    @group.etag
    @group.response(200)
    @auth.login_required
    def get(self):
        return {"owner": auth.user.name}


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.update(API_TITLE="Orders", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    auth.init_app(app)
    cache.init_app(app)
    restx.init_app(app)
    Smorest(app).register_blueprint(group)

    @app.get("/news")
    @auth.login_required
    @cache.cached(60)
    def news():
        return "the same for all who are signed in"

    return app

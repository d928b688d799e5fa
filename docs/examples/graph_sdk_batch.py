"""A batch of Microsoft Graph by its SDK, acting for the signed-in user."""

from flask import Flask
from msgraph import GraphServiceClient
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/desk")
    @auth.login_required(scopes=["User.Read"])
    async def desk():
        graph = GraphServiceClient(auth.credential().aio, scopes=["User.Read"])
        calls = BatchRequestContent()
        me = graph.me.to_get_request_information()
        calls.add_request("me", BatchRequestItem(me, id="me"))
        batch = await BatchRequestBuilder(graph.request_adapter).post(calls)
        auth.check(batch)
        return batch.get_response_status_codes()

    return app

"""Operations of Azure and Microsoft Graph that take many calls, judged by the emulator.

Served beside it: long-running operations of Resource Manager, blobs in blocks, a vault
with pages and soft delete, and Graph's pages, batches and upload sessions.
"""

from __future__ import annotations

import re
import typing as t
from email.utils import formatdate

from flask import Flask
from flask import Response
from flask import jsonify
from flask import request

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import challenges
from flask_msal_errors.testing.entra.api import Unauthorized
from flask_msal_errors.testing.entra.api import caller
from flask_msal_errors.testing.entra.api import refused
from flask_msal_errors.testing.entra.model import GRAPH

#: How often an operation says that it is not done.
POLLS = 2
Hook = t.Callable[[str], t.Any]


class AzureApis:
    """A WSGI application; every call but those of ``/upload`` needs a living token."""

    def __init__(self, entra: Emulator) -> None:
        self.entra = entra
        self.url = ""
        self.before: Hook = lambda call: None
        """Is told of each call, as ``"GET /path"``; what it returns is the answer."""
        self.forget()
        self.app = Flask("apis")
        self.app.before_request(self._judge)
        self.app.register_error_handler(Unauthorized, refused)
        for view in (self._arm, self._blob, self._vault, self._graph):
            name = view.__name__[1:]
            methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
            rule = f"/{name}/<path:path>"
            self.app.add_url_rule(rule, name, view, methods=methods)

    def forget(self) -> None:
        """Begin anew, with no calls and nothing stored."""
        self.calls: list[str] = []
        self.blocks: dict[str, bytes] = {}
        self.blob = b""
        self.uploaded = b""
        self._waits: dict[str, int] = {}

    def __call__(self, environ: t.Any, start: t.Any) -> t.Any:
        return self.app(environ, start)

    def _judge(self) -> t.Any:
        tenant, kind = self.entra.tenant, request.path.split("/")[1]
        self.calls.append(f"{request.method} {request.path}")
        answer = self.before(self.calls[-1])
        if answer is not None:
            return answer
        if kind == "vault" and "Authorization" not in request.headers:
            raise Unauthorized(challenges.vault(tenant))
        if "/upload/" not in request.path:
            resource = GRAPH if kind == "graph" else self.entra.api_resource
            caller(tenant, None, resource)
        return None

    def _is_waiting(self, name: str) -> bool:
        self._waits[name] = self._waits.get(name, 0) + 1
        return self._waits[name] <= POLLS

    def _arm(self, path: str) -> t.Any:
        operation = {"Location": f"{self.url}/arm/operations/1", "Retry-After": "0"}
        if path.startswith("operations/"):
            status = 202 if self._is_waiting("arm") else 200
            headers = operation if status == 202 else {}
            return jsonify(name="done"), status, headers
        if request.method in ("DELETE", "POST"):
            return "", 202, operation
        if request.method == "PUT":
            # Azure-AsyncOperation, with the final state at the resource.
            operation["Azure-AsyncOperation"] = f"{self.url}/arm/status/1"
            return jsonify(id=f"/{path}", name="made"), 201, operation
        if path.startswith("status/"):
            waits = self._is_waiting("put")
            return jsonify(status="InProgress" if waits else "Succeeded")
        return jsonify(id=f"/{path}", name="made")

    def _blob(self, path: str) -> t.Any:
        headers = {
            "ETag": '"1"',
            "Last-Modified": formatdate(usegmt=True),
            "x-ms-blob-type": "BlockBlob",
            "Accept-Ranges": "bytes",
        }
        if request.method == "PUT":
            if request.args.get("comp") == "block":
                self.blocks[request.args["blockid"]] = request.get_data()
            else:
                ids = re.findall(
                    "<Latest>(.*?)</Latest>", request.get_data(as_text=True)
                )
                self.blob = b"".join(self.blocks[each] for each in ids)
            return "", 201, headers
        asked = request.headers.get("x-ms-range") or request.headers["Range"]
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = self.blob[int(first) : int(last) + 1]
        end = int(first) + len(part) - 1
        headers["Content-Range"] = f"bytes {first}-{end}/{len(self.blob)}"
        return Response(part, 206, headers, mimetype="application/octet-stream")

    def _vault(self, path: str) -> t.Any:
        place = f"{self.url}/vault"
        if path.startswith("deletedsecrets/"):
            if self._is_waiting("vault"):
                return jsonify(error={"code": "SecretNotFound"}), 404
            return jsonify(id=f"{self.url}/secrets/a", attributes={})
        if request.method == "DELETE":
            recovery = f"{self.url}/deletedsecrets/a"
            return jsonify(
                id=f"{self.url}/secrets/a", recoveryId=recovery, attributes={}
            )
        page = int(request.args.get("page", 1))
        following = f"{place}/secrets?page={page + 1}&api-version=1"
        return jsonify(
            value=[{"id": f"{self.url}/secrets/name{page}", "attributes": {}}],
            nextLink=following if page < 3 else None,
        )

    def _graph(self, path: str) -> t.Any:
        if path.endswith("$batch"):
            asked = request.get_json()["requests"]
            answers = [
                {"id": each["id"], "status": 200, "headers": {}, "body": {"id": "x"}}
                for each in asked
            ]
            return jsonify(responses=answers)
        if "upload/" in path:
            place = re.findall("[0-9]+", request.headers["Content-Range"])
            start, _, total = map(int, place)
            self.uploaded = self.uploaded[:start] + request.get_data()
            end = len(self.uploaded)
            if end < total:
                return jsonify(nextExpectedRanges=[f"{end}-{total - 1}"]), 202
            return jsonify(id="file"), 201
        page = int(request.args.get("page", 1))
        following = f"{self.url}/graph/v1.0/me/messages?page={page + 1}"
        link = {"@odata.nextLink": following} if page < 3 else {}
        return jsonify(value=[{"id": str(page), "subject": f"mail {page}"}], **link)

"""gunicorn with workers of gevent, whose app is loaded before they begin."""

from __future__ import annotations

import pytest

from flask_msal_errors.testing import Emulator
from support.cluster import LINUX
from support.cluster import Cluster
from support.doc_examples import BLOCK
from support.doc_examples import EXAMPLES

pytestmark = LINUX
GUIDE = EXAMPLES.parent / "guides" / "beside-other-packages.rst"
GEVENT = ("--worker-class", "gevent", "--preload")


@pytest.mark.parametrize("patched", [True, False])
def test_sign_in(entra: Emulator, patched: bool) -> None:
    """The guide's file makes calls succeed; without it the log tells of the file."""
    found = [code for _, code in BLOCK.findall(GUIDE.read_text("utf-8"))]
    config = next(code for code in found if "monkey.patch_all()" in code)
    with Cluster(entra) as cluster:
        file = cluster.folder / "gunicorn.conf.py"
        lines = config.splitlines() if patched else []
        file.write_text("\n".join(line.strip() for line in lines), "utf-8")
        options = (*GEVENT, "--config", str(file))
        host = cluster.host(*options, workers=1, threads=0)
        answer = entra.person().visit(host.url + "/profile")
        log = host.log.read_text("utf-8")
    if patched:
        assert answer.json() == {"user": "Ada Lovelace", "token": "Ada Lovelace"}
    else:
        assert answer.status_code == 500
        assert log.count("gunicorn.conf.py begins with") == 1

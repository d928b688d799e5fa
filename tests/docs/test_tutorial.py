"""The tutorial, done as its readers do it: its files and its commands, in order."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import difflib
import itertools
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.testing import Person
from support.cluster import Server
from support.doc_examples import EXAMPLES
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = pytest.mark.once

DOCS = EXAMPLES.parent
PAGE = DOCS / "tutorial.rst"
_SHOWN = re.compile(
    r"^\.\. literalinclude:: (\S+)\n   :caption: (\S+)\n"
    r"(?:   :emphasize-lines: (\S+)\n)?",
    re.M,
)
_SHELL = re.compile(r"^\.\. code-block:: shell\n\n((?:   .+\n)+)", re.M)
_TOLD = re.compile(r"^\.\. code-block:: text\n\n((?:   .+\n)+)", re.M)


class Shown(t.NamedTuple):
    """A file of the page, and the name that readers save it by."""

    path: Path
    name: str
    marked: str

    def lines(self) -> list[str]:
        return self.path.read_text("utf-8").splitlines()


class Section(t.NamedTuple):
    files: list[Shown]
    commands: list[str]
    text: str


def sections() -> dict[str, Section]:
    parts = re.split(r"^(.+)\n-{3,}\n", PAGE.read_text("utf-8"), flags=re.M)
    return dict(zip(parts[1::2], map(section, parts[2::2]), strict=True))


def section(text: str) -> Section:
    files = [Shown(DOCS / path, *rest) for path, *rest in _SHOWN.findall(text)]
    blocks = _SHELL.findall(text)
    return Section(files, [line[3:] for b in blocks for line in b.splitlines()], text)


class Terminal(Server):
    """A window in which a program runs until it is stopped.

    :param ready: what it prints when it can be used; its group is kept in ``found``.
    :param printed: the file that it prints that to; its log without it.
    """

    def __init__(self, folder: Path, name: str, ready: str, printed: str = "") -> None:
        super().__init__(folder, name)
        self._printed = folder / (printed or self.log.name)
        self.found = ""
        self._ready = ready

    def run(self, commands: cabc.Sequence[str]) -> str:
        """Type commands, the last of which goes on; return what it printed."""
        *first, last = commands
        line = " && ".join([f"cd {self.folder}", *first, f"exec {last}"])
        self._spawn(["sh", "-c", line], **environment())
        return self.found

    def starts(self) -> int:
        """How often the app of ``flask run --debug`` was loaded."""
        return self.log.read_text("utf-8").count("Debugger is active!")

    def _answers(self) -> bool:
        printed = self._printed.read_text("utf-8") if self._printed.exists() else ""
        found = re.search(self._ready, printed)
        self.found = found[1] if found else ""
        return bool(found)


def environment() -> dict[str, str]:
    """Commands are those of the environment that runs the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


class Reader:
    """Somebody who follows the page: a folder, terminals, and a browser."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.sections = sections()
        self._stack = stack
        self.panel = self.url = ""

    def save(self, title: str) -> Section:
        """Save the files of a section as the page names them."""
        for shown in self.sections[title].files:
            shutil.copyfile(shown.path, self.folder / shown.name)
        return self.sections[title]

    def terminal(self, name: str, ready: str, printed: str = "") -> Terminal:
        made = Terminal(self.folder, name, ready, printed)
        self._stack.callback(made.close)
        return made

    def change(self, title: str, app: Terminal) -> None:
        """Save a new app.py, and wait until the running app has it."""
        starts = app.starts()
        self.save(title)
        until(lambda: app.starts() > starts)

    def command(self, line: str) -> str:
        """Run a command that ends, with the settings of the tenant."""
        done = subprocess.run(
            ["sh", "-c", f". ./tenant.env && {line}"],
            cwd=self.folder,
            env={**os.environ, **environment()},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def person(self) -> Person:
        ca_file = re.findall(r"^export REQUESTS_CA_BUNDLE=(\S+)$", self.env, re.M)[0]
        return Person(self.panel.removesuffix("/panel"), ca_file)

    @property
    def env(self) -> str:
        return (self.folder / "tenant.env").read_text("utf-8")

    def flip(self, **switch: t.Any) -> None:
        """Press a button of the control panel."""
        browser = self.person()
        page = browser.get(self.panel)
        assert switch["do"] in page.text
        assert browser.post(self.panel, switch).status_code < 400


@pytest.fixture
def reader(tmp_path: Path) -> cabc.Iterator[Reader]:
    with contextlib.ExitStack() as stack:
        yield Reader(tmp_path, stack)


def test_hour(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each section leaves what it promises: from the sign-in to gunicorn."""
    monkeypatch.setenv("no_proxy", "localhost")
    *_, start = reader.sections["A tenant on your computer"].commands
    tenant = reader.terminal("tenant", r"(?s)panel (\S+).*no_proxy=.", "tenant.env")
    # A fixed port cannot be everybody's.
    reader.panel = tenant.run([start.replace("--pages-port 8080 ", "")])

    first = reader.save("Sign in").commands
    app = reader.terminal("app", r"Running on http://127.0.0.1:(\d+)")
    assert first[:2] == [". .venv/bin/activate", ". ./tenant.env"]
    port = app.run([first[1], f"{first[2]} --port 0"])
    url = f"http://localhost:{port}/"
    ada = reader.person()
    assert "Hello Ada Lovelace" in ada.visit(url).text
    assert "every setting" in reader.sections["Sign in"].text
    assert "ok       settings" in reader.command(first[3])

    until(app.starts)
    reader.change("Call an API", app)
    assert "ada@contoso.example" in ada.visit(url).text
    assert "consent" in ada.pages

    refused(reader, ada, url, app)
    survives(reader, ada, url, app)

    reader.change("Step-up", app)
    ada.pages.clear()
    assert "20 paid out" in ada.visit(f"{url}pay-out", {}).text
    assert "context" in ada.pages

    assert "4 passed" in reader.command(*reader.save("Tests").commands)
    app.close()

    run = reader.save("Run it with gunicorn").commands
    served = reader.terminal("gunicorn", r"Listening at: http://127.0.0.1:(\d+)")
    port = served.run([". ./tenant.env", f"{run[0]} --bind 127.0.0.1:0"])
    page = ada.visit(f"http://localhost:{port}/")
    assert "Hello Ada Lovelace" in page.text


def refused(reader: Reader, ada: Person, url: str, app: Terminal) -> None:
    """Revoke, and demand MFA: the page is back each time, and the log says why."""
    told = reader.sections["See Entra refuse"]
    reader.flip(do="revoke", user="ada")
    assert "ada@contoso.example" in ada.visit(url).text
    reader.flip(do="require_mfa", user="ada")
    reader.flip(do="change_ip", user="ada")
    ada.pages.clear()
    assert "ada@contoso.example" in ada.visit(url).text
    assert "mfa" in ada.pages
    log = re.sub("correlation id [0-9a-f-]{36}", "correlation id …", app.tail())
    for line in _TOLD.findall(told.text)[0].splitlines():
        assert line[3:] in log.splitlines()
    assert "UserStrongAuthClientAuthNRequired" in reader.command(*told.commands)


def survives(reader: Reader, ada: Person, url: str, app: Terminal) -> None:
    """A form that meets a revoked session arrives once."""
    reader.change("A form that survives", app)
    reader.flip(do="revoke", user="ada")
    page = ada.visit(f"{url}expenses", {"what": "Taxi", "sum": "20"})
    assert page.text.count("Taxi: 20") == 1


def test_marks() -> None:
    """The marked lines of each version of app.py are those that are new."""
    versions = [
        shown
        for part in sections().values()
        for shown in part.files
        if shown.name == "app.py"
    ]
    assert len(versions) == 4
    for old, new in itertools.pairwise(versions):
        assert new.marked == new_lines(old.lines(), new.lines()), new.path


def new_lines(old: list[str], new: list[str]) -> str:
    """Return the numbers of the lines that are not in the old version."""
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    spans = [(k + 1, end) for tag, _, _, k, end in changes if tag != "equal"]
    return ",".join(
        f"{start}-{end}" if end > start else f"{start}"
        for start, end in spans
        if end >= start
    )


def test_files() -> None:
    """The page shows every file of its folder."""
    shown = {shown.path for part in sections().values() for shown in part.files}
    assert shown == set((EXAMPLES / "tutorial").rglob("*.py"))

"""Writes ``llms.txt`` beside the pages: rules, a program, and what each page is about.

All of it is read from the pages; the format is that of https://llmstxt.org.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

#: The page whose list and program come before the pages.
RULES = "assistants"


def marked(node: nodes.Node) -> str:
    """Return a node as one line of Markdown: names of code in backticks."""
    if isinstance(node, nodes.literal):
        return f"`{node.astext()}`"
    if isinstance(node, nodes.Text):
        return " ".join(f"|{node.astext()}|".split())[1:-1]
    return "".join(map(marked, node.children))


def summary(doctree: nodes.document) -> str:
    """Return the description of a page, the first sentence of its text, or nothing."""
    for meta in doctree.findall(nodes.meta):
        if meta.get("name") == "description":
            return f": {meta['content']}"
    for paragraph in doctree.findall(nodes.paragraph):
        return f": {marked(paragraph).partition('. ')[0].rstrip('.:')}."
    return ""


def rules(doctree: nodes.document) -> cabc.Iterator[str]:
    """Yield the numbered list of a page, and its programs."""
    for listed in doctree.findall(nodes.enumerated_list):
        for number, item in enumerate(listed.children, 1):
            yield f"{number}. {marked(item)}"
    for program in doctree.findall(nodes.literal_block):
        yield f"\n```{program['language']}\n{program.astext().rstrip()}\n```"


def listed(env: BuildEnvironment, name: str, url: str) -> cabc.Iterator[str]:
    """Yield a line for each page that a page leads to, and for those below it."""
    for toctree in env.get_doctree(name).findall(addnodes.toctree):
        if caption := toctree.get("caption"):
            yield f"\n## {caption}\n"
        for _, page in toctree["entries"]:
            title = env.titles[page].astext()
            told = summary(env.get_doctree(page))
            yield f"- [{title}]({url}{page}.html){told}"
            yield from listed(env, page, url)


def written(env: BuildEnvironment) -> str:
    """Return the file."""
    root = env.get_doctree(env.config.root_doc)
    about = marked(next(iter(root.findall(nodes.paragraph))))
    url = env.config.html_baseurl
    parts = [f"# {env.config.project}\n", f"> {about}\n"]
    parts += [*rules(env.get_doctree(RULES)), *listed(env, env.config.root_doc, url)]
    return "\n".join(parts) + "\n"


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the file when all pages are there."""
    if error is None and app.builder.format == "html":
        Path(app.outdir, "llms.txt").write_text(written(app.env), "utf-8")


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}

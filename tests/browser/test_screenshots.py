"""The script that takes the documentation's pictures, and the pictures."""

from __future__ import annotations

import importlib.util
import struct
import types
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def script() -> types.ModuleType:
    """The script as a module; it needs what only the tests of browsers have."""
    spec = importlib.util.spec_from_file_location(
        "screenshots", DOCS / "screenshots.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def size(path: Path) -> tuple[int, int]:
    """Width and height, from the first chunk of a PNG (its specification, §11.2.1)."""
    return t.cast("tuple[int, int]", struct.unpack(">II", path.read_bytes()[16:24]))


def names(folder: Path, screen: str) -> set[str]:
    return {path.name for path in folder.glob(f"*-{screen}.png")}


def test_plays(chromium: Browser, script: types.ModuleType, tmp_path: Path) -> None:
    """The story still plays, and gives the pictures that the documentation has."""
    script.play(chromium, tmp_path, ["phone"])
    assert names(tmp_path, "phone") == names(DOCS / "images", "phone")
    assert {size(path) for path in tmp_path.iterdir()} == {(390, 844)}


@pytest.mark.parametrize(
    ("screen", "pixels"), [("desktop", (1280, 800)), ("phone", (390, 844))]
)
def test_pictures(screen: str, pixels: tuple[int, int]) -> None:
    """Each picture exists for a desk and for a phone, and all are small."""
    folder = DOCS / "images"
    assert {size(folder / name) for name in names(folder, screen)} == {pixels}
    plain = {name.replace(screen, "") for name in names(folder, screen)}
    assert plain == {name.replace("phone", "") for name in names(folder, "phone")}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000

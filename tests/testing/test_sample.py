"""The sample of the documentation passes as a user would run it, and can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent.parent.parent / "docs/examples/testing"


def run(folder: Path) -> str:
    """Run pytest in a copy of the sample; its exit status is the first word."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of the sample, outside of the checkout."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "sample"))


class TestSample:
    def test_passes(self, sample: Path) -> None:
        """Every test passes, by nothing but the plugin that comes with the package."""
        output = run(sample)
        tests = (sample / "test_app.py").read_text("utf-8").count("\ndef test_")
        assert output.startswith("0 ") and f"{tests} passed" in output, output

    def test_notices(self, sample: Path) -> None:
        """Without the guards of its pages, the sample's tests fail."""
        app = sample / "app.py"
        text = app.read_text("utf-8")
        app.write_text(text.replace('(acrs="c1")', ""), "utf-8")
        output = run(sample)
        assert output.startswith("1 "), output
        failed = [line for line in output.splitlines() if line.startswith("FAILED")]
        assert len(failed) == 4, output

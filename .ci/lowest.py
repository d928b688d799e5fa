"""Brings an installed distribution's requirements down to the lowest it admits.

``lowest.py NAME EXTRA…`` reads the bounds from the installed metadata, so from what
setup.cfg became in the wheel, and fails if a requirement has no lower bound.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires
from importlib.metadata import version

from packaging.requirements import Requirement


def lowest(requirement: Requirement) -> Requirement:
    bounds = [s.version for s in requirement.specifier if s.operator == ">="]
    if len(bounds) != 1:
        sys.exit(f"{requirement} must have one lower bound (>=).")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return Requirement(f"{requirement.name}{extras}=={bounds[0]}")


def main(name: str, *extras: str) -> None:
    pins = []
    for requirement in map(Requirement, requires(name) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in extras):
            pins.append(lowest(requirement))
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", *map(str, pins)], check=True)
    subprocess.run([*pip, "check"], check=True)
    for pin in pins:
        installed = version(pin.name)
        print(f"{pin.name} {installed}")
        if installed not in pin.specifier:
            sys.exit(f"{pin} was wanted, {installed} is installed.")


if __name__ == "__main__":
    main(*sys.argv[1:])

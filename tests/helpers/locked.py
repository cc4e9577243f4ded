"""The lock, and the script that writes it."""

import sys

from helpers.places import ROOT

sys.path.insert(0, str(ROOT / "envs"))
import lock

__all__ = ["LINES", "PINS", "lock"]

LINES = (ROOT / "envs/requirements.txt").read_text().splitlines()
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))

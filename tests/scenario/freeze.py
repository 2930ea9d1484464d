"""The generator, its parameters and its seeds as one number, taken before the first threshold was tuned."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
GENERATOR = ("parameters.json", "blocks.py", "org.py", "ordinary.py", "incidents.py", "twins.py", "stream.py")
FROZEN = FOLDER / "frozen.sha256"


def digest() -> str:
    """Of the files that decide what a stream holds."""
    found = hashlib.sha256()
    for name in GENERATOR:
        found.update(name.encode() + b"\0" + (FOLDER / name).read_bytes() + b"\0")
    return found.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest() + "\n")

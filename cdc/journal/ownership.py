"""Who may write the journal where DuckDB's lock cannot be trusted: on storage that several machines share.

Whoever opens the journal leaves its mark in a file beside it, and looks before each commit whether the mark is
still its own. A row in the journal itself would not do: each process sees its own copy of the file.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from cdc.errors import JournalLocked

SUFFIX = ".owner"


@dataclass(frozen=True, slots=True)
class Ownership:
    """The mark of one opening. Errors of `check`: JournalLocked."""

    path: Path
    mark: str

    @staticmethod
    def claim(journal_path: str) -> Ownership:
        """Become the owner: from now on every other opening's commits are refused."""
        path, mark = Path(journal_path + SUFFIX), uuid.uuid4().hex
        new = path.with_name(f"{path.name}.{mark}")
        new.write_text(json.dumps({"mark": mark, "who": f"{socket.gethostname()}, process {os.getpid()}"}))
        new.replace(path)
        return Ownership(path, mark)

    def check(self) -> None:
        """Refuses where somebody else has opened the journal since; a file that is gone is written anew."""
        try:
            found = json.loads(self.path.read_text())
            mark, who = str(found["mark"]), str(found["who"])
        except FileNotFoundError:
            self.path.write_text(json.dumps({"mark": self.mark, "who": "restored"}))
            return
        except (ValueError, KeyError, TypeError):
            mark, who = "", "somebody"
        if mark != self.mark:
            raise JournalLocked(
                f"the journal was opened by {who} meanwhile, and the lock of this storage did not prevent it",
                where=str(self.path),
                do="stop one of the two; nothing of this one was written since",
            )

    def release(self) -> None:
        """The mark is taken away, if it is still this one's."""
        try:
            if json.loads(self.path.read_text()).get("mark") == self.mark:
                self.path.unlink()
        except (OSError, ValueError, AttributeError):
            return

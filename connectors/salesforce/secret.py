"""A secret that is read where it is kept, again when its file changes, and never shown."""

from __future__ import annotations

from pathlib import Path

from cdc.errors import SettingsError


class Secret:
    """A secret given directly or by file; `name` is its settings key, the only thing that is ever shown.

    A file is read again when its modification time, size or inode changes, so that a rotated secret is used
    without a restart. A file that goes away for a moment (an atomic replacement) leaves the last value good.
    """

    __slots__ = ("_file", "_seen", "_text", "name")

    def __init__(self, name: str, *, value: str = "", file: str | Path = "") -> None:
        self.name = name
        self._text = value.strip()
        self._file = Path(file) if file else None
        self._seen: tuple[int, int, int] | None = None

    def __bool__(self) -> bool:
        return self._file is not None or bool(self._text)

    def __repr__(self) -> str:
        return f"Secret({self.name}, from {self._file or 'the settings'})"

    @property
    def where(self) -> str:
        """Where a person finds it: the key, and the file if it is kept in one."""
        return f"{self.name}_file = {self._file}" if self._file else self.name

    def read(self) -> str:
        """The secret's text. Errors: SettingsError when the file cannot be read or is empty."""
        self._refresh()
        if not self._text:
            raise SettingsError(
                "a secret is empty", where=self.where, do="put the secret there, readable by this process"
            )
        return self._text

    def version(self) -> tuple[int, int, int] | None:
        """What changes when the secret's file does; None for a secret given directly."""
        self._refresh()
        return self._seen

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            status = self._file.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._text = self._file.read_text(encoding="utf-8").strip()
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            if self._text:
                return
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsError(
                f"a secret's file cannot be read: {reason}",
                where=self.where,
                do="name a file that this process may read",
            ) from None

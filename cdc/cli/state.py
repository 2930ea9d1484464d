"""What was said before the verb: which settings file, and whether to show more."""

from __future__ import annotations

from dataclasses import dataclass

from cdc.settings import Settings, load


@dataclass(slots=True)
class Options:
    """Options of the command itself; set once, when it starts."""

    config: str | None = None
    debug: bool = False

    def settings(self) -> Settings:
        """Errors: SettingsError."""
        return load(self.config)


options = Options()

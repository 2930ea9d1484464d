"""The detector away from the live stream: over a file, over the journal, and what it holds for normal."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cdc.answer.times import moment
from cdc.detect.announced import windows_of
from cdc.detect.detector import Detector, Options
from cdc.detect.explain import explain
from cdc.detect.files import judge_file, write_versions
from cdc.detect.recorded import batch_of
from cdc.detect.templates import Window
from cdc.errors import BadArgument, SettingsError
from cdc.roles.build import detector_options
from cdc.roles.offline import offline_reader
from cdc.settings import DetectSettings, Settings

SQL = Path(__file__).with_name("sql") / "recorded_stream.sql"
ROWS_PER_BATCH = 16_384


def judge_recorded(source: str, output: str, state: str | None, config: str | None) -> str:
    """Judge a file, and say in a sentence what came of it. Of a settings file only `[org] alias` and `[detect]`
    are looked at, so that a file of a few lines is enough. Errors: BadArgument, SettingsError, DiskFull."""
    org, given = _of_file(config) if config is not None else ("org", DetectSettings())
    judged = judge_file(source, output, state, org=org, options=_options(given), windows=_windows(given))
    before = f" ({judged.taken:,} with those of earlier runs)" if judged.taken > judged.rows else ""
    return f"{judged.rows:,} changes read{before}: {judged.alerts:,} alerts, {judged.pages:,} pages"


def judge_journal(settings: Settings, from_: str, to: str | None, output: str) -> str:
    """What the detector would have said between two times, having learned from all that was recorded before; how
    much that was, in a sentence.

    Errors: BadArgument; JournalLocked while a process has the journal open.
    """
    detector = Detector(settings.org.alias, **detector_options(settings))
    for window in _windows(settings.detect):
        detector.announce(window)
    with offline_reader(settings) as reader:
        start, end = moment(reader, from_).at, moment(reader, to).at
        first = 0 if start is None else int(start.timestamp() * 1000)
        found = reader.execute(SQL.read_text(), {"to": "infinity" if end is None else end})
        versions = (
            version
            for batch in found.to_arrow_reader(ROWS_PER_BATCH)
            for version in detector.take(batch_of(_table(batch), 0, settings.journal.path))
            if version["decided_at"] >= first
        )
        said = write_versions(output, versions)
    return f"{detector.taken:,} changes read from the journal: {said:,} versions of alerts since {from_}"


def explain_key(settings: Settings | None, state: str | None, key: str) -> str:
    """What is normal for `USER[,ENTITY[,KIND]]`, by a state file or the running detector's. BadArgument."""
    path = Path(state if state is not None else settings.detect.state_path if settings else "")
    try:
        kept = path.read_bytes()
    except OSError as e:
        raise BadArgument(
            f"The detector's state cannot be read: {e.strerror}", where=str(path), do="name one with --state"
        ) from e
    parts = [part.strip() for part in key.split(",")]
    if not parts[0] or len(parts) > 3:
        raise BadArgument(f"{key!r} is no key", do="write USER, USER,ENTITY or USER,ENTITY,KIND")
    return explain(Detector.restore(kept), *parts)


def _table(batch: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _options(given: DetectSettings) -> Options:
    return Options(pages_per_week=given.page_budget_per_week, digests_per_week=given.digest_budget_per_week)


def _windows(given: DetectSettings) -> list[Window]:
    return windows_of(given.calendar) if given.calendar else []


def _of_file(path: str) -> tuple[str, DetectSettings]:
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingsError(f"the settings file cannot be read: {e.strerror}", where=path) from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise SettingsError(f"the settings file is not TOML: {e}", where=path) from e
    org, detect = values.get("org", {}), values.get("detect", {})
    try:
        given = DetectSettings.model_validate(detect)
    except ValidationError as e:
        first = e.errors()[0]
        raise SettingsError(f"detect.{'.'.join(map(str, first['loc']))}: {first['msg']}", where=path) from e
    if given.calendar and not Path(given.calendar).is_absolute():
        given = given.model_copy(update={"calendar": str(Path(path).parent / given.calendar)})
    alias = org.get("alias", "org") if isinstance(org, dict) else "org"
    return str(alias), given

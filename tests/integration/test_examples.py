"""Help has an example for each verb, and each example runs."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cdc.cli.app import app
from tests.conftest import free_ports
from tests.integration.example_needs import (
    ALONE,
    FINISHES,
    NEEDS,
    Lived,
    Need,
    examples_in,
    lived_in,
    replaced,
)
from tests.integration.recovering import world

TAKES_S_MAX = 180.0
SHOWS_LIFE_S = 60.0


def verbs() -> Iterator[tuple[str, str]]:
    """Every verb of the command with its help."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield " ".join(path), command.callback.__doc__ or ""
            return
        for name, inner in below.items():
            yield from walk(inner, (*path, name))

    yield from walk(typer.main.get_command(app), ())


EXAMPLES = [(verb, example) for verb, text in verbs() for example in examples_in(text)]


def test_every_verb_has_an_example_of_itself() -> None:
    for verb, text in verbs():
        examples = examples_in(text)
        assert examples, f"the help of cdc {verb} has no line `Example: cdc {verb} …`"
        words = verb.split()
        for example in examples:
            said = [w for w in shlex.split(example)[1:] if re.fullmatch(r"[a-z]+", w)]
            assert said[: len(words)] == words, example


def test_what_verbs_need_names_verbs_there_are() -> None:
    assert NEEDS.keys() <= {verb for verb, _ in verbs()}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("examples")
    with world(folder, records=300, days=0.2, more='settle = "1s"') as one:
        shutil.copy(folder / "cdc.toml", folder / "acme.toml")
        yield lived_in(one)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_the_example_runs(lived: Lived, tmp_path: Path, verb: str, example: str) -> None:
    need = NEEDS.get(verb, Need())
    words = {**lived.words(), **need.prepare(lived)}
    arguments = [*shlex.split(replaced(example, words))[1:], *need.more]
    folder = alone(lived, tmp_path) if need.ends == ALONE else lived.folder
    if set(need.apart) & set(arguments):
        folder = alone(lived, copied(lived, tmp_path / "copy"))
    command = [sys.executable, "-m", "cdc.cli", *arguments]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONPATH": os.getcwd()}
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            preexec_fn=_may_be_interrupted,
        )
        code = finished(process) if need.ends == FINISHES else stopped(process, tmp_path / "out", verb)
    said = (tmp_path / "out").read_text(errors="replace")
    assert "Traceback" not in said, said[-3000:]
    allowed = need.exits if need.ends == FINISHES else (0, 130, -signal.SIGINT)
    assert code in allowed, (
        f"{shlex.join(arguments)} ended with {code}: {said[-3000:]}\n{lived.world.run.log_tail()}"
    )


def _may_be_interrupted() -> None:
    """Below a shell's background job interrupts are ignored, and that would be inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finished(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(TAKES_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"it did not end in {TAKES_S_MAX:g} s") from None


def stopped(process: subprocess.Popen[bytes], out: Path, verb: str) -> int:
    """Interrupted once it shows life: something said; what says nothing (a stream without news) after a while."""
    deadline = time.monotonic() + (5.0 if verb == "alerts" else SHOWS_LIFE_S)
    while process.poll() is None and time.monotonic() < deadline and not out.stat().st_size:
        time.sleep(0.1)
    assert process.poll() is None, out.read_text(errors="replace")[-2000:]
    # As a person would: again, where the first came at a moment that heeds none.
    for _ in range(int(TAKES_S_MAX)):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(1)
    return finished(process)


def copied(lived: Lived, folder: Path) -> Path:
    """A folder with the journal as it is by now."""
    command = [sys.executable, "-m", "cdc.cli", "snapshot", str(folder)]
    subprocess.run(
        command,
        cwd=lived.folder,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    return folder


def alone(lived: Lived, folder: Path) -> Path:
    """A folder with settings of its own for the same org: another journal, log and port."""
    text = (lived.folder / "cdc.toml").read_text()
    api, metrics = free_ports(2)
    text = re.sub(r'(\[api\]\nlisten = )"[^"]*"', rf'\1"127.0.0.1:{api}"', text)
    text += f'\n[metrics]\nlisten = "127.0.0.1:{metrics}"\n' if "[metrics]" not in text else ""
    for name in ("cdc.toml", "acme.toml"):
        (folder / name).write_text(text)
    shutil.copy(lived.folder / "secret", folder / "secret")
    return folder

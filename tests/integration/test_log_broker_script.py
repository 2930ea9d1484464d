"""`ops/kafka`: one broker per data directory, started once, stopped by its own pid, clear when it cannot."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ops_kafka(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "ops/kafka"), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )


def test_it_names_its_version() -> None:
    assert ops_kafka("version").stdout.startswith("Apache Kafka 4.1.")


def test_status_of_nothing_is_exit_code_one(tmp_path: Path) -> None:
    result = ops_kafka("status", "--data", str(tmp_path))
    assert (result.returncode, result.stdout.startswith("not running")) == (1, True)


def test_an_unknown_verb_or_option_is_exit_code_two() -> None:
    assert ops_kafka("restart").returncode == 2
    assert ops_kafka("start", "--prot", "1").returncode == 2
    assert ops_kafka("start", "--port", "many").returncode == 2


def test_a_missing_java_is_said_in_one_sentence(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "sed", "cksum", "cut", "cat", "head"):
        (tools / name).symlink_to(Path("/usr/bin") / name)
    result = ops_kafka("start", "--data", str(tmp_path / "data"), PATH=str(tools), JAVA_HOME="")
    assert result.returncode == 1
    assert "Java was not found on PATH" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_taken_port_is_said_in_one_sentence(kafka: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = ops_kafka("start", "--port", str(port), "--data", str(tmp_path))
    assert result.returncode == 1
    assert f"port {port} is in use" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_started_twice_it_is_one_broker_and_stop_ends_only_that(broker: Any) -> None:
    data = str(broker.data)
    first = ops_kafka("status", "--data", data).stdout
    again = ops_kafka("start", "--data", data, "--port", str(broker.port))
    assert (again.returncode, again.stdout) == (0, first)
    assert f"127.0.0.1:{broker.port}" in first

    pid = int(first.rsplit(" ", 1)[1])
    assert ops_kafka("stop", "--data", data).returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert ops_kafka("stop", "--data", data).returncode == 0  # nothing there is no error

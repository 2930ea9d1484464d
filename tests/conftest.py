"""What many tests share: a real Apache Kafka broker for the session, and a topic prefix for each test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STARTS_MAX = 3  # another process may take the free port first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"kafka", "broker"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a broker of this session. CDC_TEST_KAFKA names one that already runs instead."""
    given = os.environ.get("CDC_TEST_KAFKA")
    if given:
        yield given
        return
    with Broker.start(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.address


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of this test alone, to be stopped and started."""
    with Broker.start(tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture
def topic_prefix() -> str:
    """No two tests write to the same topics."""
    return f"test.{uuid.uuid4().hex[:12]}"


@dataclass
class Broker:
    port: int
    data: Path

    @classmethod
    def start(cls, data: Path) -> Broker:
        for needed in ("java", "mvn"):
            if shutil.which(needed) is None:
                pytest.skip(f"{needed} was not found on PATH: the real Kafka broker cannot be brought")
        for attempt in range(STARTS_MAX):
            broker = cls(free_ports(1)[0], data)
            try:
                broker.up()
                return broker
            except subprocess.CalledProcessError as e:
                if "in use" not in e.stderr or attempt == STARTS_MAX - 1:
                    raise RuntimeError(f"ops/kafka start failed: {e.stderr}") from e
        raise AssertionError("unreachable")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def up(self) -> None:
        controller = free_ports(1)[0]
        # With --owner it ends with this process, even when that is killed.
        self._ops(
            "start",
            "--port",
            f"{self.port}",
            "--controller-port",
            f"{controller}",
            "--owner",
            f"{os.getpid()}",
        )

    def down(self) -> None:
        self._ops("stop")

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        shutil.rmtree(self.data, ignore_errors=True)

    def _ops(self, verb: str, *options: str) -> None:
        command = [str(ROOT / "ops/kafka"), verb, "--data", str(self.data), *options]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]

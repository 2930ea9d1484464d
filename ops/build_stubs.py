"""Build step: makes the gRPC stubs from schemas/eventbus/v1/pubsub.proto, and for a wheel the console; neither is committed.

Runs as the wheel's build hook, and by hand as `python ops/build_stubs.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROTO = "schemas/eventbus/v1/pubsub.proto"


def make_stubs(root: Path = ROOT) -> None:
    """Write pubsub_pb2.py, pubsub_pb2.pyi and pubsub_pb2_grpc.py beside the proto."""
    from grpc_tools import protoc

    code = protoc.main(
        [
            "protoc",
            f"-I{root}",
            f"--python_out={root}",
            f"--pyi_out={root}",
            f"--grpc_python_out={root}",
            str(root / PROTO),
        ]
    )
    if code != 0:
        sys.exit(f"protoc failed with code {code} on {PROTO}")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class StubsHook(BuildHookInterface):  # type: ignore[misc, type-arg, unused-ignore]
        """Hatchling calls this before it collects the files of a wheel or of an editable install."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            make_stubs(Path(self.root))
            script = Path(self.root) / "ops" / "console"
            if version != "editable" and script.is_file():
                subprocess.run(["bash", str(script)], check=True)

except ImportError:  # run by hand in an environment without the build backend
    StubsHook = None  # type: ignore[assignment, misc, unused-ignore]

if __name__ == "__main__":
    make_stubs()

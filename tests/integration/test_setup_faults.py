"""Whatever the org does while its set-up is read: nothing is recorded as gone that is there, and what moved is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.scanning import recorded
from tests.integration.test_setup_history import TYPES, different, read_again, sources

FAULTS = (
    ("html", {"path": "/services/Soap/m", "times": 2}),
    ("answer_cut", {"path": "/services/Soap/m", "times": 2, "keep": 0.5}),
    ("session_expired", {"path": "/services/Soap", "times": 2}),
    ("html", {"path": "/tooling/query", "times": 2}),
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("fault", "given"), FAULTS, ids=[f"{name} {one.get('path', '')}" for name, one in FAULTS]
)
async def test_the_set_up_is_right_again_after_a_fault(
    tmp_path: Path, fault: str, given: dict[str, object]
) -> None:
    async with recorded(
        tmp_path,
        members=("Account",),
        setup_interval_s=0.2,
        metadata_types=TYPES,
        metadata_interval_s=0.2,
    ) as world:
        await world.until("source is read", lambda: sources(world))
        await read_again(world)
        setup, parameters = world.org.setup, dict(given)
        times = int(str(parameters.pop("times")))
        world.org.faults.set(fault, times=times, **parameters)
        made = setup.put("ApexClass", {"Name": "Prices", "Body": "public class Prices {}\n"})
        setup.put("PermissionSet", {"Name": "Sales", "Label": "Sales"})
        await world.until("the fault has acted", lambda: world.org.faults.active(fault) is None)
        await world.until("the class is read", lambda: "ApexClass:Prices" in sources(world))
        await read_again(world)
        assert different(world, world.org.clock.now_ms()) == []
        true = {f"{kind}:{one.full_name}" for kind in TYPES for one in world.org.metadata.components(kind)}
        assert set(sources(world)) == true
        gone = world.sql("SELECT entity, record_id FROM changes WHERE source = 'setup' AND kind = 'DELETE'")
        assert gone == []
        setup.drop("ApexClass", made)
        await world.until("the class is gone", lambda: "ApexClass:Prices" not in sources(world))

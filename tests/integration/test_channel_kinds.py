"""Every kind of channel, over both transports, from the org to an answer of `cdc run`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.living import Org, Running, running, simulated_org, until, write_settings

CHANNELS = ("/data/AccountChangeEvent", "/data/Shipment__ChangeEvent", "/data/Team__chn")
PLATFORM_EVENTS = ("/event/Order__e", "/event/LoginEventStream", "/event/Ops__chn")
AT = "/services/data/v66.0"

pytestmark = pytest.mark.slow


@dataclass
class Side:
    """An org and a recorder of all its channels."""

    transport: str
    org: Org
    recorder: Running

    def change(self, entity: str, values: dict[str, Any]) -> tuple[str, str]:
        """A new record and its event's id."""
        body = {"changes": [{"entity": entity, "op": "CREATE", "values": values}]}
        made = self.org.post("/simulator/commit", body)
        [event] = [one for one in made["events"] if one["entity"] == entity]
        return made["record_ids"][0], event["event_id"]

    def publish(self, name: str, values: dict[str, Any]) -> str:
        made = self.org.post("/simulator/platform-event", {"name": name, "values": values})
        return str(made["event_id"])

    def recorded(self, event_id: str) -> list[Any]:
        """Entity, record, kind and source of a change, as soon as it is there."""
        sql = f"SELECT entity, record_id, kind, source FROM changes WHERE event_id = '{event_id}'"
        [row] = until(f"{event_id} is recorded", lambda: self.recorder.sql(sql))
        return list(row)

    def told(self, event_id: str) -> list[Any]:
        """Name and payload's text of a platform event."""
        sql = f"SELECT name, payload::VARCHAR FROM platform_events WHERE event_id = '{event_id}'"
        [row] = until(f"{event_id} is recorded", lambda: self.recorder.sql(sql))
        return list(row)


@pytest.fixture(scope="module", params=["pubsub", "cometd"])
def side(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with simulated_org(folder, 'knobs = "kind"\nrecords = 60\n') as org:
        for entity in ("ContactChangeEvent", "LeadChangeEvent"):
            select(org, "Team__chn", entity)
        select(org, "Ops__chn", "Order__e", "Alarm__e")
        settings = write_settings(
            folder, org, transport=request.param, channels=CHANNELS, platform_events=PLATFORM_EVENTS
        )
        with running(settings, folder) as recorder:
            until("the API answers", lambda: recorder.rows("status"))
            until(
                "all channels are followed",
                lambda: (
                    len(recorder.sql("SELECT channel FROM positions WHERE replay_id IS NOT NULL"))
                    >= len(CHANNELS)
                ),
            )
            yield Side(request.param, org, recorder)


def select(org: Org, channel: str, *events: str) -> None:
    """Put events on a channel, as an administrator does by the Tooling API."""
    token = org.post("/simulator/access-token", {})["access_token"]
    for event in events:
        metadata = {"eventChannel": channel, "selectedEntity": event}
        org.call(
            "POST", f"{AT}/tooling/sobjects/PlatformEventChannelMember",
            {"FullName": f"{channel}_{event}", "Metadata": metadata}, token=token,
        )  # fmt: skip


def test_a_channel_of_one_standard_entity(side: Side) -> None:
    record_id, event_id = side.change("Account", {"Name": "Nova Freight"})
    assert side.recorded(event_id) == ["Account", record_id, "CREATE", side.transport]


def test_a_channel_of_one_custom_object(side: Side) -> None:
    record_id, event_id = side.change("Shipment__c", {"Name": "S-1"})
    assert side.recorded(event_id) == ["Shipment__c", record_id, "CREATE", side.transport]


def test_a_custom_channel_of_several_entities(side: Side) -> None:
    for entity in ("Contact", "Lead"):
        values = {"Name.LastName": "Roe", **({"Company": "Nova"} if entity == "Lead" else {})}
        record_id, event_id = side.change(entity, values)
        assert side.recorded(event_id) == [entity, record_id, "CREATE", side.transport]


def test_a_platform_event_and_a_channel_of_several_do_not_record_it_twice(side: Side) -> None:
    event_id = side.publish("Order__e", {"Order_Number__c": "A-1", "Amount__c": 12.5})
    name, payload = side.told(event_id)
    assert name == "Order__e"
    assert '"Order_Number__c":"A-1"' in payload.replace(": ", ":")


def test_a_custom_channel_of_platform_events(side: Side) -> None:
    event_id = side.publish("Alarm__e", {"Machine__c": "Press 7", "Celsius__c": 91.5})
    name, payload = side.told(event_id)
    assert name == "Alarm__e"
    assert "Press 7" in payload


def test_a_real_time_monitoring_event(side: Side) -> None:
    values = {"Username": "roe@example.com", "LoginType": "Remote Access 2.0", "Status": "Success"}
    event_id = side.publish("LoginEventStream", values)
    name, payload = side.told(event_id)
    assert name == "LoginEventStream"
    assert "Remote Access 2.0" in payload


def test_nothing_is_recorded_twice_and_numbers_have_no_hole(side: Side) -> None:
    doubles = side.recorder.sql(
        "SELECT event_id, count(*) FROM platform_events GROUP BY event_id HAVING count(*) > 1"
    )
    assert doubles == []
    [[least, greatest, count]] = side.recorder.sql(
        "SELECT min(seq), max(seq), count(DISTINCT seq) FROM "
        "(SELECT seq FROM changes WHERE kind <> 'ABSENT' UNION ALL SELECT seq FROM platform_events)"
    )
    assert (least, greatest) == (1, count)

"""Payloads captured from real orgs, served by the simulated one and read back from the journal's views."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.living import Org, Running, simulated_org, until, write_settings
from tests.unit.avro.real_payloads import ADDRESS_EDIT, GEOCODED, MERGED, WIDE_BITMAP, account_schema
from tests.unit.avro.salesforce_shapes import decode, encode

RECORD = "001Dp00000JJkkHIAT"
SCHEMA = account_schema()
TWENTY = [f"0012F00000ic4T{n:02}AAA"[:18] for n in range(20)]
CHANNEL = 'channels = ["/data/AccountChangeEvent"]\nbaseline = "off"\n'


def twenty_at_once() -> bytes:
    event = decode(SCHEMA, ADDRESS_EDIT)
    event["ChangeEventHeader"]["recordIds"] = TWENTY
    return encode(SCHEMA, event)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The four real payloads and one of twenty records, recorded by `cdc run`."""
    folder: Path = tmp_path_factory.mktemp("samples")
    with simulated_org(folder, "records = 20\n") as org:
        settings = write_settings(folder, org)
        text = (
            (folder / "cdc.toml").read_text().replace("pubsub_tls = false", f"pubsub_tls = false\n{CHANNEL}")
        )
        (folder / "cdc.toml").write_text(text)
        recorder = Running(settings, folder)
        recorder.start()
        try:
            until(
                "the channel is live",
                lambda: recorder.sql("SELECT count(*) FROM coverage WHERE status = 'live'")[0][0],
            )
            for name, payload in (
                ("edit", ADDRESS_EDIT), ("geocoded", GEOCODED), ("twenty", twenty_at_once()),
                ("wide", WIDE_BITMAP), ("merged", MERGED),
            ):  # fmt: skip
                publish(org, name, payload)
            count = "SELECT (SELECT count(*) FROM changes WHERE source = 'pubsub') + (SELECT count(*) FROM quarantine)"
            until("all are recorded", lambda: recorder.sql(count)[0][0] >= 24)
            yield recorder
        finally:
            recorder.stop()


def publish(org: Org, event_id: str, payload: bytes) -> None:
    body = {"topic": "/data/AccountChangeEvent", "schema_json": json.dumps(SCHEMA), "event_id": event_id}
    org.post("/simulator/raw", {**body, "payload_base64": base64.b64encode(payload).decode()})


def fields(recorder: Running, event_id: str) -> dict[str, Any]:
    rows = recorder.sql(
        "SELECT field, value FROM field_changes JOIN changes USING (seq, org, entity, record_id)"
        f" WHERE event_id = '{event_id}' ORDER BY field"
    )
    return {str(field): value for field, value in rows}


def test_an_edit_in_the_browser_has_its_names_values_and_origin(recorded: Running) -> None:
    [row] = recorded.sql(
        "SELECT record_id, kind, changed_fields, user_id, origin, client, transaction_key, committed_at"
        " FROM changes WHERE event_id = 'edit'"
    )
    assert row[:2] == [RECORD, "UPDATE"]
    assert sorted(row[2]) == ["LastModifiedDate", "ShippingAddress.Street"]
    assert row[3:7] == [
        "005Dp000000PpjsIAC",
        "com/salesforce/api/soap/66.0",
        "SfdcInternalAPI/",
        "00003adb-6942-447e-6033-9e8fe741230f",
    ]
    assert fields(recorded, "edit") == {
        "LastModifiedDate": "2026-02-17T04:03:15.000Z",
        "ShippingAddress.Street": "101 California St",
    }


def test_the_geocoding_that_follows_has_nested_fields_alone_and_no_origin(recorded: Running) -> None:
    [[changed, origin]] = recorded.sql(
        "SELECT changed_fields, origin FROM changes WHERE event_id = 'geocoded'"
    )
    assert sorted(changed) == ["ShippingAddress.Latitude", "ShippingAddress.Longitude"]
    assert origin == ""
    assert set(fields(recorded, "geocoded")) == set(changed)


def test_one_event_of_twenty_records_is_twenty_changes_in_order(recorded: Running) -> None:
    rows = recorded.sql("SELECT seq, record_id FROM changes WHERE event_id = 'twenty' ORDER BY seq")
    assert [record_id for _, record_id in rows] == TWENTY
    assert [seq - rows[0][0] for seq, _ in rows] == list(range(20))


def test_what_does_not_fit_its_schema_is_kept_with_the_records_it_names(recorded: Running) -> None:
    rows = recorded.sql("SELECT event_id, entity, record_ids, payload IS NOT NULL FROM quarantine")
    assert all(row[1] == "Account" and row[3] for row in rows)
    named = {
        event_id: {r for row in rows if row[0] == event_id for r in row[2]} for event_id in ("merged", "wide")
    }
    assert [len(named["merged"]), named["wide"]] == [20, {RECORD}]
    told = recorded.sql("SELECT DISTINCT record_id FROM coverage WHERE record_id IS NOT NULL")
    assert {record_id for [record_id] in told} == named["merged"] | named["wide"]

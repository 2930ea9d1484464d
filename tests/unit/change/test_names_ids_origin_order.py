"""Names, ids, origins and the order of folding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.change.ids import OVERFLOW_ID, is_record_id, is_wildcard, to_18
from cdc.change.kinds import EVENT_KINDS, FULL_STATE_KINDS, GAP_KINDS, WHOLE_KINDS, Kind
from cdc.change.names import change_topic, entity_of_topic
from cdc.change.order import FoldKey, FoldRank, effective_times
from cdc.change.origin import parse_origin


@pytest.mark.parametrize(
    ("entity", "topic"),
    [
        ("Account", "AccountChangeEvent"),
        ("Invoice__c", "Invoice__ChangeEvent"),
        ("acme__Invoice__c", "acme__Invoice__ChangeEvent"),
    ],
)
def test_an_entity_and_its_change_topic_name_each_other(entity: str, topic: str) -> None:
    assert change_topic(entity) == topic
    assert entity_of_topic(topic) == entity


@pytest.mark.parametrize("topic", ["Order__e", "jobs", "ChangeEvent", "__ChangeEvent", "ChangeEvents", ""])
def test_other_topics_have_no_entity(topic: str) -> None:
    assert entity_of_topic(topic) is None


@pytest.mark.parametrize("long_id", ["001Dp00000JJkkHIAT", "005Dp000000PpjsIAC", OVERFLOW_ID])
def test_the_last_three_characters_of_an_id_follow_from_the_first_fifteen(long_id: str) -> None:
    assert len(to_18(long_id[:15])) == 18
    assert to_18(long_id) == long_id


def test_the_ids_of_real_events_have_the_suffix_computed_here() -> None:
    for long_id in ("001Dp00000JJkkHIAT", "005Dp000000PpjsIAC", "0012F00000ic5oVQAQ", "0051U000007Jy4UQAS"):
        assert to_18(long_id[:15]) == long_id


@pytest.mark.parametrize(
    "text", ["", "001", "001*", "001Dp00000JJkk!", "001Dp00000JJkkHI", "001Dp00000JJkkHiat"]
)
def test_what_is_no_id_has_no_long_form(text: str) -> None:
    assert not is_record_id(text)
    with pytest.raises(ValueError, match="not a record id"):
        to_18(text)


def test_wildcards_and_the_overflow_id_are_no_records() -> None:
    assert is_wildcard("001*")
    assert not is_wildcard("001Dp00000JJkkHIAT")
    assert not is_wildcard("*")
    assert not is_record_id("001*")
    assert not is_record_id(OVERFLOW_ID)
    assert is_record_id("001Dp00000JJkkHIAT")
    assert is_record_id("001Dp00000JJkkH")


@pytest.mark.parametrize(
    ("text", "origin", "client", "api", "version"),
    [
        (
            "com/salesforce/api/soap/66.0;client=SfdcInternalAPI/",
            "com/salesforce/api/soap/66.0",
            "SfdcInternalAPI/",
            "soap",
            "66.0",
        ),
        ("com/salesforce/api/rest/66.0", "com/salesforce/api/rest/66.0", "", "rest", "66.0"),
        ("com/salesforce/api/apex", "com/salesforce/api/apex", "", "apex", ""),
        ("elsewhere", "elsewhere", "", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_an_origin_is_an_api_with_its_version_and_a_client(
    text: str, origin: str, client: str, api: str, version: str
) -> None:
    found = parse_origin(text)
    assert (found.origin, found.client, found.api, found.version) == (origin, client, api, version)


def test_every_kind_is_an_event_or_a_full_state() -> None:
    assert set(Kind) == EVENT_KINDS | FULL_STATE_KINDS
    assert not EVENT_KINDS & FULL_STATE_KINDS
    assert GAP_KINDS < EVENT_KINDS
    assert WHOLE_KINDS < EVENT_KINDS
    assert f"{Kind.GAP_OVERFLOW}" == "GAP_OVERFLOW"


@given(st.lists(st.integers(0, 10_000)), st.integers(0, 10_000))
def test_effective_times_never_run_backwards_nor_before_their_commit(
    committed: list[int], reached: int
) -> None:
    times = effective_times(committed, reached)
    assert len(times) == len(committed)
    assert times == sorted(times)
    assert all(at >= max(c, reached) for at, c in zip(times, committed, strict=True))
    assert all(at in {reached, *committed} for at in times)


def test_a_full_state_folds_right_behind_the_event_it_was_read_after() -> None:
    before = FoldKey(7, FoldRank.EVENT, 7)
    state = FoldKey(7, FoldRank.FULL_STATE, 40)
    absent = FoldKey(7, FoldRank.ABSENT, 41)
    after = FoldKey(8, FoldRank.EVENT, 8)
    assert sorted([after, absent, state, before]) == [before, state, absent, after]

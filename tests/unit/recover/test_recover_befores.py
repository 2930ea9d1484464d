"""What each field should be again, from what is meant and what is not."""

from __future__ import annotations

import pytest

from cdc.errors import BadArgument
from cdc.recover.befores import before_the_incident
from cdc.recover.scope import Filter, Scope, filter_of
from tests.unit.recover.story import A1, A2, BAD_USER, Story, rows

BEFORES = "SELECT record_id, field, before, before_known, bad, later FROM temp.befores ORDER BY ALL"


def befores(story: Story, scope: Scope) -> list[tuple[object, ...]]:
    with before_the_incident(story.connection, scope):
        return list(rows(story.connection, BEFORES))


def by_bad_user(**more: object) -> Scope:
    return Scope(include=(Filter(users=(BAD_USER,)),), **more)  # type: ignore[arg-type]


def test_a_field_goes_back_to_what_it_was_before_the_incident() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot", "Name": "One"})
    story.update(A1, {"Rating": None}, user=BAD_USER)
    assert befores(story, by_bad_user()) == [(A1, "Rating", "Hot", True, None, None)]


def test_a_good_edit_in_the_middle_of_the_burst_is_what_is_put_back() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    story.create(A2, {"Rating": "Hot"})
    story.update(A1, {"Rating": "Bad"}, user=BAD_USER)
    story.update(A2, {"Rating": "Warm"})
    story.update(A2, {"Rating": "Bad"}, user=BAD_USER)
    assert befores(story, by_bad_user()) == [
        (A1, "Rating", "Hot", True, "Bad", None),
        (A2, "Rating", "Warm", True, "Bad", None),
    ]


def test_a_correction_that_was_overwritten_again_is_what_is_put_back() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    story.update(A1, {"Rating": "Bad"}, user=BAD_USER)
    story.update(A1, {"Rating": "Cold"})
    story.update(A1, {"Rating": "Worse"}, user=BAD_USER)
    assert befores(story, by_bad_user()) == [(A1, "Rating", "Cold", True, "Worse", None)]


def test_what_somebody_wrote_after_the_incident_is_shown_as_later() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    story.update(A1, {"Rating": "Bad"}, user=BAD_USER)
    story.update(A1, {"Rating": "Cold"})
    assert befores(story, by_bad_user()) == [(A1, "Rating", "Hot", True, "Bad", "Cold")]


def test_an_event_that_hid_its_values_just_before_makes_the_earlier_value_unknown() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    story.create(A2, {"Rating": "Hot"})
    story.update(A2, {"Rating": "Bad"}, user=BAD_USER)
    story.gap(A1)
    story.update(A1, {"Rating": "Bad"}, user=BAD_USER)
    assert befores(story, by_bad_user()) == [
        (A1, "Rating", None, False, "Bad", None),
        (A2, "Rating", "Hot", True, "Bad", None),
    ]


def test_a_companion_reset_by_peoples_own_saves_is_meant_alone() -> None:
    """The save is good and stays; only the field that was reset with it is put back."""
    story = Story()
    story.create(A1, {"Rating": "Hot", "Phone": "1"})
    story.update(A1, {"Phone": "2", "Rating": None})
    scope = Scope(include=(Filter(touching=("Rating",), values=(None,)),), fields=("Rating",))
    assert befores(story, scope) == [(A1, "Rating", "Hot", True, None, None)]


def test_a_value_that_a_filter_does_not_name_is_not_meant() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    story.update(A1, {"Rating": "Cold"}, user=BAD_USER)
    scope = Scope(include=(Filter(touching=("Rating",), values=(None, "Bad")),), fields=("Rating",))
    assert befores(story, scope) == []


def test_a_scope_is_narrowed_by_what_has_to_match_too_and_by_what_must_not() -> None:
    story = Story()
    for record_id in (A1, A2):
        story.create(record_id, {"Rating": "Hot", "Phone": "1"})
    for record_id in (A1, A2):
        story.update(record_id, {"Rating": "Bad"}, user=BAD_USER)
    only = by_bad_user(within=(Filter(records=(A1,)),))
    without = by_bad_user(without=(Filter(records=(A1,)),))
    assert [row[0] for row in befores(story, only)] == [A1]
    assert [row[0] for row in befores(story, without)] == [A2]


def test_a_pinned_scope_means_nothing_recorded_later() -> None:
    story = Story()
    story.create(A1, {"Rating": "Hot"})
    last = story.update(A1, {"Rating": "Bad"}, user=BAD_USER)
    story.update(A1, {"Rating": "Worse"}, user=BAD_USER)
    assert befores(story, by_bad_user().pinned(last)) == [(A1, "Rating", "Hot", True, "Bad", "Worse")]


def test_a_scope_is_the_same_after_it_was_written_down() -> None:
    scope = Scope(
        include=(Filter(users=("u",), from_at=5), Filter(touching=("Rating",), values=(None, "x"))),
        without=(Filter(records=(A1,)),),
        fields=("Rating",),
    )
    assert Scope.from_json(scope.as_json()) == scope


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"user": ["x"]}, "is no part of a filter"),
        ({"users": [1]}, "users is not a list of texts"),
        ({"from_at": "today"}, "from_at is not a whole number"),
        ({"values": ["x"]}, "without the fields"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_name(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadArgument, match=sentence):
        filter_of(given)

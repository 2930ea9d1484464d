"""The generated streams: frozen, repeatable, whole, and with a label for everything that is not ordinary."""

from __future__ import annotations

import hashlib
from itertools import islice

import numpy as np
import pyarrow as pa

from tests.scenario.disguises import DISGUISES, Disguised, other_name
from tests.scenario.freeze import FROZEN, digest
from tests.scenario.incidents import INCIDENTS
from tests.scenario.stream import Spec, Stream, combinations, parameters, parts
from tests.scenario.twins import TWINS


def test_the_generator_and_its_seeds_are_what_they_were_when_tuning_began() -> None:
    assert digest() == FROZEN.read_text().strip()


def test_tuning_and_reported_seeds_have_nothing_in_common() -> None:
    assert not set(parameters()["tuning_seeds"]) & set(parameters()["reported_seeds"])


def test_every_archetype_happens_once_at_each_size_and_stealth() -> None:
    assert len(set(combinations())) == len(combinations()) == 9 * len(INCIDENTS)
    assert parts() * parameters()["incidents_per_stream"] >= len(combinations())


def stream_of(seed: int) -> tuple[Stream, list[pa.Table]]:
    stream = Stream(Spec("small", seed, 0))
    return stream, list(stream.tables())


def test_a_seed_gives_one_stream_and_another_seed_another() -> None:
    def content(seed: int) -> str:
        found = hashlib.sha256()
        for table in stream_of(seed)[1][:3]:
            for name in ("record_id", "committed_at", "user_id", "values"):
                found.update(str(table[name].slice(0, 500).to_pylist()).encode())
        return found.hexdigest()

    assert content(1) == content(1) != content(2)


def test_every_incident_and_twin_is_labelled_and_has_rows() -> None:
    stream, tables = stream_of(3)
    labels = {label.number for label in stream.labels}
    assert len([n for n in labels if n > 0]) == parameters()["incidents_per_stream"]
    assert len([n for n in labels if n < 0]) == len(TWINS)
    seen = set(np.unique(np.concatenate([np.asarray(t["label"]) for t in tables])).tolist())
    late = {label.number for label in stream.labels if label.name == "catch up of the stream"}
    assert seen - {0} == labels - late


def test_the_stream_is_in_order_of_commit_but_where_it_catches_up() -> None:
    stream, tables = stream_of(3)
    at = np.concatenate([np.asarray(t["committed_at"]) for t in tables])
    steps_back = np.flatnonzero(np.diff(at) < 0)
    assert len(steps_back) >= 1
    assert (at[steps_back] >= stream.late_at).all()


def test_a_disguise_changes_names_and_takes_away_and_leaves_what_is_true() -> None:
    """Baseline and first week of one stream, in each of its clothes."""
    plain = list(islice(Stream(Spec("small", 102, 0)).tables(), 2))
    for name, disguise in DISGUISES.items():
        dressed = Disguised(Stream(Spec("small", 102, 0)), disguise)
        first = next(dressed.tables())
        entities = set(first["entity"].to_pylist())
        assert (first.num_rows == plain[0].num_rows) == (name in ("other names", "no origins"))
        if disguise.renamed:
            assert entities & {"Account", "Opportunity"} == set()
            assert other_name("Account") in entities
            fields = {field for row in first["changed_fields"].to_pylist() for field in row}
            assert fields
            assert all(field.startswith("Q") for field in fields if field not in USER_FIELDS)
        else:
            assert entities <= set(plain[0]["entity"].to_pylist())
        if not disguise.origins:
            assert set(first["origin"].to_pylist()) | set(first["client"].to_pylist()) == {""}
        if not disguise.baseline:
            assert "BASELINE" not in first["kind"].to_pylist()
        assert set(np.unique(first["label"].to_numpy())) == set(np.unique(plain[0]["label"].to_numpy()))


USER_FIELDS = ("ProfileId", "UserRoleId", "IsActive", "Department", "Title")

"""Values of classed fields left out: of an alert, and of any answer's rows. Names of fields stay.

A field is given as `Entity.Field` (`Contact.Birthdate`, `Account.BillingAddress.Street`); a compound hides its
parts. Unknown and null are left as they are not: that a value is there is not told either.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

MASK = "masked"

VALUE_COLUMNS = ("value", "before", "after", "bad", "now", "planned", "theirs", "ours", "top_values")


_NAMES = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")

_NAMING = ("Name", "Subject", "CaseNumber", "Title")
"""Fields by which a tree names its records."""


_USER_NAMES = ("Name", "Name.FirstName", "Name.LastName", "Username")
"""Fields of User by which an alert calls its actors."""


class Masked:
    """Which fields are hidden. Empty: nothing is, and nothing costs."""

    def __init__(self, fields: Collection[str] = ()) -> None:
        self._paths: dict[str, tuple[str, ...]] = {}
        for one in fields:
            entity, _, path = one.partition(".")
            self._paths[entity] = (*self._paths.get(entity, ()), path)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def hides(self, entity: str | None, path: str | None) -> bool:
        """Whether the field, or the compound it is part of, is hidden."""
        hidden = self._paths.get(entity or "", ())
        return bool(path) and any(path == one or str(path).startswith(f"{one}.") for one in hidden)

    def named_in(self, entity: str | None, condition: str) -> str | None:
        """The first hidden field whose name a condition uses: asking about it would tell it, one guess at a time."""
        lowered = {word.lower() for word in _NAMES.findall(condition)}
        for path in self._paths.get(entity or "", ()):
            if any(word == path.lower() or word.startswith(f"{path.lower()}.") for word in lowered):
                return path
            # A query calls BillingAddress.Street BillingStreet: any word that ends like the part is taken for it.
            if any(word.endswith(path.rpartition(".")[2].lower()) for word in lowered):
                return path
        return None

    def alert(self, alert: Mapping[str, Any]) -> dict[str, Any]:
        """An alert without those values, also where a sentence quotes them."""
        targets: Sequence[Mapping[str, Any]] = alert["targets"]
        entities = {str(target["entity"]) for target in targets}
        values = set()
        samples = []
        for sample in alert["samples"]:
            if any(self.hides(entity, sample["field"]) for entity in entities):
                values |= {str(sample["before"]), str(sample["after"])}
                sample = {**sample, "before": MASK, "after": MASK}
            samples.append(sample)
        shown = []
        for target in targets:
            if self.hides(target["entity"], target["field"]):
                values |= {str(v["value"]) for v in target["top_values"]}
                target = {**target, "top_values": [{**v, "value": MASK} for v in target["top_values"]]}
            shown.append(target)
        quoted = sorted(values - {"None", ""}, key=len, reverse=True)
        evidence = [{**e, "sentence": _without(str(e["sentence"]), quoted)} for e in alert["evidence"]]
        title = _without(str(alert["title"]), quoted)
        out = {**alert, "samples": samples, "targets": shown, "evidence": evidence, "title": title}
        if any(self.hides("User", path) for path in _USER_NAMES):
            out["actors"] = [
                {**actor, "user_name": actor["user_name"] and MASK} for actor in alert.get("actors") or []
            ]
        return out

    def answer(self, answer: Mapping[str, Any], entity: str | None) -> dict[str, Any]:
        """An answer of columns and rows, whatever it is about; `entity` where the question names it."""
        columns: list[str] = list(answer["columns"])
        rows = [self.row(dict(zip(columns, row, strict=True)), entity) for row in answer["rows"]]
        out = {**answer, "rows": [[row[c] for c in columns] for row in rows]}
        for key in ("blast", "detail"):
            if isinstance(out.get(key), Mapping):
                out[key] = {name: self._part(part, entity) for name, part in out[key].items()}
        return out

    def _part(self, part: Any, entity: str | None) -> Any:
        if isinstance(part, list):
            return [self.row(one, entity) if isinstance(one, Mapping) else one for one in part]
        return self.alert(part) if isinstance(part, Mapping) and "samples" in part else part

    def row(self, row: Mapping[str, Any], entity: str | None) -> dict[str, Any]:
        """One row: a map of fields, or a field with its values, or an alert."""
        out = dict(row)
        of = str(out["entity"]) if out.get("entity") else entity
        if "samples" in out and "targets" in out:
            return self.alert(out)
        if isinstance(out.get("fields"), Mapping):
            out["fields"] = {
                path: self._told(value) if self.hides(of, path) else value
                for path, value in out["fields"].items()
            }
        if "is_child" in out and any(p.partition(".")[0] in _NAMING for p in self._paths.get(of or "", ())):
            out["name"] = MASK
        if self.hides(of, out.get("field")):
            for name in VALUE_COLUMNS:
                if name in out:
                    out[name] = self._told(out[name])
        return out

    def _told(self, value: Any) -> Any:
        """A value, {value, known}, {before, after} or a list of them, without what it says."""
        if isinstance(value, Mapping):
            if "value" in value:
                return {**value, "value": MASK}
            return {name: self._told(one) for name, one in value.items()}
        if isinstance(value, list):
            return [MASK] if value else []
        return MASK


def _without(sentence: str, values: Sequence[str]) -> str:
    for value in values:
        sentence = sentence.replace(f"'{value}'", MASK)
    return sentence

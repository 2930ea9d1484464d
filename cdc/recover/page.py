"""The report as a page of its own: no script, nothing fetched, one column, and it prints on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; break-after: avoid; }
p.when { color: #6b7785; margin: .2rem 0 1.5rem; } p.answer { margin: .2rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 13px; margin: .6rem 0; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #dde3e9; vertical-align: top; overflow-wrap: anywhere; }
th { color: #6b7785; font-weight: 600; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
tr { break-inside: avoid; } .never { color: #b42318; font-weight: 600; }
@page { size: A4; margin: 18mm; } @media print { body { margin: 0; max-width: none; font-size: 11pt; } }
"""

_EVIDENCE: Sequence[tuple[int, str, tuple[str, ...]]] = (
    (1, "drills", ("kind", "drills", "good", "last_good_at", "records", "equal", "rto_from_detection_ms", "rto_from_decision_ms", "rpo_ms", "last_problem")),
    (2, "restores", ("restore_id", "incident_id", "state", "started_at", "finished_at", "requested_by", "restored", "not_restored", "plan_hash")),
    (4, "incidents", ("incident_id", "state", "severity", "title", "opened_at", "records", "changes")),
)  # fmt: skip


def as_html(report: Mapping[str, Any], org: str) -> str:
    """The page, from what `report` gives as JSON."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Recovery report of {escape(org)}</title><style>{STYLE}</style></head><body>",
        f"<h1>Recovery report: {escape(org)}</h1>",
        f"<p class='when'>{escape(str(report['from']))} to {escape(str(report['to']))}, times in UTC</p>",
    ]
    for number, one in enumerate(report["questions"]):
        shown = escape(one["answer"]).replace("never tested", "<span class='never'>never tested</span>")
        parts.append(f"<h2>{number + 1}. {escape(one['question'])}</h2><p class='answer'>{shown}</p>")
        for at, name, columns in _EVIDENCE:
            if at == number and report[name]:
                parts.append(_table(columns, [_flat(row) for row in report[name]]))
        if number == 3:
            parts.append(_table(tuple(report["control"]), [report["control"]]))
    return "\n".join([*parts, "</body></html>"])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **(row.get("blast") or {})}


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(c.replace('_', ' '))}</th>" for c in columns)
    body = "".join("<tr>" + "".join(_cell(row.get(c)) for c in columns) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<td class='n'>{value:,}</td>"
    return f"<td>{'' if value is None else escape(str(value))}</td>"

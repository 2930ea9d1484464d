"""Plans and verdicts as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from typing import Any

from cdc.change.metadata import canonical

LINES_MAX = 40
_DONE = {"DEPLOY": "as it was", "STOP": "made inactive", "DELETE": "deleted"}
_WORDS = {
    "revert": "to put back",
    "already": "as before already",
    "follows": "set by the org itself",
    "conflict": "changed since, left alone",
    "left": "left, unless asked",
    "impossible": "cannot be put back",
}


def plan_lines(facts: Mapping[str, Any]) -> list[str]:
    """What a plan says, the hash last: what apply asks for."""
    lines = [f"plan {facts['restore_id']} of {facts['incident_id']}: {facts['title']} ({facts['state']})"]
    lines += [f"  {one}" for one in facts["meant"]]
    if facts.get("masked"):
        lines.append(f"  masked: {', '.join(facts['masked'])}")
    lines.append("")
    for count in facts["counts"]:
        what = _WORDS.get(count["decision"], count["decision"])
        fields = f", {count['rows']:,} fields" if count["action"] in ("UPDATE", "REPARENT") else ""
        lines.append(f"  {count['entity']} {count['action']}: {count['records']:,} records{fields} {what}")
    for reason in [r for r in facts["reasons"] if r["decision"] in ("conflict", "impossible", "left")][:12]:
        lines.append(f"    {reason['records']:,} {reason['entity']}: {reason['reason']}")
    lines.append("")
    lines.append(
        f"  {facts['api_calls']:,} API calls ({facts['batches']:,} batches, {facts['bulk_jobs']:,} jobs), "
        f"about {_time(facts['estimate_s'])}"
    )
    for one in facts["automation"][:20]:
        lines.append(f"  active {one['kind']} {one['name']} on {one['entity']}: may {one['may']}")
    lines += [f"  {one}" for one in facts["automation_unread"]]
    lines += [f"  to contain it first: {one}" for one in facts.get("contain", ())]
    lines += [f"  file {facts['file']}", f"  hash {facts['hash']}"]
    return lines


def rollback_lines(facts: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    """What a plan to put the set-up back says: each component with its lines, the validation, the hash last."""
    lines = [f"plan {facts['restore_id']}: {facts['title']} ({facts['state']})"]
    lines += [f"  {one}" for one in facts["meant"]]
    for kind, name, action, field, before, _, now, decision, reason in rows:
        if decision == "already":
            continue
        what = _WORDS.get(decision, decision)
        named = f"  {kind}:{name}" + (" (file beside it)" if field == "meta" else "")
        lines.append(f"{named} {_DONE[action]}, {what}" + (f": {reason}" if reason else ""))
        if action == "DEPLOY" and decision == "revert":
            moved = unified_diff(canonical(now or ""), canonical(before or ""), lineterm="", n=1)
            lines += [f"      {line}" for line in list(moved)[2 : 2 + LINES_MAX]]
    same = sum(1 for row in rows if row[7] == "already")
    lines.append(f"  {same:,} components are as they were")
    validation = facts.get("validation")
    if validation is None:
        lines.append("  nothing to put back")
    elif validation["success"]:
        lines.append(f"  the org would take it: validated by deploy {validation['deploy_id']}")
    else:
        lines.append(f"  the org would refuse it ({validation['status']}):")
        lines += [f"    {error}" for error in validation["errors"][:20]]
    return [*lines, f"  package {facts['package']}", f"  file {facts['file']}", f"  hash {facts['hash']}"]


def verdict_lines(verdict: Mapping[str, Any]) -> list[str]:
    """What a verification found."""
    lines = [f"{verdict['equal']:,} of {verdict['fields']:,} as planned"]
    lines += [
        f"  differs: {d['entity']} {d['record_id']} {d['field'] or ''}: {d['now']!r}, planned {d['planned']!r}"
        for d in verdict["differs"][:20]
    ]
    lines += [
        f"  left: {one['records']:,} {one['entity']} {one['kind']} {one['result']}: {one['error'] or ''}"
        for one in verdict["left"][:20]
    ]
    lines.append(f"{verdict['own_changes']:,} events of the stream are the restore's own")
    for one in verdict["slipped"][:20]:
        lines.append(
            f"  slipped in: {one['entity']} {one['record_id']} {one['field']}: {one['user_id']} wrote "
            f"{one['theirs']!r} just before our {one['ours']!r}"
        )
    for one in verdict["side_effects"][:20]:
        lines.append(
            f"  side effect: {one['kind']} of {one['entity']}{'.' + one['field'] if one['field'] else ''} "
            f"on {one['records']:,} records"
        )
    if verdict["strangers"]:
        lines.append(f"  strangers under our client name: {len(verdict['strangers']):,} changes")
    if not verdict["streamed"]:
        lines.append("the stream has not got past the restore yet: what came between may be missing here")
    return lines


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"

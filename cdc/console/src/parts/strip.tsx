/** Coverage as a strip an entity: what is live, lost, repaired or unknown, and when. */

import type { Row } from "../api";
import { local } from "../format";

const CLASSES: Record<string, string> = { live: "good", repaired: "repaired", lost: "lost", unknown: "unknown-part" };

interface Given {
  rows: Row[];
  /** The end; the org's clock, not the viewer's. */
  now: number;
  /** Where the strip begins; without it, where the first stretch does. */
  from?: number;
  /** A stretch that is meant. */
  mark?: [number, number];
}

const POLLED = "/poll/";

/** Kinds that are polled and have been live throughout are one line: what is worth a look has one of its own. */
function gathered(groups: Map<string, Row[]>): Map<string, Row[]> {
  const calm = [...groups].filter(([name, parts]) => name.startsWith(POLLED) && parts.every((part) => part.status === "live"));
  if (calm.length < 3) return groups;
  const lines = new Map([...groups].filter(([name]) => !calm.some(([one]) => one === name)));
  const latest = calm.map(([, parts]) => parts).sort((a, b) => Date.parse(b[0]?.from_at) - Date.parse(a[0]?.from_at))[0] ?? [];
  return lines.set(`${calm.length} polled kinds`, latest);
}

export function Strip({ rows, now, from, mark }: Given) {
  const stretches = rows.filter((row) => !row.record_id);
  if (!stretches.length) return null;
  const starts = stretches.map((row) => Date.parse(row.from_at)).filter((at) => !Number.isNaN(at));
  const begin = from ?? Math.min(...starts);
  const end = Math.max(now, begin + 1);
  const place = (at: number) => Math.min(100, Math.max(0, (100 * (at - begin)) / (end - begin)));
  const groups = new Map<string, Row[]>();
  for (const row of stretches) {
    const name = row.entity ?? row.channel ?? "every entity";
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  const lines = gathered(groups);
  return (
    <div class="strips">
      {[...lines].map(([name, parts]) => (
        <div class="strip" key={name}>
          <span class="strip-name">{name}</span>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label={`${name}: ${parts.map((p) => `${p.status} from ${local(p.from_at)}`).join("; ")}`}>
            <rect width="100" height="10" class="bar-back" />
            {[...parts]
              .sort((a, b) => Number(a.status !== "live") - Number(b.status !== "live"))
              .map((part, n) => {
                const left = place(Date.parse(part.from_at));
                const right = place(part.to_at ? Date.parse(part.to_at) : end);
                if (right <= left && (left <= 0 || left >= 100)) return null;
                return (
                  <rect key={n} x={Math.min(left, 99.4)} width={Math.max(0.6, right - left)} height="10" class={`part ${CLASSES[part.status] ?? ""}`}>
                    <title>{`${part.status}: ${part.reason ?? ""} (${local(part.from_at)} to ${part.to_at ? local(part.to_at) : "now"})`}</title>
                  </rect>
                );
              })}
            {mark && <rect x={place(mark[0])} width={Math.max(0.5, place(mark[1]) - place(mark[0]))} height="10" class="strip-mark" />}
          </svg>
        </div>
      ))}
      <div class="strip scale" aria-hidden="true">
        <span />
        <span class="ends">
          <span>{local(begin)}</span>
          <span>{local(end)}</span>
        </span>
      </div>
      <p class="legend">
        <i class="key good" /> live <i class="key repaired" /> repaired <i class="key lost" /> lost <i class="key unknown-part" /> unknown <i class="key none" /> before it was recorded
        {mark && (
          <>
            {" "}
            <i class="key strip-mark" /> the incident
          </>
        )}
      </p>
    </div>
  );
}

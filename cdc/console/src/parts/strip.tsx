/** Coverage as a strip a channel: what is live, lost, repaired or unknown, and when. */

import type { Row } from "../api";
import { local } from "../format";

const CLASSES: Record<string, string> = { live: "good", repaired: "repaired", lost: "lost", unknown: "unknown-part" };

export function Strip({ rows, now }: { rows: Row[]; now: number }) {
  const stretches = rows.filter((row) => !row.record_id);
  if (!stretches.length) return null;
  const starts = stretches.map((row) => Date.parse(row.from_at)).filter((at) => !Number.isNaN(at));
  const begin = Math.min(...starts);
  const end = Math.max(now, begin + 1);
  const groups = new Map<string, Row[]>();
  for (const row of stretches) {
    const name = row.entity ?? row.channel ?? "all";
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  const place = (at: number) => (100 * (at - begin)) / (end - begin);
  return (
    <div class="strips">
      {[...groups].map(([name, parts]) => (
        <div class="strip" key={name}>
          <span class="strip-name">{name}</span>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label={`${name}: ${parts.map((p) => `${p.status} from ${local(p.from_at)}`).join("; ")}`}>
            <rect width="100" height="10" class="bar-back" />
            {[...parts]
              .sort((a, b) => Number(a.status !== "live") - Number(b.status !== "live"))
              .map((part, n) => {
                const from = place(Date.parse(part.from_at));
                const to = place(part.to_at ? Date.parse(part.to_at) : end);
                return (
                  <rect key={n} x={from} width={Math.max(0.6, to - from)} height="10" class={`part ${CLASSES[part.status] ?? ""}`}>
                    <title>{`${part.status}: ${part.reason ?? ""} (${local(part.from_at)} to ${part.to_at ? local(part.to_at) : "now"})`}</title>
                  </rect>
                );
              })}
          </svg>
        </div>
      ))}
      <p class="legend">
        <i class="key good" /> live <i class="key repaired" /> repaired <i class="key lost" /> lost <i class="key unknown-part" /> unknown · from {local(begin)} to {local(end)}
      </p>
    </div>
  );
}

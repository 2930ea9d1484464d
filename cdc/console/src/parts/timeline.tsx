/** The changes of a record where they lie in time. The slider beside it walks them one by one. */

import type { Row } from "../api";
import { local } from "../format";

const WIDTH = 1000;
const HEIGHT = 58;
const SIDE = 14;
const DRAWN_MAX = 600;

const kindClass = (kind: string): string => (kind === "DELETE" || kind === "ABSENT" ? "gone" : kind.startsWith("GAP") ? "gap" : kind === "BASELINE" || kind === "REREAD" ? "read" : kind === "UPDATE" ? "" : "born");

export function Timeline({ rows, current, pick }: { rows: Row[]; current: number; pick: (n: number) => void }) {
  const times = rows.map((row) => Date.parse(row.effective_at));
  const first = Math.min(...times);
  const last = Math.max(...times);
  const place = (at: number) => (last === first ? WIDTH / 2 : SIDE + ((WIDTH - 2 * SIDE) * (at - first)) / (last - first));
  const step = Math.max(1, Math.ceil(rows.length / DRAWN_MAX));
  const here = place(times[current] ?? first);
  return (
    <div class="history-line">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <line class="rail" x1={SIDE} x2={WIDTH - SIDE} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        <line class="here" x1={here} x2={here} y1="4" y2={HEIGHT - 4} />
        {rows.map((row, n) =>
          n % step === 0 || n === current ? (
            <rect key={row.seq} class={`mark ${kindClass(String(row.kind))} ${n === current ? "current" : ""}`} x={place(times[n] ?? first) - (n === current ? 4 : 2.5)} y={n === current ? 12 : 17} width={n === current ? 8 : 5} height={n === current ? 34 : 24} rx="2" onClick={() => pick(n)}>
              <title>{`${row.kind}, ${local(row.effective_at)}`}</title>
            </rect>
          ) : null,
        )}
      </svg>
      <div class="ends quiet">
        <span>{local(first)}</span>
        <span>{local(last)}</span>
      </div>
    </div>
  );
}

/** All incidents, the newest first. */

import { rowsOf, type Row } from "../api";
import { count } from "../format";
import { choose, go, link, type Place } from "../router";
import { useAnswer } from "../use";
import { Empty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { When } from "../parts/when";

const COLUMNS: Column<Row>[] = [
  { name: "Severity", cell: (r) => <span class={`badge ${r.severity ?? ""}`}>{r.severity ?? "by hand"}</span> },
  { name: "State", cell: (r) => r.state },
  { name: "What", wide: true, cell: (r) => <a href={link(["incidents", r.incident_id])} title={r.title}>{r.title}</a> },
  { name: "Opened", cell: (r) => <When at={r.opened_at} /> },
  { name: "Last change", cell: (r) => <When at={r.last_change_at} /> },
  { name: "Acknowledged by", cell: (r) => r.acknowledged_by ?? <span class="quiet">–</span> },
];

export function Incidents({ place }: { place: Place }) {
  const state = place.query.get("state") ?? "";
  const words = place.query.get("words") ?? "";
  const asked = useAnswer("incidents", { limit: 2000, state }, 3000);
  return (
    <>
      <h1>Incidents</h1>
      <p class="lead">Mass updates the detector found, and what people opened by hand. Each leads to who and what, the state before, and the undo.</p>
      <form class="row" onSubmit={(e) => e.preventDefault()}>
        <label>
          Words in the title
          <input type="search" class="long" value={words} onInput={(e) => choose({ words: e.currentTarget.value })} />
        </label>
        <label>
          State
          <select value={state} onChange={(e) => choose({ state: e.currentTarget.value })}>
            <option value="">all</option>
            <option value="open">open</option>
            <option value="acknowledged">acknowledged</option>
            <option value="closed">closed</option>
            <option value="merged">merged</option>
          </select>
        </label>
      </form>
      <Shown asked={asked} what="incidents">
        {(answer) => {
          const rows = rowsOf(answer).filter((row) => String(row.title).toLowerCase().includes(words.toLowerCase()));
          if (!rows.length) {
            return <Empty>{answer.rows.length ? "No incident matches." : "No incident yet. The detector reads every change; what it finds stands here."}</Empty>;
          }
          return (
            <>
              <p class="quiet">{count(rows.length)} shown</p>
              <Table label="Incidents" columns={COLUMNS} rows={rows} rowKey={(r) => r.incident_id} open={(r) => go(link(["incidents", r.incident_id]))} />
            </>
          );
        }}
      </Shown>
    </>
  );
}

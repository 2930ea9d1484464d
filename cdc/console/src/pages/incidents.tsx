/** All incidents, the newest first. */

import { rowsOf, type Row } from "../api";
import { plural } from "../format";
import { choose, go, link, type Place } from "../router";
import { useAnswer } from "../use";
import { useNames } from "../parts/names";
import { Sentence } from "../parts/sentence";
import { Empty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { When } from "../parts/when";

const LIMIT = 5000;
const STATES = ["", "open", "acknowledged", "closed", "merged"];

const COLUMNS: Column<Row>[] = [
  { name: "Severity", cell: (r) => <span class={`badge ${r.severity ?? ""}`}>{r.severity ?? "by hand"}</span> },
  { name: "State", cell: (r) => <span class={`badge state-${r.state}`}>{r.state}</span> },
  {
    name: "What",
    wide: true,
    cell: (r) => (
      <a href={link(["incidents", r.incident_id])} title={r.title}>
        <Sentence text={String(r.title)} plain />
      </a>
    ),
  },
  { name: "Opened", cell: (r) => <When at={r.opened_at} /> },
  { name: "Last change", cell: (r) => <When at={r.last_change_at} /> },
  { name: "Note", wide: true, cell: (r) => <Noted row={r} /> },
];

function Noted({ row }: { row: Row }) {
  const text = row.acknowledged_by ? `acknowledged by ${row.acknowledged_by}` : row.note;
  if (!text) return <span class="quiet">–</span>;
  return <span title={text}>{text}</span>;
}

export function Incidents({ place }: { place: Place }) {
  const state = place.query.get("state") ?? "";
  const words = place.query.get("words") ?? "";
  const asked = useAnswer("incidents", { limit: LIMIT, state }, 3000);
  const all = asked.value ? rowsOf(asked.value) : [];
  const names = useNames(all.slice(0, 300).map((row) => /\b005\w{15}\b/.exec(row.title)?.[0]));
  const wanted = words.toLowerCase();
  const rows = all.filter((row) => `${row.title} ${row.note ?? ""} ${names.get(/\b005\w{15}\b/.exec(row.title)?.[0] ?? "") ?? ""}`.toLowerCase().includes(wanted));
  return (
    <>
      <h1>Incidents</h1>
      <p class="lead">Mass updates the detector found, and what people opened by hand. Each leads to who and what, the state before, and the undo.</p>
      <form class="row" onSubmit={(e) => e.preventDefault()}>
        <label>
          Words in the title, a name or a note
          <input type="search" class="long" value={words} onInput={(e) => choose({ words: e.currentTarget.value })} />
        </label>
        <label>
          State
          <select value={state} onChange={(e) => choose({ state: e.currentTarget.value })}>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one || "all"}
              </option>
            ))}
          </select>
        </label>
        {asked.value && (
          <span class="quiet counted" role="status">
            {rows.length < all.length ? `${plural(rows.length, "incident")} of ${all.length}` : plural(rows.length, "incident")}
          </span>
        )}
      </form>
      <Shown asked={asked} what="incidents">
        {(answer) => {
          if (rows.length) return <Table label="Incidents" columns={COLUMNS} rows={rows} rowKey={(r) => r.incident_id} open={(r) => go(link(["incidents", r.incident_id]))} />;
          if (answer.rows.length || state) {
            return (
              <Empty>
                No incident matches. <button onClick={() => choose({ words: null, state: null })}>Show all</button>
              </Empty>
            );
          }
          return (
            <Empty>
              <strong>No incident yet.</strong> The detector reads every change as it is recorded; a mass update that is not usual will stand here while it is still small. Something it did not see
              can be opened by hand: <code>cdc incident open --help</code>.
            </Empty>
          );
        }}
      </Shown>
    </>
  );
}

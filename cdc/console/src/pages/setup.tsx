/** Setup: who changed the org's configuration, when, and what differs between two moments. */

import { rowsOf, type Row } from "../api";
import { count } from "../format";
import { choose, type Place } from "../router";
import { useAnswer } from "../use";
import { User, useNames } from "../parts/names";
import { Empty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { When } from "../parts/when";

export function Setup({ place }: { place: Place }) {
  const words = (place.query.get("words") ?? "").toLowerCase();
  const asked = useAnswer("setup", { limit: 5000 }, 15_000);
  const all = asked.value ? rowsOf(asked.value) : [];
  const names = useNames(all.slice(0, 300).map((row) => row.user_id));
  const columns: Column<Row>[] = [
    { name: "When", cell: (r) => <When at={r.at} /> },
    { name: "Who", cell: (r) => <User id={r.user_id} names={names} /> },
    { name: "Section", cell: (r) => r.section },
    { name: "Action", cell: (r) => <code>{r.action}</code> },
    { name: "What", wide: true, cell: (r) => <span title={r.display}>{r.display}</span> },
    { name: "Component", cell: (r) => r.component ?? "" },
  ];
  return (
    <>
      <h1>Setup</h1>
      <p class="lead">Every change of the org's configuration that is recorded: most mass updates begin with one.</p>
      <form class="row" onSubmit={(e) => e.preventDefault()}>
        <label>
          Words
          <input type="search" class="long" value={place.query.get("words") ?? ""} onInput={(e) => choose({ words: e.currentTarget.value })} placeholder="flow, permission set, a name" />
        </label>
      </form>
      <Shown asked={asked} what="the setup log">
        {() => {
          const rows = all.filter((row) => [row.section, row.action, row.display, row.component].join(" ").toLowerCase().includes(words));
          if (!rows.length) return <Empty>{all.length ? "No setup change matches." : "No setup change is recorded yet. They are polled at the interval poll.setup_interval."}</Empty>;
          return (
            <>
              <p class="quiet">{count(rows.length)} shown</p>
              <Table label="Setup changes" columns={columns} rows={rows} rowKey={(r, n) => `${r.seq} ${n}`} />
            </>
          );
        }}
      </Shown>
    </>
  );
}

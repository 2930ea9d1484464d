/** The time machine: find a record, walk through its history, see it and what hangs on it at any moment. */

import { useState } from "preact/hooks";
import { rowsOf, type Answer, type Row } from "../api";
import { count, plural, programme } from "../format";
import { choose, go, link, type Place } from "../router";
import { useAnswer } from "../use";
import { User, useNames } from "../parts/names";
import { Empty, Honesty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Value } from "../parts/value";
import { When } from "../parts/when";

const VIEWS = ["history", "state", "compare", "tree"] as const;
const NAMES: Record<string, string> = { history: "History", state: "At a moment", compare: "Compare two times", tree: "Tree" };
const FIELDS_SHOWN = 5;

export function TimeMachine({ place }: { place: Place }) {
  const [, entity, record] = place.path;
  return (
    <>
      <h1>Time machine</h1>
      <p class="lead">Any record, any entity, at any moment. What is not known is shown as unknown, never as empty.</p>
      <Find entity={entity} record={record} place={place} />
      {entity && record ? <One entity={entity} record={record} place={place} /> : entity ? <Many entity={entity} place={place} /> : <Entities />}
    </>
  );
}

function Find({ entity, record, place }: { entity: string | undefined; record: string | undefined; place: Place }) {
  const find = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(data.get(name) ?? "").trim();
    const id = text("record");
    go(link(["time", text("entity"), ...(id ? [id] : [])], { at: text("at"), before: place.query.get("before"), where: id ? "" : text("where") }));
  };
  return (
    <form class="row" onSubmit={find} key={`${entity} ${record}`}>
      <label>
        Entity
        <input name="entity" required defaultValue={entity ?? "Account"} size={16} list="entities" />
      </label>
      <label>
        Record id <input name="record" defaultValue={record ?? ""} size={20} placeholder="15 or 18 characters" />
      </label>
      <label>
        At
        <input name="at" defaultValue={place.query.get("at") ?? ""} size={24} placeholder="now, -15m, 2026-11-23T10:02:00Z" />
      </label>
      <label>
        Only where
        <input name="where" defaultValue={place.query.get("where") ?? ""} size={30} placeholder="StageName = 'Closed Won'" />
      </label>
      <button class="main">Show</button>
    </form>
  );
}

function Entities() {
  const status = useAnswer("status");
  return (
    <Shown asked={status} what="the entities">
      {(answer) => {
        const rows = rowsOf(answer).filter((row) => row.part === "entity");
        if (!rows.length) return <Empty>No entity is recorded yet.</Empty>;
        return (
          <div class="tiles">
            {rows.map((row) => (
              <a class="tile" key={row.name} href={link(["time", row.name])}>
                <b>{row.name}</b>
                <span>{row.detail}</span>
              </a>
            ))}
          </div>
        );
      }}
    </Shown>
  );
}

function moment(place: Place) {
  return { at: place.query.get("at"), before: place.query.get("before") };
}

function MomentLine({ place }: { place: Place }) {
  const before = place.query.get("before");
  if (!before) return null;
  return (
    <p class="honesty">
      Cut exactly before <code>{before}</code>. <button onClick={() => choose({ before: null })}>Leave the cut</button>
    </p>
  );
}

function Many({ entity, place }: { entity: string; place: Place }) {
  const [cursors, setCursors] = useState<string[]>([]);
  const asked = useAnswer(`state/${encodeURIComponent(entity)}`, { ...moment(place), where: place.query.get("where"), limit: 500, cursor: cursors.at(-1) });
  return (
    <>
      <MomentLine place={place} />
      <Shown asked={asked} what={`records of ${entity}`}>
        {(answer) => {
          const rows = rowsOf(answer);
          const paths = leading(rows);
          const columns: Column<Row>[] = [
            { name: "Record", cell: (r) => <a href={link(["time", entity, r.record_id], { at: place.query.get("at"), before: place.query.get("before"), view: "state" })}>{r.record_id}</a> },
            { name: "Status", cell: (r) => <span class={`badge ${r.status === "unknown" ? "unknown-state" : ""}`}>{r.status}</span> },
            ...paths.map((path) => ({ name: path, cell: (r: Row) => <Value value={r.fields?.[path]} known={path in (r.fields ?? {})} /> })),
            { name: "Known", cell: (r) => (r.complete ? "in full" : <span class="unknown" title={r.incomplete_reason}>in part</span>) },
          ];
          return (
            <>
              <Honesty answer={answer} />
              {rows.length ? (
                <Table label={`Records of ${entity}`} columns={columns} rows={rows} rowKey={(r) => r.record_id} open={(r) => go(link(["time", entity, r.record_id], { at: place.query.get("at"), before: place.query.get("before"), view: "state" }))} />
              ) : (
                <Empty>No record of {entity} meets this.</Empty>
              )}
              <div class="row" style={{ marginTop: "12px" }}>
                <button disabled={!cursors.length} onClick={() => setCursors(cursors.slice(0, -1))}>
                  Before
                </button>
                <button disabled={!answer.next} onClick={() => answer.next && setCursors([...cursors, answer.next])}>
                  Next {count(500)}
                </button>
              </div>
            </>
          );
        }}
      </Shown>
    </>
  );
}

const FIRST = ["Name", "Name.LastName", "Subject", "StageName", "Status", "Amount", "Email", "OwnerId"];

function leading(rows: Row[]): string[] {
  const seen = new Map<string, number>();
  for (const row of rows) for (const [path, value] of Object.entries((row.fields ?? {}) as Row)) if (value !== null) seen.set(path, (seen.get(path) ?? 0) + 1);
  const score = (path: string) => (FIRST.includes(path) ? 1e9 - FIRST.indexOf(path) * 1e6 : (seen.get(path) ?? 0));
  return [...seen.keys()].sort((a, b) => score(b) - score(a)).slice(0, FIELDS_SHOWN);
}

function One({ entity, record, place }: { entity: string; record: string; place: Place }) {
  const view = place.query.get("view") ?? "history";
  return (
    <>
      <div class="row" role="tablist">
        {VIEWS.map((name) => (
          <button key={name} role="tab" aria-selected={view === name} class={view === name ? "main" : ""} onClick={() => choose({ view: name })}>
            {NAMES[name]}
          </button>
        ))}
      </div>
      <MomentLine place={place} />
      {view === "state" && <State entity={entity} record={record} place={place} />}
      {view === "history" && <History entity={entity} record={record} place={place} />}
      {view === "compare" && <Compare entity={entity} record={record} place={place} />}
      {view === "tree" && <Tree entity={entity} record={record} place={place} />}
    </>
  );
}

function History({ entity, record, place }: { entity: string; record: string; place: Place }) {
  const asked = useAnswer(`history/${encodeURIComponent(entity)}/${encodeURIComponent(record)}`, { ...moment(place), limit: 1000 });
  const [at, setAt] = useState(-1);
  const rows = asked.value ? rowsOf(asked.value) : [];
  const names = useNames(rows.map((row) => row.user_id));
  return (
    <Shown asked={asked} what="the history">
      {(answer) => {
        if (!rows.length) return <Empty>Nothing is recorded of this record. Check the entity and the id.</Empty>;
        const current = at < 0 ? rows.length - 1 : Math.min(at, rows.length - 1);
        const row = rows[current] as Row;
        return (
          <>
            <Honesty answer={answer} />
            <div class="card">
              <label>
                Change {count(current + 1)} of {count(rows.length)}; arrow keys walk
                <input type="range" min={0} max={rows.length - 1} value={current} onInput={(e) => setAt(Number(e.currentTarget.value))} aria-valuetext={`${row.kind} ${row.effective_at}`} />
              </label>
              <p class="sentence">
                <span class="badge">{row.kind}</span> <When at={row.effective_at} /> by <User id={row.user_id} names={names} /> through {row.source === "pubsub" || row.source === "cometd" ? programme(row.origin ?? "", row.client ?? "") : `a ${row.source} read`}
              </p>
              <Changes fields={row.fields ?? {}} />
              <p>
                <a href={link(["time", entity, record], { view: "state", before: String(row.seq) })}>The record just before this change</a>
              </p>
            </div>
            <ol class="timeline" reversed>
              {[...rows.keys()].reverse().slice(0, 300).map((n) => (
                <HistoryLine key={rows[n]?.seq} row={rows[n] as Row} current={n === current} pick={() => setAt(n)} names={names} />
              ))}
            </ol>
          </>
        );
      }}
    </Shown>
  );
}

function HistoryLine({ row, current, pick, names }: { row: Row; current: boolean; pick: () => void; names: Map<string, string> }) {
  const fields = Object.keys(row.fields ?? {});
  return (
    <li class={current ? "current" : ""}>
      <button onClick={pick} aria-pressed={current}>
        {row.kind}
      </button>{" "}
      <When at={row.effective_at} /> <User id={row.user_id} names={names} />{" "}
      <span class="quiet">
        {fields.length ? fields.slice(0, 6).join(", ") : "no field named"}
        {fields.length > 6 ? ` and ${fields.length - 6} more` : ""}
      </span>
    </li>
  );
}

function Changes({ fields }: { fields: Record<string, { before: Row; after: Row }> }) {
  return (
    <>
      {Object.entries(fields).map(([path, value]) => (
        <div class="change" key={path}>
          <strong>{path}</strong>
          <span class={value.before.known ? "was" : ""}>
            <Value value={value.before.value} known={value.before.known} />
          </span>
          <span class="arrow" aria-label="became">
            →
          </span>
          <Value value={value.after.value} known={value.after.known} />
        </div>
      ))}
    </>
  );
}

const fieldColumns = (names: Map<string, string>): Column<Row>[] => [
  { name: "Field", cell: (r) => r.field },
  { name: "Value", wide: true, cell: (r) => <>{r.inferred ? <span title="Before it was first read: inferred, not known"><Value value={r.value} /> <span class="unknown">inferred</span></span> : <Value value={r.value} known={r.known} />}</> },
  { name: "Set", cell: (r) => <When at={r.set_at} /> },
  { name: "By", cell: (r) => (r.set_by ? <User id={r.set_by} names={names} /> : <span class="quiet">before the first reading</span>) },
  { name: "Through", cell: (r) => r.set_client ?? "" },
];

function State({ entity, record, place }: { entity: string; record: string; place: Place }) {
  const asked = useAnswer(`record/${encodeURIComponent(entity)}/${encodeURIComponent(record)}`, moment(place));
  const names = useNames(asked.value ? rowsOf(asked.value).map((row) => row.set_by) : []);
  return (
    <Shown asked={asked} what="the record">
      {(answer) => (
        <>
          <Honesty answer={answer} />
          {answer.rows.length ? <Table label={`Fields of ${record}`} columns={fieldColumns(names)} rows={rowsOf(answer)} rowKey={(r) => r.field} /> : <Empty>Nothing is known of this record at this moment.</Empty>}
        </>
      )}
    </Shown>
  );
}

function Compare({ entity, record, place }: { entity: string; record: string; place: Place }) {
  const from = place.query.get("from") ?? "-1d";
  const to = place.query.get("to") ?? "now";
  const asked = useAnswer(`diff/${encodeURIComponent(entity)}`, { ids: [record], from, to });
  return (
    <>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          const data = new FormData(event.currentTarget as HTMLFormElement);
          choose({ from: String(data.get("from")), to: String(data.get("to")) });
        }}
      >
        <label>
          From <input name="from" defaultValue={from} size={24} />
        </label>
        <label>
          To <input name="to" defaultValue={to} size={24} />
        </label>
        <button>Compare</button>
      </form>
      <Shown asked={asked} what="the difference">
        {(answer) => <Plain answer={answer} empty="Nothing differs between these two times." />}
      </Shown>
    </>
  );
}

function Tree({ entity, record, place }: { entity: string; record: string; place: Place }) {
  const asked = useAnswer(`tree/${encodeURIComponent(entity)}/${encodeURIComponent(record)}`, { ...moment(place), depth: 3, limit: 1000 });
  return (
    <Shown asked={asked} what="the tree">
      {(answer) => (
        <>
          <p class="quiet">{plural(answer.rows.length, "record")} with what hangs on it</p>
          <Plain answer={answer} empty="Nothing hangs on this record at this moment." />
        </>
      )}
    </Shown>
  );
}

/** Any answer as it comes. */
export function Plain({ answer, empty }: { answer: Answer; empty: string }) {
  const rows = rowsOf(answer);
  if (!rows.length) return (
    <>
      <Honesty answer={answer} />
      <Empty>{empty}</Empty>
    </>
  );
  return (
    <>
      <Honesty answer={answer} />
      <Table
        label="Rows"
        rows={rows}
        rowKey={(_, n) => n}
        columns={answer.columns.map((name) => ({ name: name.replaceAll("_", " "), cell: (row: Row) => <Cell name={name} value={row[name]} /> }))}
      />
    </>
  );
}

function Cell({ name, value }: { name: string; value: unknown }) {
  if (name.endsWith("_at") && typeof value === "string") return <When at={value} />;
  if (value && typeof value === "object" && "known" in value && "value" in value) {
    const told = value as { value: unknown; known: boolean };
    return <Value value={told.value} known={told.known} />;
  }
  return <Value value={value} />;
}

/** One record: its history, how it was at a moment, what differs between two, and what hangs on it. */

import { useState } from "preact/hooks";
import { rowsOf, type Row } from "../api";
import { count, plural, programme } from "../format";
import { choose, link, type Place } from "../router";
import { useAnswer } from "../use";
import { User, useNames } from "../parts/names";
import { Cell } from "../parts/plain";
import { Empty, Honesty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Tabs } from "../parts/tabs";
import { Timeline } from "../parts/timeline";
import { Value } from "../parts/value";
import { When } from "../parts/when";

const VIEWS = { history: "History", state: "At a moment", compare: "Compare two times", tree: "What hangs on it" };
const HISTORY_MAX = 1000;
const LISTED_MAX = 300;

export function moment(place: Place) {
  return { at: place.query.get("at"), before: place.query.get("before") };
}

export function MomentLine({ place }: { place: Place }) {
  const before = place.query.get("before");
  if (!before) return null;
  return (
    <p class="honesty">
      <strong>Cut exactly before</strong> <code>{before}</code> <button onClick={() => choose({ before: null })}>Show it as it is now</button>
    </p>
  );
}

interface Given {
  entity: string;
  record: string;
  place: Place;
}

export function OneRecord({ entity, record, place }: Given) {
  const wanted = place.query.get("view") ?? "history";
  const view = wanted in VIEWS ? wanted : "history";
  return (
    <Tabs label={`Views of ${record}`} names={VIEWS} view={view}>
      <MomentLine place={place} />
      {view === "state" && <State entity={entity} record={record} place={place} />}
      {view === "history" && <History entity={entity} record={record} place={place} />}
      {view === "compare" && <Compare entity={entity} record={record} place={place} />}
      {view === "tree" && <Tree entity={entity} record={record} place={place} />}
    </Tabs>
  );
}

function NotThere({ entity }: { entity: string }) {
  return (
    <Empty>
      <strong>Nothing is recorded of this record.</strong> Check the entity and the id, or look through <a href={link(["time", entity])}>the records of {entity}</a>.
    </Empty>
  );
}

function History({ entity, record, place }: Given) {
  const asked = useAnswer(`history/${encodeURIComponent(entity)}/${encodeURIComponent(record)}`, { ...moment(place), limit: HISTORY_MAX });
  const [at, setAt] = useState(-1);
  const rows = asked.value ? rowsOf(asked.value) : [];
  const names = useNames(rows.map((row) => row.user_id));
  return (
    <Shown asked={asked} what="the history">
      {(answer) => {
        if (!rows.length) return <NotThere entity={entity} />;
        const current = at < 0 ? rows.length - 1 : Math.min(at, rows.length - 1);
        const row = rows[current] as Row;
        const next = rows[current + 1];
        return (
          <>
            <Honesty answer={answer} />
            <section class="card" aria-label="One change">
              <Timeline rows={rows} current={current} pick={setAt} />
              <label class="slider">
                <span>
                  Change <b>{count(current + 1)}</b> of {count(rows.length)}
                  {answer.next ? " (the first of more)" : ""}: drag, or walk with the arrow keys
                </span>
                <input type="range" min={0} max={rows.length - 1} value={current} onInput={(e) => setAt(Number(e.currentTarget.value))} aria-valuetext={`${row.kind} ${row.effective_at}`} />
              </label>
              <p class="sentence">
                <span class="badge">{row.kind}</span> <When at={row.effective_at} /> by <User id={row.user_id} names={names} /> through {through(row)}
              </p>
              <Changes fields={row.fields ?? {}} />
              <p class="row">
                <a class="button" href={link(["time", entity, record], { view: "state", before: String(row.seq) })}>
                  The record just before this change
                </a>
                <a class="button" href={link(["time", entity, record], { view: "state", before: next ? String(next.seq) : null })}>
                  Just after it
                </a>
              </p>
            </section>
            <ol class="timeline" reversed>
              {[...rows.keys()]
                .reverse()
                .slice(0, LISTED_MAX)
                .map((n) => (
                  <HistoryLine key={rows[n]?.seq} row={rows[n] as Row} current={n === current} pick={() => setAt(n)} names={names} />
                ))}
            </ol>
            {rows.length > LISTED_MAX && <p class="quiet">The newest {count(LISTED_MAX)} are listed; the slider walks all.</p>}
          </>
        );
      }}
    </Shown>
  );
}

const through = (row: Row): string => (row.source === "pubsub" || row.source === "cometd" ? programme(row.origin ?? "", row.client ?? "") : `a ${row.source} read`);

function HistoryLine({ row, current, pick, names }: { row: Row; current: boolean; pick: () => void; names: Map<string, string> }) {
  const fields = Object.keys(row.fields ?? {});
  return (
    <li class={current ? "current" : ""}>
      <button class="small" onClick={pick} aria-pressed={current}>
        {row.kind}
      </button>{" "}
      <When at={row.effective_at} /> <User id={row.user_id} names={names} />{" "}
      <span class="quiet" title={fields.join(", ")}>
        {fields.length ? fields.slice(0, 6).join(", ") : "no field named"}
        {fields.length > 6 ? ` and ${fields.length - 6} more` : ""}
      </span>
    </li>
  );
}

const CHANGES_MAX = 12;

function Changes({ fields }: { fields: Record<string, { before: Row; after: Row }> }) {
  const all = Object.entries(fields);
  if (!all.length) return <p class="quiet">It names no field.</p>;
  const lines = (some: typeof all) =>
    some.map(([path, value]) => (
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
    ));
  return (
    <div class="changes">
      {lines(all.slice(0, CHANGES_MAX))}
      {all.length > CHANGES_MAX && (
        <details>
          <summary>{plural(all.length - CHANGES_MAX, "field")} more</summary>
          {lines(all.slice(CHANGES_MAX))}
        </details>
      )}
    </div>
  );
}

const fieldColumns = (names: Map<string, string>): Column<Row>[] => [
  { name: "Field", cell: (r) => <strong>{r.field}</strong> },
  { name: "Value", wide: true, cell: (r) => <Cell name="" value={{ value: r.value, known: r.known, inferred: r.inferred }} /> },
  { name: "Set", cell: (r) => <When at={r.set_at} /> },
  { name: "By", cell: (r) => (r.set_by ? <User id={r.set_by} names={names} /> : <span class="quiet">before the first reading</span>) },
  { name: "Through", cell: (r) => r.set_client ?? "" },
];

function State({ entity, record, place }: Given) {
  const asked = useAnswer(`record/${encodeURIComponent(entity)}/${encodeURIComponent(record)}`, moment(place));
  const names = useNames(asked.value ? rowsOf(asked.value).map((row) => row.set_by) : []);
  return (
    <Shown asked={asked} what="the record">
      {(answer) => (
        <>
          <Honesty answer={answer} />
          {answer.rows.length ? <Table label={`Fields of ${record}`} columns={fieldColumns(names)} rows={rowsOf(answer)} rowKey={(r) => r.field} /> : <NotThere entity={entity} />}
        </>
      )}
    </Shown>
  );
}

const SPANS: [string, string][] = [
  ["-1h", "the last hour"],
  ["-1d", "the last day"],
  ["-7d", "the last 7 days"],
  ["-30d", "the last 30 days"],
];

function Compare({ entity, record, place }: Given) {
  const from = place.query.get("from") ?? "-1d";
  const to = place.query.get("to") ?? "";
  const asked = useAnswer(`diff/${encodeURIComponent(entity)}`, { ids: [record], from, to, limit: 1000 });
  const names = useNames(asked.value ? rowsOf(asked.value).map((row) => row.user_id) : []);
  return (
    <>
      <form
        class="row"
        key={`${from} ${to}`}
        onSubmit={(event) => {
          event.preventDefault();
          const given = new FormData(event.currentTarget as HTMLFormElement);
          choose({ from: String(given.get("from")), to: String(given.get("to")) });
        }}
      >
        <label>
          From <input name="from" required defaultValue={from} size={24} placeholder="-1d, 2026-11-23T10:02:00Z" />
        </label>
        <label>
          To <input name="to" defaultValue={to} size={24} placeholder="now" />
        </label>
        <button class="main">Compare</button>
        {SPANS.map(([value, text]) => (
          <button key={value} type="button" aria-pressed={from === value && !to} onClick={() => choose({ from: value, to: null })}>
            {text}
          </button>
        ))}
      </form>
      <Shown asked={asked} what="the difference">
        {(answer) => (
          <>
            <Honesty answer={answer} />
            {answer.rows.length ? (
              <Table label="Differences" columns={differenceColumns(names)} rows={rowsOf(answer)} rowKey={(r) => String(r.field)} />
            ) : (
              <Empty>
                <strong>Nothing differs between these two times.</strong> A longer stretch may show more.
              </Empty>
            )}
          </>
        )}
      </Shown>
    </>
  );
}

const differenceColumns = (names: Map<string, string>): Column<Row>[] => [
  { name: "Field", cell: (r) => (r.field ? <strong>{r.field}</strong> : <span class="quiet">the record</span>) },
  { name: "At the first time", wide: true, cell: (r) => <Cell name="" value={r.before} /> },
  { name: "At the second", wide: true, cell: (r) => <Cell name="" value={r.after} /> },
  { name: "Changed", cell: (r) => <When at={r.set_at} /> },
  { name: "By", cell: (r) => <User id={r.user_id} names={names} /> },
];

const treeColumns = (place: Place): Column<Row>[] => [
  {
    name: "Record",
    wide: true,
    cell: (r) => (
      <span class="branch" style={{ paddingLeft: `${Number(r.depth) * 22}px` }}>
        {Number(r.depth) > 0 && <span class="twig" aria-hidden="true" />}
        <a href={link(["time", r.entity, r.record_id], { view: "state", at: place.query.get("at"), before: place.query.get("before") })}>{r.name ?? r.record_id}</a>
        {r.again && <span class="quiet"> (shown above)</span>}
      </span>
    ),
  },
  { name: "Entity", cell: (r) => r.entity },
  { name: "Hangs on it by", cell: (r) => (r.depth ? (r.is_child === null ? <span class="unknown" title="It named this record at some time; whether at this one is not known">{r.via}?</span> : r.via) : <span class="quiet">–</span>) },
  { name: "Status", cell: (r) => <span class={`badge ${r.status === "unknown" ? "unknown-state" : r.status === "deleted" ? "failed" : ""}`}>{r.status}</span> },
  { name: "Known", cell: (r) => (r.complete ? "in full" : <span class="unknown" title={r.incomplete_reason}>in part</span>) },
  { name: "Id", cell: (r) => <code>{r.record_id}</code> },
];

function Tree({ entity, record, place }: Given) {
  const asked = useAnswer(`tree/${encodeURIComponent(entity)}/${encodeURIComponent(record)}`, { ...moment(place), depth: 3, limit: 2000 });
  return (
    <Shown asked={asked} what="the tree">
      {(answer) => {
        const rows = rowsOf(answer);
        if (!rows.length) return <NotThere entity={entity} />;
        const counts = new Map<string, number>();
        for (const row of rows) if (row.depth) counts.set(row.entity, (counts.get(row.entity) ?? 0) + 1);
        return (
          <>
            <Honesty answer={answer} />
            <p class="quiet">{counts.size ? `On it hang ${[...counts].map(([name, n]) => plural(n, `${name} record`)).join(", ")}.` : "Nothing hangs on it at this moment."}</p>
            <Table label="Tree" columns={treeColumns(place)} rows={rows} rowKey={(r, n) => `${r.record_id} ${n}`} />
          </>
        );
      }}
    </Shown>
  );
}

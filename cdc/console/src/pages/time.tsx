/** The time machine: find a record or an entity, at any moment. */

import { rowsOf, type Row } from "../api";
import { go, link, type Place } from "../router";
import { useAnswer } from "../use";
import { Pages, usePages } from "../parts/pages";
import { Empty, Honesty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Value } from "../parts/value";
import { moment, MomentLine, OneRecord } from "./record";

const FIELDS_SHOWN = 5;
const PAGE = 500;

export function TimeMachine({ place }: { place: Place }) {
  const [, entity, record] = place.path;
  return (
    <>
      <h1>Time machine</h1>
      <p class="lead">Any record, any entity, at any moment. What is not known is shown as unknown, never as empty.</p>
      <Find entity={entity} record={record} place={place} />
      {entity && record ? <OneRecord key={`${entity} ${record}`} entity={entity} record={record} place={place} /> : entity ? <Many entity={entity} place={place} /> : <Entities />}
    </>
  );
}

function Find({ entity, record, place }: { entity: string | undefined; record: string | undefined; place: Place }) {
  const entities = useAnswer("entities");
  const find = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const id = text("record");
    const at = text("at");
    go(link(["time", text("entity"), ...(id ? [id] : [])], { at, before: at ? null : place.query.get("before"), where: id ? "" : text("where"), view: id && at ? "state" : null }));
  };
  return (
    <form class="row find" onSubmit={find} key={`${entity} ${record} ${place.query.get("at")}`}>
      <label>
        Entity
        <input name="entity" required defaultValue={entity ?? "Account"} size={16} list="entities" />
        <datalist id="entities">
          {(entities.value?.rows ?? []).map((row) => (
            <option key={String(row[0])} value={String(row[0])} />
          ))}
        </datalist>
      </label>
      <label>
        Record id
        <input name="record" defaultValue={record ?? ""} size={20} placeholder="15 or 18 characters" />
      </label>
      <label>
        At
        <input name="at" defaultValue={place.query.get("at") ?? ""} size={28} placeholder="now, -15m, 2026-11-23T10:02:00Z" />
      </label>
      <label>
        Only where
        <input name="where" defaultValue={place.query.get("where") ?? ""} size={28} placeholder="StageName = 'Closed Won'" />
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
        if (!rows.length) {
          return (
            <Empty>
              <strong>No entity is recorded yet.</strong> The first full read begins by itself; <a href="/">Now</a> shows how far it is.
            </Empty>
          );
        }
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

function Many({ entity, place }: { entity: string; place: Place }) {
  const when = moment(place);
  const where = place.query.get("where");
  const pages = usePages(`${entity} ${when.at} ${when.before} ${where}`);
  const asked = useAnswer(`state/${encodeURIComponent(entity)}`, { ...when, where, limit: PAGE, cursor: pages.cursor });
  const to = (record: string) => link(["time", entity, record], { at: when.at, before: when.before, view: "state" });
  return (
    <>
      <MomentLine place={place} />
      <Shown asked={asked} what={`records of ${entity}`}>
        {(answer) => {
          const rows = rowsOf(answer);
          const columns: Column<Row>[] = [
            { name: "Record", cell: (r) => <a href={to(r.record_id)}>{r.record_id}</a> },
            { name: "Status", cell: (r) => <span class={`badge ${r.status === "unknown" ? "unknown-state" : r.status === "deleted" ? "failed" : ""}`}>{r.status}</span> },
            ...leading(rows).map((path) => ({ name: path, cell: (r: Row) => <Value value={r.fields?.[path]} known={path in (r.fields ?? {})} /> })),
            { name: "Known", cell: (r) => (r.complete ? "in full" : <span class="unknown" title={r.incomplete_reason}>in part</span>) },
          ];
          return (
            <>
              <Honesty answer={answer} />
              {rows.length ? (
                <Table label={`Records of ${entity}`} columns={columns} rows={rows} rowKey={(r) => r.record_id} open={(r) => go(to(r.record_id))} />
              ) : (
                <Empty>
                  <strong>No record of {entity} {where ? "meets this condition" : "is known at this moment"}.</strong> {where ? "Leave the condition out to see all." : "A later time may show some."}
                </Empty>
              )}
              <Pages pages={pages} next={answer.next} rows={rows.length} size={PAGE} what="records" />
            </>
          );
        }}
      </Shown>
    </>
  );
}

const FIRST = ["Name", "Name.LastName", "Subject", "StageName", "Status", "Amount", "Email", "OwnerId"];

/** The fields that tell most of a record at a glance. */
function leading(rows: Row[]): string[] {
  const seen = new Map<string, number>();
  for (const row of rows) for (const [path, value] of Object.entries((row.fields ?? {}) as Row)) if (value !== null) seen.set(path, (seen.get(path) ?? 0) + 1);
  const score = (path: string) => (FIRST.includes(path) ? 1e9 - FIRST.indexOf(path) * 1e6 : (seen.get(path) ?? 0));
  return [...seen.keys()].sort((a, b) => score(b) - score(a)).slice(0, FIELDS_SHOWN);
}

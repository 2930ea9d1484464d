/** One incident: what happened against what is usual, who and what, how far it reaches, and what to do. */

import { useState } from "preact/hooks";
import { rowsOf, type Answer, type Row } from "../api";
import { count, duration, pace, percent, plural, programme } from "../format";
import { link } from "../router";
import { useAnswer, type Asked } from "../use";
import { Bars } from "../parts/bars";
import { BlastPicture } from "../parts/blast-picture";
import { IncidentActions } from "../parts/incident-actions";
import { User, useNames } from "../parts/names";
import { Sentence } from "../parts/sentence";
import { Series } from "../parts/series";
import { Empty, Shown } from "../parts/states";
import { Strip } from "../parts/strip";
import { Table, type Column } from "../parts/table";
import { Value } from "../parts/value";
import { When } from "../parts/when";
import { linesOf } from "./now";

const DAY_MS = 86_400_000;
const USUAL_DAYS = 7;

export function Incident({ id }: { id: string }) {
  const at = `incidents/${encodeURIComponent(id)}`;
  const [turn, setTurn] = useState(0);
  const incident = useAnswer(at, {}, 5000, turn);
  const detail = (incident.value as (Answer & { detail: Row }) | undefined)?.detail;
  const asked = useAnswer(`${at}/blast`, {}, 15_000) as Asked<Answer & { blast: Row }>;
  const alert = (detail?.alert ?? null) as Row | null;
  const blast = asked.value?.blast;
  const entity = ((alert?.targets as Row[] | undefined)?.[0]?.entity ?? blast?.fields?.[0]?.entity) as string | undefined;
  return (
    <>
      <p class="crumbs">
        <a href="/incidents">Incidents</a> / <code>{id}</code>
      </p>
      <Shown asked={incident} what="the incident">
        {(answer) => (
          <>
            <Head detail={(answer as Answer & { detail: Row }).detail} alert={alert} blast={blast} />
            <IncidentActions id={id} detail={(answer as Answer & { detail: Row }).detail} before={/--before (\S+)/.exec(alert?.next ?? "")?.[1] ?? id} entity={entity} changed={() => setTurn((n) => n + 1)} />
            <Cause sentences={(alert?.setup_before as string[] | null) ?? []} first={alert?.first_change_at} />
          </>
        )}
      </Shown>
      <section class="card" aria-labelledby="blast">
        <h2 id="blast">Blast radius</h2>
        <Shown asked={asked} what="the blast radius">
          {(answer) => (answer.blast.totals.records ? <Blast blast={answer.blast} alert={alert} /> : <Empty>
              <strong>No recorded change is meant by it.</strong> <code>cdc incident widen</code> says what else is.
            </Empty>)}
        </Shown>
      </section>
      {blast && entity && <Burst blast={blast} alert={alert} entity={entity} />}
      {alert && <Why alert={alert} />}
      {alert && <Samples alert={alert} />}
      {incident.value && <Restores answer={incident.value} />}
    </>
  );
}

function Head({ detail, alert, blast }: { detail: Row; alert: Row | null; blast: Row | undefined }) {
  const grown = alert && blast && blast.totals.records > alert.records;
  return (
    <>
      <h1>
        <Sentence text={String(detail.title)} plain />
      </h1>
      <p class="lead wide">
        {alert && <span class={`badge ${alert.severity}`}>{alert.severity}</span>} <span class={`badge state-${detail.state}`}>{detail.state}</span>{" "}
        {alert && (
          <>
            first change <When at={alert.first_change_at} />, told <When at={alert.decided_at} />, {duration((Date.parse(alert.decided_at) - Date.parse(alert.first_change_at)) / 1000)} later
            {grown ? `; ${count(alert.records)} records by then, ${count(blast.totals.records)} by now` : ""}
          </>
        )}
        {!alert && blast && (
          <>
            opened by hand; first change <When at={blast.totals.first_at} />
          </>
        )}
      </p>
    </>
  );
}

function Cause({ sentences, first }: { sentences: string[]; first: string | undefined }) {
  if (!sentences.length || !first) return null;
  const from = new Date(Date.parse(first) - 3_600_000).toISOString();
  const [likely, ...others] = sentences;
  return (
    <section class="notice cause" aria-label="Likely cause">
      <p>
        <Sentence text={String(likely)} />{" "}
        <a href={link(["setup"], { view: "changed", from, to: first })}>What it changed, line by line</a>
      </p>
      {others.length > 0 && (
        <details>
          <summary>{plural(others.length, "other change")} of the set-up in the hour before</summary>
          <ul>
            {others.map((sentence) => (
              <li key={sentence}>
                <Sentence text={sentence} />
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

/** A field, with its entity where several are meant. */
function named(one: Row, all: Row[]): string {
  const what = one.field ?? String(one.kind).toLowerCase();
  return all.every((other) => other.entity === one.entity) ? what : `${one.entity}${one.field ? "." : " "}${what}`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** The statement whose rows a number counts. */
function behind(blast: Row, entity: string, field: string | null): string {
  const { first_seq: first, last_seq: last, users } = blast.totals as Row;
  const who = ((users ?? []) as (string | null)[]).filter(Boolean).slice(0, 50) as string[];
  const parts = [`entity = ${quoted(entity)}`, `seq BETWEEN ${first} AND ${last}`];
  if (who.length) parts.push(`user_id IN (${who.map(quoted).join(", ")})`);
  if (field) parts.push(`list_contains(changed_fields, ${quoted(field)})`);
  return link(["sql"], { q: `SELECT seq, committed_at, record_id, kind, user_id, client, changed_fields\nFROM changes\nWHERE ${parts.join("\n  AND ")}\nORDER BY seq` });
}

function Blast({ blast, alert }: { blast: Row; alert: Row | null }) {
  const users = ((blast.totals.users ?? []) as (string | null)[]).slice(0, 20);
  const owners = (blast.groups as Row[]).filter((g) => g.field === "OwnerId");
  const names = useNames([...users, ...((alert?.actors as Row[] | undefined) ?? []).map((a) => a.user_id), ...owners.map((g) => g.value)]);
  const fields = blast.fields as Row[];
  const most = Math.max(...fields.map((f) => Number(f.records)), 1);
  const totals = blast.totals as Row;
  const seconds = (Date.parse(totals.last_at) - Date.parse(totals.first_at)) / 1000;
  const rowsBehind = (entity: string, field: string | null) => behind(blast, entity, field);
  return (
    <>
      <div class="figures">
        <Figure value={count(totals.records)} text={Number(totals.records) === 1 ? "record" : "records"} href={fields[0] ? rowsBehind(fields[0].entity, null) : undefined} />
        <Figure value={count(totals.changes)} text={Number(totals.changes) === 1 ? "change" : "changes"} />
        <Figure value={count(totals.transactions)} text={Number(totals.transactions) === 1 ? "transaction" : "transactions"} />
        <Figure value={duration(seconds)} text="from first to last" />
        {(blast.money as Row[]).slice(0, 2).map((m) => (
          <Figure key={`${m.entity} ${m.field}`} value={count(m.after - m.before)} text={`${m.entity}.${m.field}: ${count(m.before)} before, ${count(m.after)} after`} bad />
        ))}
      </div>
      <BlastPicture blast={blast} alert={alert} names={names} rowsBehind={rowsBehind} />
      <div class="columns">
        <div>
          <h3>Fields, by records</h3>
          <Bars
            label="Records by field"
            bars={fields.slice(0, 40).map((f) => ({
              name: <a href={rowsBehind(f.entity, f.field)}>{named(f, fields)}</a>,
              share: Number(f.records) / most,
              text: count(f.records),
            }))}
          />
          {owners.length > 0 && (
            <>
              <h3>Whose they are</h3>
              <ul>
                {owners.slice(0, 8).map((g) => (
                  <li key={`${g.entity} ${g.value}`}>
                    <User id={g.value} names={names} />: {plural(g.records, `${g.entity} record`)}
                  </li>
                ))}
                {owners.length > 8 && <li class="quiet">and {count(owners.length - 8)} owners more</li>}
              </ul>
            </>
          )}
        </div>
        <div>
          <List title="Point to the changed records" rows={blast.reached} text={(r) => `${r.entity}.${r.field}: ${plural(r.records, "record")} point to ${count(r.of_records)} of them`} />
          <List title="Changed again later by others" rows={blast.later} text={(r) => `${r.entity}: ${plural(r.records, "record")}, ${plural(r.changes, "change")} by ${plural(r.users, "user")}; ${count(r.records_same_field)} in the same field`} />
          <List title="Also in these transactions, and not meant" rows={blast.beside} text={(r) => `${r.entity} ${String(r.kind).toLowerCase()}: ${plural(r.records, "record")}`} />
          <Linked rows={blast.linked} />
        </div>
      </div>
      <p class="quiet meant">
        {(blast.meant as string[]).map((sentence) => (
          <span key={sentence}>
            <Sentence text={sentence} />{" "}
          </span>
        ))}
      </p>
    </>
  );
}

function Figure({ value, text, bad = false, href }: { value: string; text: string; bad?: boolean; href?: string | undefined }) {
  return (
    <div class={bad ? "figure bad" : "figure"}>
      <b>{href ? <a href={href}>{value}</a> : value}</b>
      <span>{text}</span>
    </div>
  );
}

function List({ title, rows, text }: { title: string; rows: Row[]; text: (row: Row) => string }) {
  if (!rows.length) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul>
        {rows.map((row, n) => (
          <li key={n}>{text(row)}</li>
        ))}
      </ul>
    </>
  );
}

function Linked({ rows }: { rows: Row[] }) {
  const alerts = rows.filter((row) => row.what === "alert");
  if (!alerts.length) return null;
  return (
    <>
      <h3>Linked episodes</h3>
      <ul>
        {alerts.map((row) => (
          <li key={row.id}>
            <a href={link(["incidents", row.id])}>
              <Sentence text={String(row.title)} plain />
            </a>{" "}
            <span class="quiet">
              <When at={row.at} />
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** The burst in the minutes around it, with what was usual for this entity before as a line across. */
function Burst({ blast, alert, entity }: { blast: Row; alert: Row | null; entity: string }) {
  const first = Date.parse(blast.totals.first_at);
  const last = Math.max(Date.parse(blast.totals.last_at), first + 1000);
  const lasted = last - first;
  const after = Math.max(60_000, lasted / 2);
  const minutes = Math.min(10_000, Math.ceil((lasted + after + Math.max(240_000, lasted)) / 60_000));
  const rates = useAnswer("rates", { minutes, by: "user", entity, until: new Date(last + after).toISOString() }, 10_000);
  const before = useAnswer("rates", { minutes: USUAL_DAYS * 24 * 60, by: "entity", entity, until: new Date(first - 1000).toISOString() });
  const coverage = useAnswer("coverage", { entity }, 30_000);
  const usual = usualOf(before.value);
  const names = useNames((rates.value ? rowsOf(rates.value) : []).map((row) => row.name));
  return (
    <section class="card" aria-labelledby="burst">
      <h2 id="burst">The burst against what is usual</h2>
      <Shown asked={rates} what="the burst">
        {(answer) => {
          const { seconds, lines } = linesOf(answer);
          if (!lines.length) return <Empty>No change of {entity} in this span is recorded.</Empty>;
          const named = lines.map((line) => ({ ...line, name: names.get(line.name) ?? line.name }));
          return <Series seconds={seconds} lines={named} unit={`Changes of ${entity} per second, by user`} mark={[first / 1000, last / 1000]} usual={usual} />;
        }}
      </Shown>
      <p class="quiet">
        Changes of {entity} per second, by user.{" "}
        {alert?.usual && (
          <>
            What is usual: <Sentence text={String(alert.usual)} />.
          </>
        )}
      </p>
      {alert?.coverage && (
        <p class="notice warn">
          <Sentence text={String(alert.coverage)} />
        </p>
      )}
      <h3>Is everything around it known?</h3>
      <Shown asked={coverage} what="coverage">
        {(answer) => <Strip rows={rowsOf(answer)} from={first - DAY_MS} now={Math.max(last + after, first + 3_600_000)} mark={[first, last]} />}
      </Shown>
    </section>
  );
}

function usualOf(answer: Answer | undefined): { value: number; text: string } | undefined {
  const rows = answer ? rowsOf(answer).filter((row) => row.name !== null) : [];
  const first = rows[0];
  if (!first) return undefined;
  const bucket = Number(first.bucket_ms) / 1000;
  const busiest = Math.max(...rows.map((row) => Number(row.changes))) / bucket;
  const mean = rows.reduce((sum, row) => sum + Number(row.changes), 0) / (USUAL_DAYS * 86_400);
  return { value: busiest, text: `the busiest ${duration(bucket)} of the ${USUAL_DAYS} days before: ${pace(busiest)} (mean ${pace(mean)})` };
}

function Why({ alert }: { alert: Row }) {
  const actors: Row[] = alert.actors ?? [];
  const names = useNames(actors.map((a) => a.user_id));
  return (
    <div class="grid">
      <section class="card" aria-labelledby="who">
        <h2 id="who">Who, and why it stands out</h2>
        <Bars
          label="Who changed the records"
          bars={actors.map((a) => ({
            name: (
              <>
                <User id={a.user_id} names={names} /> <span class="quiet">{programme(a.origin, a.client)}</span>
              </>
            ),
            share: a.share ?? 0,
          }))}
        />
        <ul class="evidence">
          {(alert.evidence as Row[]).map((e) => (
            <li key={e.channel}>
              <Sentence text={String(e.sentence)} />
            </li>
          ))}
        </ul>
      </section>
      <section class="card" aria-labelledby="set">
        <h2 id="set">What it set</h2>
        {(alert.targets as Row[]).map((t, n) => (
          <div key={n}>
            <h3>
              {t.entity}
              {t.field ? `.${t.field}` : ""} <span class="quiet">in {percent(t.share ?? 1)} of the records</span>
            </h3>
            <Bars label={`Values of ${t.field ?? t.entity}`} bars={valuesOf(t)} />
          </div>
        ))}
      </section>
    </div>
  );
}

function valuesOf(target: Row) {
  const values = ((target.top_values ?? []) as Row[]).filter((v) => v.value !== null).slice(0, 4);
  return [
    ...(target.null_share > 0 ? [{ name: <Value value={null} />, share: target.null_share as number }] : []),
    ...values.map((v) => ({ name: <Value value={v.value} />, share: v.share as number })),
  ];
}

function Samples({ alert }: { alert: Row }) {
  const entity = (alert.targets as Row[])[0]?.entity ?? "";
  const columns: Column<Row>[] = [
    { name: "Record", cell: (s) => <a href={link(["time", entity, s.record_id])}>{s.record_id}</a> },
    { name: "Field", cell: (s) => s.field ?? <span class="quiet">the record</span> },
    { name: "Before", wide: true, cell: (s) => <Value value={s.before} known={s.before_known !== false} /> },
    { name: "After", wide: true, cell: (s) => <Value value={s.after} /> },
  ];
  const rows = alert.samples as Row[];
  if (!rows.length) return null;
  return (
    <section class="card" aria-labelledby="samples">
      <h2 id="samples">Some of the records, before and after</h2>
      <Table label="Samples" columns={columns} rows={rows} rowKey={(r, n) => `${r.record_id} ${r.field} ${n}`} />
    </section>
  );
}

function Restores({ answer }: { answer: Answer }) {
  if (!answer.rows.length) return null;
  const columns: Column<Row>[] = [
    { name: "Restore", cell: (r) => <a href={link(["undo", r.restore_id])}>{r.restore_id}</a> },
    { name: "State", cell: (r) => <span class={`badge state-${r.state}`}>{r.state}</span> },
    { name: "Records", right: true, cell: (r) => count(Number(r.records ?? 0)) },
    { name: "Planned", cell: (r) => <When at={r.planned_at} /> },
    { name: "Finished", cell: (r) => <When at={r.finished_at} /> },
    { name: "Asked for by", cell: (r) => r.requested_by ?? "" },
  ];
  return (
    <section class="card" aria-labelledby="restores">
      <h2 id="restores">Restores</h2>
      <Table label="Restores of this incident" rows={rowsOf(answer)} rowKey={(r) => r.restore_id} columns={columns} />
    </section>
  );
}

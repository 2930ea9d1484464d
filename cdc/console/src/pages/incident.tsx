/** One incident: what happened against what is usual, who and what, samples, and what to do. */

import { useState } from "preact/hooks";
import { ask, post, rowsOf, type Answer, type Row } from "../api";
import { count, duration, percent, plural, programme } from "../format";
import { go, link } from "../router";
import { useAnswer, useLoad } from "../use";
import { Bars } from "../parts/bars";
import { User, useNames } from "../parts/names";
import { Series } from "../parts/series";
import { Empty, Failed, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Value } from "../parts/value";
import { When } from "../parts/when";
import { linesOf } from "./now";

export function Incident({ id }: { id: string }) {
  const incident = useAnswer(`incidents/${encodeURIComponent(id)}`, {}, 3000);
  const alert = useLoad((signal) => findAlert(id, signal), `alert ${id}`, 3000);
  const blast = useAnswer(`incidents/${encodeURIComponent(id)}/blast`, {}, 10_000);
  return (
    <>
      <Shown asked={incident} what="the incident">
        {(answer) => <Head answer={answer as Answer & { detail: Row }} alert={alert.value ?? null} id={id} />}
      </Shown>
      {alert.value && <Burst alert={alert.value} />}
      <section class="card" aria-labelledby="blast">
        <h2 id="blast">Blast radius</h2>
        <Shown asked={blast} what="the blast radius">
          {(answer) => <Blast blast={(answer as Answer & { blast: Row }).blast} />}
        </Shown>
      </section>
      {alert.value && <Samples alert={alert.value} />}
    </>
  );
}

async function findAlert(id: string, signal: AbortSignal): Promise<Row | null> {
  let cursor: string | null = null;
  do {
    const answer: Answer = await ask("alerts", { limit: 1000, cursor }, signal);
    const found = rowsOf(answer).find((row) => row.alert_id === id);
    if (found) return found;
    cursor = answer.next;
  } while (cursor);
  return null;
}

function Head({ answer, alert, id }: { answer: Answer & { detail: Row }; alert: Row | null; id: string }) {
  const detail = answer.detail;
  const actors: Row[] = alert?.actors ?? [];
  const names = useNames(actors.map((a) => a.user_id));
  return (
    <>
      <p class="quiet">
        <a href="/incidents">Incidents</a> / <code>{id}</code>
      </p>
      <h1>{detail.title}</h1>
      <p class="lead">
        {alert && <span class={`badge ${alert.severity}`}>{alert.severity}</span>} <span class="badge">{detail.state}</span>{" "}
        {alert && (
          <>
            first change <When at={alert.first_change_at} />, last <When at={alert.last_change_at} />, decided <When at={alert.decided_at} />
          </>
        )}
      </p>
      <Actions id={id} detail={detail} alert={alert} />
      {alert && (
        <div class="grid">
          <section class="card">
            <h2>Who, and through what</h2>
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
            <h3>Why this stands out</h3>
            <ul>
              {(alert.evidence as Row[]).map((e) => (
                <li key={e.channel}>{e.sentence}</li>
              ))}
            </ul>
            <h3>What is usual</h3>
            <p>{alert.usual}</p>
            {alert.setup_before && (
              <>
                <h3>Setup changes shortly before</h3>
                <ul>
                  {(alert.setup_before as string[]).map((sentence) => (
                    <li key={sentence}>{sentence}</li>
                  ))}
                </ul>
              </>
            )}
            {alert.coverage && <p class="honesty warn">{alert.coverage}</p>}
          </section>
          <section class="card">
            <h2>What it set</h2>
            {(alert.targets as Row[]).map((t, n) => (
              <div key={n}>
                <h3>
                  {t.entity}
                  {t.field ? `.${t.field}` : ""} <span class="quiet">in {percent(t.share ?? 1)} of the records</span>
                </h3>
                <Bars
                  label={`Values of ${t.field ?? t.entity}`}
                  bars={[
                    ...(t.null_share > 0 ? [{ name: <Value value={null} />, share: t.null_share as number }] : []),
                    ...((t.top_values ?? []) as Row[]).slice(0, 4).map((v) => ({ name: <Value value={v.value} />, share: v.share as number })),
                  ]}
                />
              </div>
            ))}
          </section>
        </div>
      )}
      {answer.rows.length > 0 && (
        <section class="card">
          <h2>Restores</h2>
          <Table
            label="Restores of this incident"
            rows={rowsOf(answer)}
            rowKey={(r) => r.restore_id}
            columns={answer.columns.map((name) => ({
              name: name.replaceAll("_", " "),
              cell: (row: Row) =>
                name === "restore_id" ? <a href={link(["undo", row.restore_id])}>{row.restore_id}</a> : name.endsWith("_at") ? <When at={row[name]} /> : <Value value={row[name]} />,
            }))}
          />
        </section>
      )}
    </>
  );
}

function Actions({ id, detail, alert }: { id: string; detail: Row; alert: Row | null }) {
  const [problem, setProblem] = useState<{ title: string; detail: string } | null>(null);
  const [note, setNote] = useState("");
  const act = async (path: string, body: Row, then?: (answer: Row) => void) => {
    setProblem(null);
    try {
      const answer = await post<Row>(path, body);
      then?.(answer);
    } catch (error) {
      const failed = error as { title?: string; message: string };
      setProblem({ title: failed.title ?? "Not done", detail: failed.message });
    }
  };
  const before = alert ? (/--before (\S+)/.exec(alert.next ?? "")?.[1] ?? id) : id;
  const entity = (alert?.targets as Row[] | undefined)?.[0]?.entity;
  return (
    <div class="card no-print">
      <div class="row" style={{ margin: 0 }}>
        <button class="main" onClick={() => go(link(["undo"], { incident: id }))}>
          Undo it…
        </button>
        {entity && (
          <a class="badge" href={link(["time", entity], { before })}>
            The state before
          </a>
        )}
        <label style={{ flex: 1 }}>
          Note
          <input value={note} placeholder="What was found, for those who read this later" onInput={(e) => setNote(e.currentTarget.value)} />
        </label>
        <button disabled={detail.contained_at !== null} onClick={() => void act(`incidents/${id}/contain`, { note })}>
          {detail.contained_at ? "Its cause was stopped" : "Its cause is stopped"}
        </button>
        <button disabled={detail.state === "closed"} onClick={() => void act(`incidents/${id}/close`, { note })}>
          Close
        </button>
        {alert && <KnownJob id={id} act={act} acknowledged={detail.state === "acknowledged"} />}
      </div>
      {problem && <Failed problem={problem} />}
    </div>
  );
}

/** Acknowledging teaches the detector; what that will silence is shown before it is done. */
function KnownJob({ id, act, acknowledged }: { id: string; act: (path: string, body: Row, then?: (a: Row) => void) => Promise<void>; acknowledged: boolean }) {
  const [preview, setPreview] = useState<string[] | null>(null);
  if (acknowledged) return <button onClick={() => void act(`incidents/${id}/unacknowledge`, {})}>Withdraw the acknowledgement</button>;
  if (preview === null) {
    return (
      <button onClick={() => void act(`incidents/${id}/acknowledge`, { preview: true }, (a) => setPreview((a.silences as string[] | undefined) ?? []))}>
        A known job…
      </button>
    );
  }
  return (
    <div class="honesty warn" role="dialog" aria-label="Silence as a known job">
      <strong>Will not be told again:</strong>
      {preview.map((sentence) => (
        <span key={sentence}>{sentence}</span>
      ))}
      <button class="main" onClick={() => void act(`incidents/${id}/acknowledge`, {}, () => setPreview(null))}>
        Acknowledge
      </button>
      <button onClick={() => setPreview(null)}>Leave it</button>
    </div>
  );
}

function Burst({ alert }: { alert: Row }) {
  const entity = (alert.targets as Row[])[0]?.entity;
  const first = Date.parse(alert.first_change_at);
  const last = Date.parse(alert.last_change_at);
  const until = new Date(last + 5 * 60_000).toISOString();
  const minutes = Math.min(24 * 60, Math.ceil((last - first) / 60_000) + 25);
  const rates = useAnswer("rates", { minutes, by: "user", entity, until }, 5000);
  return (
    <section class="card" aria-labelledby="burst">
      <h2 id="burst">
        The burst: {plural(alert.records, "record")}, {plural(alert.changes, "change")} in {duration((last - first) / 1000)}
      </h2>
      <Shown asked={rates} what="the burst">
        {(answer) => {
          const { seconds, lines } = linesOf(answer);
          if (!lines.length) return <Empty>No change of {entity} in this span is recorded.</Empty>;
          return <Series seconds={seconds} lines={lines} unit={`Changes of ${entity} per second, by user`} mark={[first / 1000, Math.max(last, first + 1000) / 1000]} />;
        }}
      </Shown>
    </section>
  );
}

function Blast({ blast }: { blast: Row }) {
  const totals = blast.totals as Row;
  const fields = blast.fields as Row[];
  const most = Math.max(...fields.map((f) => Number(f.records)), 1);
  return (
    <>
      <div class="tiles">
        <div class="tile">
          <b>{count(totals.records)}</b>
          <span>records in {plural(totals.entities, "entity", "entities")}</span>
        </div>
        <div class="tile">
          <b>{count(totals.changes)}</b>
          <span>changes in {plural(totals.transactions, "transaction")}</span>
        </div>
        {(blast.money as Row[]).slice(0, 2).map((m) => (
          <div class="tile" key={`${m.entity}.${m.field}`}>
            <b>
              {count(m.before)} → {count(m.after)}
            </b>
            <span>
              {m.entity}.{m.field}, total of {plural(m.records, "record")}
            </span>
          </div>
        ))}
      </div>
      <div class="grid">
        <div>
          <h3>Fields</h3>
          <Bars
            label="Records by field"
            bars={fields.slice(0, 14).map((f) => ({ name: `${f.entity}${f.field ? `.${f.field}` : ` ${f.kind}`}`, share: Number(f.records) / most, text: count(f.records) }))}
          />
        </div>
        <div>
          <Rows title="Children and lookups reached" rows={blast.reached} text={(r) => `${r.entity}.${r.field}: ${plural(r.records, "record")} point to ${count(r.of_records)} of them`} />
          <Rows title="Later changes by others on the same records" rows={blast.later} text={(r) => `${r.entity}: ${plural(r.records, "record")}, ${plural(r.changes, "change")} by ${plural(r.users, "user")}; ${count(r.records_same_field)} touch the same field`} />
          <Rows title="In the same transactions" rows={blast.beside} text={(r) => `${r.entity} ${r.kind}: ${plural(r.records, "record")}`} />
          <Rows title="Linked" rows={blast.linked} text={(r) => `${r.what}: ${r.title}`} />
          <Rows title="Owners and record types" rows={(blast.groups as Row[]).slice(0, 8)} text={(r) => `${r.entity}.${r.field} ${r.value}: ${plural(r.records, "record")}`} />
        </div>
      </div>
    </>
  );
}

function Rows({ title, rows, text }: { title: string; rows: Row[]; text: (row: Row) => string }) {
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
      <h2 id="samples">Some of the records</h2>
      <Table label="Samples" columns={columns} rows={rows} rowKey={(r, n) => `${r.record_id} ${r.field} ${n}`} />
    </section>
  );
}

/** Can it be trusted: coverage, seals, drills and restores. */

import { rowsOf, type Answer, type Row } from "../api";
import { bytes, count } from "../format";
import { link } from "../router";
import { useAnswer } from "../use";
import { Cell } from "../parts/plain";
import { Sentence } from "../parts/sentence";
import { Empty, Shown } from "../parts/states";
import { Strip } from "../parts/strip";
import { Table, type Column } from "../parts/table";

export function Trust() {
  const coverage = useAnswer("coverage", {}, 10_000);
  const report = useAnswer("report", {}, 60_000);
  const drills = useAnswer("drills", { limit: 50 }, 30_000);
  const restores = useAnswer("restores", { limit: 50 }, 30_000);
  const seals = useAnswer("seals", { limit: 200 }, 30_000);
  return (
    <>
      <div class="row head">
        <h1>Trust</h1>
        <button class="no-print" onClick={() => window.print()}>
          Print this page
        </button>
      </div>
      <p class="lead">What is known since when, what is sealed against change, and when putting data back was last practised.</p>
      <section class="card" aria-labelledby="t-report">
        <h2 id="t-report">The five questions</h2>
        <Shown asked={report} what="the report">
          {(answer) => (
            <dl class="questions">
              {rowsOf(answer).map((row) => (
                <div key={row.question}>
                  <dt>{row.question}</dt>
                  <dd>
                    <Sentence text={String(row.answer)} />
                  </dd>
                </div>
              ))}
            </dl>
          )}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-coverage">
        <h2 id="t-coverage">Coverage</h2>
        <Shown asked={coverage} what="coverage">
          {(answer) => (
            <>
              <Strip rows={rowsOf(answer)} now={newestOf(answer)} />
              <Listed label="Stretches of coverage" answer={answer} empty="Nothing is recorded yet." />
            </>
          )}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-drills">
        <h2 id="t-drills">Drills</h2>
        <Shown asked={drills} what="drills">
          {(answer) => (
            <Listed
              label="Drills"
              answer={answer}
              empty={
                <>
                  <strong>Never practised.</strong> <code>cdc drill</code> restores a prepared incident, measures how long that takes, and keeps the figures.
                </>
              }
            />
          )}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-restores">
        <h2 id="t-restores">Restores</h2>
        <Shown asked={restores} what="restores">
          {(answer) => <Listed label="Restores" answer={answer} empty="Nothing was restored yet." leave={["plan_hash", "version", "org", "kind", "started_at"]} />}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-seals">
        <h2 id="t-seals">Seals</h2>
        <Shown asked={seals} what="seals">
          {(answer) => (
            <Listed
              label="Seals"
              answer={answer}
              empty={
                <>
                  <strong>Nothing is sealed yet.</strong> Older changes are sealed as they grow; <code>cdc seal</code> does it at once.
                </>
              }
            />
          )}
        </Shown>
      </section>
    </>
  );
}

const newestOf = (answer: Answer): number =>
  Math.max(
    ...rowsOf(answer)
      .flatMap((row) => [row.from_at, row.to_at])
      .filter(Boolean)
      .map((at) => Date.parse(at)),
    0,
  ) + 60_000;

const LISTED_MAX = 1000;
const LONG = ["reason", "evidence", "detail", "note"];

/** Columns that say something; numbers to the right, with their units. */
function Listed({ label, answer, empty, leave = [] }: { label: string; answer: Answer; empty: preact.ComponentChildren; leave?: string[] }) {
  const rows = rowsOf(answer).slice(0, LISTED_MAX);
  if (!rows.length) return <Empty>{empty}</Empty>;
  const shown = answer.columns.filter((name) => !leave.includes(name) && rows.some((row) => row[name] !== null && row[name] !== ""));
  const columns: Column<Row>[] = shown.map((name) => {
    const numeric = rows.every((row) => row[name] === null || typeof row[name] === "number");
    return { name: name.replaceAll("_", " "), right: numeric, wide: LONG.includes(name), cell: (row) => <Told name={name} value={row[name]} /> };
  });
  return (
    <>
      <Table label={label} rows={rows} rowKey={(_, n) => n} columns={columns} />
      {answer.rows.length > rows.length && <p class="quiet">The first {count(rows.length)} of {count(answer.rows.length)}; all with `cdc` in a terminal.</p>}
    </>
  );
}

function Told({ name, value }: { name: string; value: unknown }) {
  if (name === "restore_id" && value) return <a href={link(["undo", String(value)])}>{String(value)}</a>;
  if (name === "incident_id" && value) return <a href={link(["incidents", String(value)])}>{`${String(value).slice(0, 8)}…`}</a>;
  if (name === "state" && typeof value === "string") return <span class={`badge state-${value}`}>{value}</span>;
  if (name === "bytes" && typeof value === "number") return <>{bytes(value)}</>;
  if (name.endsWith("_s") && typeof value === "number") return <>{count(value)} s</>;
  if (typeof value === "number") return <>{count(value)}</>;
  if (value === null || value === "") return <span class="quiet">–</span>;
  if (typeof value === "string" && LONG.includes(name)) return <Sentence text={value} />;
  return <Cell name={name} value={value} />;
}

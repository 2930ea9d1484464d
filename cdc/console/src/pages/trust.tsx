/** Can it be trusted: coverage, seals, drills and restores. */

import { rowsOf, type Answer, type Row } from "../api";
import { useAnswer } from "../use";
import { Empty, Shown } from "../parts/states";
import { Strip } from "../parts/strip";
import { Table } from "../parts/table";
import { Value } from "../parts/value";
import { When } from "../parts/when";

export function Trust() {
  const coverage = useAnswer("coverage", {}, 10_000);
  const report = useAnswer("report", {}, 60_000);
  const drills = useAnswer("drills", { limit: 50 }, 30_000);
  const restores = useAnswer("restores", { limit: 50 }, 30_000);
  const seals = useAnswer("seals", { limit: 200 }, 30_000);
  return (
    <>
      <h1>Trust</h1>
      <p class="lead">What is known since when, what is sealed against change, and when putting data back was last practised. This page prints well.</p>
      <section class="card" aria-labelledby="t-report">
        <h2 id="t-report">The five questions</h2>
        <Shown asked={report} what="the report">
          {(answer) => (
            <dl class="questions">
              {rowsOf(answer).map((row, n) => (
                <>
                  <dt key={`q${n}`}>{row.question}</dt>
                  <dd key={`a${n}`}>{row.answer}</dd>
                </>
              ))}
            </dl>
          )}
        </Shown>
        <p class="no-print">
          <button onClick={() => window.print()}>Print this page</button>
        </p>
      </section>
      <section class="card" aria-labelledby="t-coverage">
        <h2 id="t-coverage">Coverage</h2>
        <Shown asked={coverage} what="coverage">
          {(answer) => (
            <>
              <Strip rows={rowsOf(answer)} now={Math.max(...rowsOf(answer).flatMap((r) => [r.from_at, r.to_at].filter(Boolean).map((t) => Date.parse(t))), 0) + 60_000} />
              <Listed answer={{ ...answer, rows: answer.rows.slice(0, 1000) }} empty="Nothing is recorded yet." />
            </>
          )}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-drills">
        <h2 id="t-drills">Drills</h2>
        <Shown asked={drills} what="drills">
          {(answer) => <Listed answer={answer} empty="Never tested. Run `cdc drill`: it restores a prepared incident, measures how long that takes, and keeps the figures." />}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-restores">
        <h2 id="t-restores">Restores</h2>
        <Shown asked={restores} what="restores">
          {(answer) => <Listed answer={answer} empty="Nothing was restored yet." />}
        </Shown>
      </section>
      <section class="card" aria-labelledby="t-seals">
        <h2 id="t-seals">Seals</h2>
        <Shown asked={seals} what="seals">
          {(answer) => <Listed answer={answer} empty="Nothing is sealed yet. Older changes are sealed as they grow; `cdc seal` does it at once." />}
        </Shown>
      </section>
    </>
  );
}

function Listed({ answer, empty }: { answer: Answer; empty: string }) {
  const rows = rowsOf(answer);
  if (!rows.length) return <Empty>{empty}</Empty>;
  const shown = answer.columns.filter((name) => rows.some((row) => row[name] !== null && row[name] !== ""));
  return (
    <Table
      label="Rows"
      rows={rows}
      rowKey={(_, n) => n}
      columns={shown.map((name) => ({
        name: name.replaceAll("_", " "),
        cell: (row: Row) => (name.endsWith("_at") ? <When at={row[name]} /> : <Value value={row[name]} />),
      }))}
    />
  );
}

/** What happens now: changes per second, how far behind, what is wrong. */

import { useState } from "preact/hooks";
import { call, rowsOf, samples, type Answer, type Row } from "../api";
import { count, duration, plural, rate } from "../format";
import { link } from "../router";
import { useAnswer, useLoad } from "../use";
import { Series, type Line } from "../parts/series";
import { Empty, Shown } from "../parts/states";
import { Strip } from "../parts/strip";
import { When } from "../parts/when";

const SPANS = [5, 15, 60, 360];

export function Now() {
  const [minutes, setMinutes] = useState(15);
  const [by, setBy] = useState<"entity" | "kind">("entity");
  const status = useAnswer("status", {}, 2000);
  const rates = useAnswer("rates", { minutes, by }, 1000);
  const alerts = useAnswer("alerts", { limit: 20 }, 2000);
  const coverage = useAnswer("coverage", {}, 10_000);
  const metrics = useLoad(async (signal) => (await call("GET", "/metrics", undefined, signal)).text(), "metrics", 5000);

  return (
    <>
      <h1>Now</h1>
      <p class="lead">Every change of the org as it is recorded, how far behind the recorder is, and what asks for attention.</p>
      <Tiles rates={rates.value} metrics={metrics.value ?? ""} alerts={alerts.value} status={status.value} />
      <section class="card" aria-labelledby="rates">
        <div class="row">
          <h2 id="rates" style={{ flex: 1 }}>
            Changes per second
          </h2>
          <label>
            Grouped by
            <select value={by} onChange={(e) => setBy(e.currentTarget.value as "entity" | "kind")}>
              <option value="entity">entity</option>
              <option value="kind">kind</option>
            </select>
          </label>
          <label>
            Span
            <select value={minutes} onChange={(e) => setMinutes(Number(e.currentTarget.value))}>
              {SPANS.map((span) => (
                <option key={span} value={span}>
                  {duration(span * 60)}
                </option>
              ))}
            </select>
          </label>
        </div>
        <Shown asked={rates} what="the changes">
          {(answer) => <Rates answer={answer} />}
        </Shown>
      </section>
      <div class="grid">
        <section class="card" aria-labelledby="open">
          <h2 id="open">Asking for attention</h2>
          <Shown asked={alerts} what="alerts">
            {(answer) => <Open rows={rowsOf(answer).filter((a) => a.state === "open" || a.state === "growing")} />}
          </Shown>
        </section>
        <section class="card" aria-labelledby="parts">
          <h2 id="parts">Parts</h2>
          <Shown asked={status} what="the parts">
            {(answer) => <Parts rows={rowsOf(answer)} />}
          </Shown>
        </section>
      </div>
      <section class="card" aria-labelledby="known">
        <h2 id="known">What is known since when</h2>
        <Shown asked={coverage} what="coverage">
          {(answer) =>
            answer.rows.length ? <Strip rows={rowsOf(answer)} now={newest(status.value) ?? Date.now()} /> : <Empty>Nothing is recorded yet.</Empty>
          }
        </Shown>
      </section>
    </>
  );
}

/** The newest org time: the org's clock, not the viewer's, dates what is recorded. */
function newest(status: Answer | undefined): number | null {
  if (!status) return null;
  const times = rowsOf(status)
    .map((row) => Date.parse(row.as_of ?? ""))
    .filter((at) => !Number.isNaN(at));
  return times.length ? Math.max(...times) : null;
}

function Tiles({ rates, metrics, alerts, status }: { rates: Answer | undefined; metrics: string; alerts: Answer | undefined; status: Answer | undefined }) {
  const open = alerts ? rowsOf(alerts).filter((a) => a.state === "open" || a.state === "growing") : [];
  const pages = open.filter((a) => a.severity === "page").length;
  const lag = samples(metrics, "sf_cdc_source_lag_seconds").map((s) => s.value);
  const left = samples(metrics, "sf_cdc_retention_remaining_seconds").map((s) => s.value);
  const used = samples(metrics, "sf_cdc_delivery_used")[0]?.value;
  const limit = samples(metrics, "sf_cdc_delivery_limit")[0]?.value;
  const end = samples(metrics, "sf_cdc_delivery_exhausted_timestamp_seconds")[0]?.value;
  const channels = status ? rowsOf(status).filter((row) => row.part === "channel") : [];
  const down = channels.filter((row) => !["live", "quiet"].includes(row.state));
  return (
    <div class="tiles">
      <Tile value={rates ? rate(perSecond(rates)) : "–"} text="changes per second, last 10 s" />
      <Tile value={status ? `${channels.length - down.length} of ${channels.length}` : "–"} text="channels live" tone={down.length ? "bad" : "good"} />
      <Tile value={lag.length ? duration(Math.max(...lag, 0)) : "–"} text="from commit to the recorder" />
      <Tile value={left.length ? duration(Math.min(...left)) : "–"} text="before a stored position expires" tone={left.length && Math.min(...left) < 86400 ? "warn" : ""} />
      <Tile
        value={used !== undefined && limit ? `${count(used)} of ${count(limit)}` : "–"}
        text={end && end > 0 ? `events delivered in 24 h; used up in ${duration(end - Date.now() / 1000)}` : "events delivered in 24 h"}
        tone={used !== undefined && limit && used > 0.8 * limit ? "warn" : ""}
      />
      <Tile value={alerts ? count(open.length) : "–"} text={pages ? `open, ${plural(pages, "page")} among them` : "open incidents"} tone={pages ? "bad" : "good"} href="/incidents" />
    </div>
  );
}

function Tile({ value, text, tone = "", href }: { value: string; text: string; tone?: string; href?: string }) {
  const body = (
    <>
      <b>{value}</b>
      <span>{text}</span>
    </>
  );
  return href ? (
    <a class={`tile ${tone}`} href={href}>
      {body}
    </a>
  ) : (
    <div class={`tile ${tone}`}>{body}</div>
  );
}

function perSecond(answer: Answer): number {
  const rows = rowsOf(answer);
  const end = Math.max(...rows.map((row) => Number(row.until_ms)), 0);
  return rows.filter((row) => Number(row.at_ms) >= end - 10_000).reduce((sum, row) => sum + Number(row.changes), 0) / 10;
}

export function linesOf(answer: Answer): { seconds: number[]; lines: Line[] } {
  const rows = rowsOf(answer);
  const first = rows[0];
  if (!first) return { seconds: [], lines: [] };
  const step = Number(first.bucket_ms);
  const from = Number(first.from_ms);
  const until = Number(first.until_ms);
  const seconds: number[] = [];
  for (let at = from; at <= until; at += step) seconds.push(at / 1000);
  const totals = new Map<string, number[]>();
  for (const row of rows) {
    if (row.name === null) continue;
    const values = totals.get(row.name) ?? seconds.map(() => 0);
    const n = Math.round((Number(row.at_ms) - from) / step);
    if (n >= 0 && n < values.length) values[n] = (values[n] ?? 0) + Number(row.changes) / (step / 1000);
    totals.set(row.name, values);
  }
  const lines = [...totals].map(([name, values]) => ({ name, values })).sort((a, b) => a.name.localeCompare(b.name));
  return { seconds, lines };
}

function Rates({ answer }: { answer: Answer }) {
  const { seconds, lines } = linesOf(answer);
  if (!lines.length) return <Empty>No change in this span. The org is quiet, or nothing is recorded yet.</Empty>;
  return <Series seconds={seconds} lines={lines} unit="Changes per second" />;
}

function Open({ rows }: { rows: Row[] }) {
  if (!rows.length) return <Empty>Nothing is open. Mass updates from runaway automation would stand here.</Empty>;
  return (
    <ul class="timeline">
      {rows.map((row) => (
        <li key={row.alert_id}>
          <span class={`badge ${row.severity}`}>{row.severity}</span> <a href={link(["incidents", row.alert_id])}>{row.title}</a>
          <div class="quiet">
            {plural(row.records, "record")}, last change <When at={row.last_change_at} />
          </div>
        </li>
      ))}
    </ul>
  );
}

function Parts({ rows }: { rows: Row[] }) {
  return (
    <dl class="facts">
      {rows.map((row, n) => (
        <>
          <dt key={`t${n}`}>
            {row.part} <span class="mono">{row.name}</span>
          </dt>
          <dd key={`d${n}`}>
            <span class={`badge ${row.state === "live" ? "live" : row.state === "stopped" || row.state === "dead" ? "failed" : ""}`}>{row.state}</span> {row.detail}
          </dd>
        </>
      ))}
    </dl>
  );
}

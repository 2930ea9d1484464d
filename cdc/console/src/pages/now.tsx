/** What happens now: what asks for attention, changes per second, how far behind, what is known. */

import { useState } from "preact/hooks";
import { call, rowsOf, samples, type Answer, type Row } from "../api";
import { count, duration, percent, plural, rate } from "../format";
import { link } from "../router";
import { useAnswer, useLoad } from "../use";
import { Sentence } from "../parts/sentence";
import { Series, type Line } from "../parts/series";
import { Empty, Shown } from "../parts/states";
import { Strip } from "../parts/strip";
import { When } from "../parts/when";

const SPANS = [5, 15, 60, 360];
const DAY_S = 86_400;

export function Now() {
  const [minutes, setMinutes] = useState(15);
  const [by, setBy] = useState<"entity" | "kind">("entity");
  const status = useAnswer("status", {}, 2000);
  const rates = useAnswer("rates", { minutes, by }, 1000);
  const alerts = useAnswer("alerts", { limit: 20, decorated: false }, 2000);
  const open = useAnswer("incidents", { state: "open", limit: 20 }, 2000);
  const coverage = useAnswer("coverage", {}, 10_000);
  const metrics = useLoad(async (signal) => (await call("GET", "/metrics", undefined, signal)).text(), "metrics", 5000);

  return (
    <>
      <h1>Now</h1>
      <p class="lead">What asks for attention, every change of the org as it is recorded, and how far behind the recorder is.</p>
      <Shown asked={open} what="open incidents">
        {(answer) => <Attention rows={rowsOf(answer)} alerts={alerts.value ? rowsOf(alerts.value) : []} />}
      </Shown>
      <Tiles rates={rates.value} metrics={metrics.value ?? ""} status={status.value} />
      <section class="card" aria-labelledby="rates">
        <div class="row head">
          <h2 id="rates">Changes per second</h2>
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
      <section class="card" aria-labelledby="known">
        <h2 id="known">What is known since when</h2>
        <Shown asked={coverage} what="coverage">
          {(answer) =>
            answer.rows.length ? (
              <Strip rows={rowsOf(answer)} now={newest(status.value) ?? Date.now()} />
            ) : (
              <Empty>
                <strong>Nothing is recorded yet.</strong> The first full read (baseline) begins by itself; <code>cdc status</code> says what it waits for.
              </Empty>
            )
          }
        </Shown>
      </section>
      <section class="card" aria-labelledby="parts">
        <h2 id="parts">Parts of the recorder</h2>
        <Shown asked={status} what="the parts">
          {(answer) => <Parts rows={rowsOf(answer)} />}
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

/** What is open comes first, with where to go; where nothing is, one quiet line says so. */
function Attention({ rows, alerts }: { rows: Row[]; alerts: Row[] }) {
  if (!rows.length) {
    return (
      <p class="notice calm" role="status">
        <strong>Nothing is open.</strong> A mass update by automation that has run away will stand here. <a href="/incidents">All incidents</a>
      </p>
    );
  }
  const sizes = new Map(alerts.map((alert) => [alert.alert_id, alert.records]));
  const most = rows.slice(0, 5);
  return (
    <section class="attention" aria-label="Asking for attention">
      {most.map((row) => (
        <a key={row.incident_id} class={`open-incident ${row.severity ?? ""}`} href={link(["incidents", row.incident_id])}>
          <span class={`badge ${row.severity ?? ""}`}>{row.severity ?? "by hand"}</span>
          <span class="what">
            <Sentence text={String(row.title)} plain />
          </span>
          <span class="since">
            {sizes.has(row.alert_id) ? `${plural(Number(sizes.get(row.alert_id)), "record")} when told, ` : ""}
            <When at={row.opened_at} />
          </span>
        </a>
      ))}
      {rows.length > most.length && (
        <p>
          <a href="/incidents?state=open">{rows.length >= 20 ? "More are open" : `${count(rows.length - most.length)} more are open`}</a>
        </p>
      )}
    </section>
  );
}

function Tiles({ rates, metrics, status }: { rates: Answer | undefined; metrics: string; status: Answer | undefined }) {
  const lag = samples(metrics, "sf_cdc_source_lag_seconds").map((s) => s.value);
  const left = samples(metrics, "sf_cdc_retention_remaining_seconds").map((s) => s.value);
  const used = samples(metrics, "sf_cdc_delivery_used")[0]?.value;
  const limit = samples(metrics, "sf_cdc_delivery_limit")[0]?.value;
  const end = samples(metrics, "sf_cdc_delivery_exhausted_timestamp_seconds")[0]?.value;
  const channels = status ? rowsOf(status).filter((row) => row.part === "channel") : [];
  const down = channels.filter((row) => !["live", "quiet"].includes(row.state));
  const short = left.length > 0 && Math.min(...left) < DAY_S;
  return (
    <div class="tiles">
      <Tile value={rates ? rate(perSecond(rates)) : null} text="changes per second, mean of 10 s" />
      <Tile value={status ? `${channels.length - down.length} of ${channels.length}` : null} text="channels live" tone={down.length ? "bad" : "good"} />
      <Tile value={lag.length ? duration(Math.max(...lag, 0)) : null} text="from the commit to here" />
      <Tile value={left.length ? duration(Math.min(...left)) : null} text="until a stored position expires" tone={short ? "warn" : ""} />
      <Tile
        value={used !== undefined && limit ? percent(used / limit) : null}
        text={`${used !== undefined && limit ? `of ${count(limit)} ` : ""}deliveries of 24 h used${end && end > 0 ? `; all in ${duration(end - Date.now() / 1000)}` : ""}`}
        tone={used !== undefined && limit && used > 0.8 * limit ? "warn" : ""}
      />
    </div>
  );
}

function Tile({ value, text, tone = "" }: { value: string | null; text: string; tone?: string }) {
  return (
    <div class={value === null ? "tile waits" : `tile ${tone}`}>
      <b>{value ?? "–"}</b>
      <span>{text}</span>
    </div>
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
  if (!lines.length) return <Empty>No change in this span: the org is quiet. A longer span shows what came before.</Empty>;
  return <Series seconds={seconds} lines={lines} unit="Changes per second" />;
}

const GOOD = ["live", "quiet", "recorded", "baseline taken", "polled"];
const BAD = ["stopped", "dead", "failed", "expired", "silent"];

function Parts({ rows }: { rows: Row[] }) {
  const tone = (state: string) => (GOOD.includes(state) ? "live" : BAD.includes(state) ? "failed" : "");
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Parts of the recorder">
      <table>
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">State</th>
            <th scope="col">Newest org time</th>
            <th scope="col">More</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, n) => (
            <tr key={n}>
              <td>
                <span class="quiet">{row.part}</span> {row.part === "entity" ? <a href={link(["time", row.name])}>{row.name}</a> : row.name}
              </td>
              <td>
                <span class={`badge ${tone(String(row.state))}`}>{row.state}</span>
              </td>
              <td class="nowrap">
                <When at={row.as_of} />
              </td>
              <td class="wide">
                <Sentence text={String(row.detail ?? "")} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Undo: plan, look at it, apply it with a typed confirmation, watch it, verify it. */

import { useEffect, useState } from "preact/hooks";
import { call, post, Problem, rowsOf, type Answer, type Row } from "../api";
import { count, duration, plural } from "../format";
import { choose, go, link, type Place } from "../router";
import { useAnswer } from "../use";
import { Empty, Failed, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Value } from "../parts/value";
import { When } from "../parts/when";

export function Undo({ place }: { place: Place }) {
  const incident = place.query.get("incident");
  const restore = place.path[1];
  return (
    <>
      <h1>Undo</h1>
      <p class="lead">
        A restore puts back what one incident changed and nothing else, and only where the bad value still stands. What it will do is shown first; nothing is written
        before it is confirmed.
      </p>
      {restore ? <Restore id={restore} /> : incident ? <Plan incident={incident} /> : <Restores />}
    </>
  );
}

function Restores() {
  const asked = useAnswer("restores", { limit: 200 }, 5000);
  return (
    <Shown asked={asked} what="restores">
      {(answer) =>
        answer.rows.length ? (
          <Table
            label="Restores"
            rows={rowsOf(answer)}
            rowKey={(r) => r.restore_id}
            open={(r) => go(link(["undo", r.restore_id]))}
            columns={answer.columns.slice(0, 9).map((name) => ({
              name: name.replaceAll("_", " "),
              cell: (row: Row) => (name === "restore_id" ? <a href={link(["undo", row.restore_id])}>{row.restore_id}</a> : name.endsWith("_at") ? <When at={row[name]} /> : <Value value={row[name]} />),
            }))}
          />
        ) : (
          <Empty>
            Nothing was planned yet. A restore begins at an <a href="/incidents">incident</a>.
          </Empty>
        )
      }
    </Shown>
  );
}

type Told = { title: string; detail: string };
const told = (error: unknown): Told => (error instanceof Problem ? { title: error.title, detail: error.detail } : { title: "Failed", detail: String(error) });

/** Follows a long action until it is done. */
function useProgress(name: string | null, done: (answer: Row) => void): { state: Row | null; problem: Told | null } {
  const [state, setState] = useState<Row | null>(null);
  const [problem, setProblem] = useState<Told | null>(null);
  useEffect(() => {
    if (!name) return undefined;
    let stopped = false;
    const turn = async () => {
      try {
        const answer = (await (await call("GET", `/api/v1/progress/${encodeURIComponent(name)}`)).json()) as Row;
        if (stopped) return;
        setState(answer);
        if (answer.state === "done") done((answer.answer ?? {}) as Row);
        else if (answer.state === "failed") setProblem({ title: "Stopped", detail: String(answer.error) });
        else window.setTimeout(turn, 400);
      } catch (error) {
        if (!stopped) setProblem(told(error));
      }
    };
    setProblem(null);
    void turn();
    return () => {
      stopped = true;
    };
  }, [name]);
  return { state, problem };
}

function Progress({ state }: { state: Row | null }) {
  if (!state || state.state !== "working") return null;
  const total = Number(state.total ?? state.of ?? 0);
  const done = Number(state.done ?? 0);
  return (
    <div class="card" role="status" aria-live="polite">
      <p>
        {state.doing ?? state.what ?? "working"}: {total ? `${count(done)} of ${count(total)}` : "…"}
        {state.left_s ? `, about ${duration(state.left_s)} left` : ""}
      </p>
      <progress max={total || 1} value={total ? done : undefined} style={{ width: "100%" }} />
    </div>
  );
}

function Plan({ incident }: { incident: string }) {
  const blast = useAnswer(`incidents/${encodeURIComponent(incident)}/blast`);
  const [deleteCreated, setDeleteCreated] = useState(false);
  const [name, setName] = useState<string | null>(null);
  const [problem, setProblem] = useState<Told | null>(null);
  const { state, problem: failed } = useProgress(name, (answer) => {
    const id = answer.restore_id ?? (answer.plan as Row | undefined)?.restore_id;
    if (id) go(link(["undo", String(id)]), true);
  });
  const plan = async () => {
    setProblem(null);
    try {
      const answer = await post<Row>(`incidents/${encodeURIComponent(incident)}/plan`, { delete_created: deleteCreated });
      setName(String(answer.progress));
    } catch (error) {
      setProblem(told(error));
    }
  };
  return (
    <>
      <Shown asked={blast} what="the incident">
        {(answer) => {
          const about = (answer as Answer & { blast: Row }).blast;
          return (
            <section class="card">
              <h2>{about.title}</h2>
              <p>
                {plural(about.totals.records, "record")}, {plural(about.totals.changes, "change")}. Meant: {(about.meant as string[]).join("; ")}.{" "}
                <a href={link(["incidents", incident])}>The incident</a>
              </p>
              <label class="check">
                <input type="checkbox" checked={deleteCreated} onChange={(e) => setDeleteCreated(e.currentTarget.checked)} /> Also delete the records it created
              </label>
              <p>
                <button class="main" disabled={!!name && !failed} onClick={() => void plan()}>
                  Plan the restore
                </button>{" "}
                <span class="quiet">Reads the org as it is now. Nothing is written.</span>
              </p>
            </section>
          );
        }}
      </Shown>
      <Progress state={state} />
      {(problem ?? failed) && <Failed problem={(problem ?? failed) as Told} />}
    </>
  );
}

const DECISIONS = ["", "revert", "conflict", "impossible", "already"];

const PLAN_COLUMNS: Column<Row>[] = [
  { name: "Decision", cell: (r) => <span class={`badge ${r.decision}`}>{r.decision}</span> },
  { name: "Entity", cell: (r) => r.entity },
  { name: "Record", cell: (r) => <a href={link(["time", r.entity, r.record_id])}>{r.record_id}</a> },
  { name: "Action", cell: (r) => String(r.action ?? "").toLowerCase() },
  { name: "Field", cell: (r) => r.field ?? "" },
  { name: "Before", cell: (r) => <Value value={r.before} /> },
  { name: "Bad", cell: (r) => <Value value={r.bad} /> },
  { name: "Now", cell: (r) => <Value value={r.now} /> },
  { name: "Why", wide: true, cell: (r) => <span title={r.reason}>{r.reason}</span> },
];

function Restore({ id }: { id: string }) {
  const query = new URLSearchParams(location.search);
  const decision = query.get("decision") ?? "";
  const running = query.get("running");
  const [cursors, setCursors] = useState<string[]>([]);
  const restore = useAnswer(`restores/${encodeURIComponent(id)}`, {}, 2000);
  const rows = useAnswer(`restores/${encodeURIComponent(id)}/plan`, { decision, limit: 500, cursor: cursors.at(-1) });
  const { state, problem } = useProgress(running, () => choose({ running: null }));
  return (
    <>
      <Shown asked={restore} what="the restore">
        {(answer) => <About id={id} answer={answer as Answer & { detail: Row }} plan={(rows.value as (Answer & { detail: Row }) | undefined)?.detail} />}
      </Shown>
      <Progress state={state} />
      {problem && <Failed problem={problem} />}
      <section class="card" aria-labelledby="plan">
        <div class="row">
          <h2 id="plan" style={{ flex: 1 }}>
            The plan, field by field
          </h2>
          <label>
            Only
            <select
              value={decision}
              onChange={(e) => {
                setCursors([]);
                choose({ decision: e.currentTarget.value });
              }}
            >
              {DECISIONS.map((d) => (
                <option key={d} value={d}>
                  {d || "all"}
                </option>
              ))}
            </select>
          </label>
        </div>
        <Shown asked={rows} what="the plan">
          {(answer) => (
            <>
              {answer.rows.length ? <Table label="Plan" columns={PLAN_COLUMNS} rows={rowsOf(answer)} rowKey={(_, n) => n} /> : <Empty>No row of this kind.</Empty>}
              <div class="row" style={{ marginTop: "12px" }}>
                <button disabled={!cursors.length} onClick={() => setCursors(cursors.slice(0, -1))}>
                  Before
                </button>
                <button disabled={!answer.next} onClick={() => answer.next && setCursors([...cursors, answer.next])}>
                  Next 500
                </button>
              </div>
            </>
          )}
        </Shown>
      </section>
    </>
  );
}

function About({ id, answer, plan }: { id: string; answer: Answer & { detail: Row }; plan: Row | undefined }) {
  const detail = answer.detail;
  const [typed, setTyped] = useState("");
  const [force, setForce] = useState(false);
  const [problem, setProblem] = useState<Told | null>(null);
  const act = async (verb: string, body: Row) => {
    setProblem(null);
    try {
      const told = await post<Row>(`restores/${encodeURIComponent(id)}/${verb}`, body);
      if (told.progress) choose({ running: String(told.progress) });
    } catch (error) {
      setProblem(told(error));
    }
  };
  const token = String(plan?.token ?? "");
  const states = detail.state as string;
  const canApply = ["planned", "stopped", "writing"].includes(states);
  return (
    <section class="card">
      <h2>
        Restore <code>{id}</code> <span class={`badge ${states === "verified" ? "done" : states === "differs" ? "failed" : ""}`}>{states}</span>
      </h2>
      {plan && (
        <>
          <p class="sentence">{plan.title}</p>
          <dl class="facts">
            <dt>Incident</dt>
            <dd>
              <a href={link(["incidents", detail.incident_id])}>{detail.incident_id}</a>
            </dd>
            {Object.entries((plan.counts ?? plan.decisions ?? {}) as Row).map(([name, value]) => (
              <>
                <dt>{name}</dt>
                <dd>{typeof value === "number" ? count(value) : JSON.stringify(value)}</dd>
              </>
            ))}
            {plan.calls !== undefined && (
              <>
                <dt>API calls</dt>
                <dd>{typeof plan.calls === "number" ? count(plan.calls) : JSON.stringify(plan.calls)}</dd>
              </>
            )}
            {Array.isArray(plan.automation) && (
              <>
                <dt>Active automation</dt>
                <dd>{plan.automation.length ? (plan.automation as Row[]).map((a) => a.sentence ?? a.name ?? JSON.stringify(a)).join("; ") : "none on these entities"}</dd>
              </>
            )}
          </dl>
        </>
      )}
      {answer.rows.length > 0 && (
        <>
          <h3>What became of it</h3>
          <ul>
            {rowsOf(answer).map((row, n) => (
              <li key={n}>
                <span class={`badge ${row.result === "failed" ? "failed" : "done"}`}>{row.result}</span> {row.entity} {String(row.kind ?? "").toLowerCase()}: {count(Number(row.records ?? 0))}
                {row.error ? ` (${row.error})` : ""}
              </li>
            ))}
          </ul>
        </>
      )}
      {canApply && (
        <div class="row no-print">
          <label>
            Type <code>{token}</code> to confirm
            <input value={typed} onInput={(e) => setTyped(e.currentTarget.value)} autocomplete="off" spellcheck={false} />
          </label>
          <label class="check">
            <input type="checkbox" checked={force} onChange={(e) => setForce(e.currentTarget.checked)} /> although the burst may go on
          </label>
          <button class="danger" disabled={!token || typed !== token} onClick={() => void act("apply", { hash: typed, force })}>
            {states === "planned" ? "Apply" : "Go on"}
          </button>
        </div>
      )}
      <div class="row no-print">
        {states === "writing" && <button onClick={() => void act("stop", {})}>Stop after this batch</button>}
        {["applied", "differs", "verified", "stopped"].includes(states) && (
          <button class="main" onClick={() => void act("verify", {})}>
            Verify
          </button>
        )}
        {["applied", "verified", "differs"].includes(states) && <button onClick={() => void act("undo", {})}>Plan to take it back</button>}
      </div>
      {problem && <Failed problem={problem} />}
    </section>
  );
}

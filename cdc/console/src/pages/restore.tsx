/** One restore: what the plan would do, its confirmation, what became of it, and every row. */

import { useState } from "preact/hooks";
import { post, rowsOf, type Answer, type Row } from "../api";
import { count, duration, plural } from "../format";
import { useRole } from "../role";
import { choose, link } from "../router";
import { useAnswer } from "../use";
import { Pages, usePages } from "../parts/pages";
import { Progress, told, useProgress, type Told } from "../parts/progress";
import { Sentence } from "../parts/sentence";
import { Empty, Failed, Shown } from "../parts/states";
import { STEP_OF, Steps } from "../parts/steps";
import { Table, type Column } from "../parts/table";
import { Value } from "../parts/value";

/** What a row of the plan is decided to be, in words. */
const DECISIONS: Record<string, string> = {
  revert: "is put back",
  conflict: "was changed since by somebody else, and stays",
  follows: "follows by itself: the org sets it",
  already: "is as it was already",
  impossible: "cannot be put back; the reason stands beside it",
};

const PLAN_COLUMNS: Column<Row>[] = [
  { name: "Decision", cell: (r) => <span class={`badge ${r.decision}`} title={DECISIONS[r.decision]}>{r.decision}</span> },
  {
    name: "Record",
    cell: (r) => (
      <a href={link(["time", r.entity, r.record_id])} title={r.entity}>
        {r.record_id}
      </a>
    ),
  },
  { name: "Field", cell: (r) => r.field ?? <span class="quiet">{String(r.action ?? "").toLowerCase()}</span> },
  { name: "Before: put back", title: "What it said before the incident", cell: (r) => <Value value={r.before} /> },
  {
    name: "Bad (and now)",
    title: "What the incident set, and what the org says now where that differs",
    cell: (r) => (
      <>
        <Value value={r.bad} />
        {r.now !== r.bad && (
          <span class="quiet">
            {" "}
            (now <Value value={r.now} />)
          </span>
        )}
      </>
    ),
  },
  { name: "Why", wide: true, cell: (r) => <span title={r.reason}>{r.reason}</span> },
];
const PAGE = 500;

export function Restore({ id }: { id: string }) {
  const query = new URLSearchParams(location.search);
  const decision = query.get("decision") ?? "";
  const running = query.get("running");
  const [turn, setTurn] = useState(0);
  const pages = usePages(decision);
  const restore = useAnswer(`restores/${encodeURIComponent(id)}`, {}, 2000, turn);
  const rows = useAnswer(`restores/${encodeURIComponent(id)}/plan`, { decision, limit: PAGE, cursor: pages.cursor });
  const { state, problem } = useProgress(running, () => {
    choose({ running: null });
    setTurn((n) => n + 1);
  });
  const plan = (rows.value as (Answer & { detail: Row }) | undefined)?.detail;
  return (
    <>
      <Shown asked={restore} what="the restore">
        {(answer) => <About id={id} answer={answer as Answer & { detail: Row }} plan={plan} busy={state?.state === "working"} />}
      </Shown>
      <Progress state={state} />
      {problem && <Failed problem={problem} />}
      <section class="card" aria-labelledby="plan">
        <h2 id="plan">The plan, field by field</h2>
        {plan && <Decided counts={(plan.counts ?? []) as Row[]} decision={decision} />}
        <Shown asked={rows} what="the plan">
          {(answer) => (
            <>
              {answer.rows.length ? <Table label="Plan" columns={PLAN_COLUMNS} rows={rowsOf(answer)} rowKey={(_, n) => n} /> : <Empty>No row of this kind.</Empty>}
              <Pages pages={pages} next={answer.next} rows={answer.rows.length} size={PAGE} what="rows" />
            </>
          )}
        </Shown>
      </section>
    </>
  );
}

/** How much is decided how; each shows only its rows. */
function Decided({ counts, decision }: { counts: Row[]; decision: string }) {
  const totals = new Map<string, number>();
  for (const one of counts) totals.set(one.decision, (totals.get(one.decision) ?? 0) + Number(one.rows));
  const all = [...totals.values()].reduce((sum, n) => sum + n, 0);
  return (
    <div class="chips" role="group" aria-label="Only rows decided so">
      <button aria-pressed={!decision} onClick={() => choose({ decision: null })}>
        all <b>{count(all)}</b>
      </button>
      {[...totals].map(([name, n]) => (
        <button key={name} aria-pressed={decision === name} title={DECISIONS[name]} onClick={() => choose({ decision: name })}>
          <span class={`badge ${name}`}>{name}</span> <b>{count(n)}</b> <span class="quiet">{DECISIONS[name]}</span>
        </button>
      ))}
    </div>
  );
}

function About({ id, answer, plan, busy }: { id: string; answer: Answer & { detail: Row }; plan: Row | undefined; busy: boolean }) {
  const detail = answer.detail;
  const { role, may } = useRole();
  const [problem, setProblem] = useState<Told | null>(null);
  const act = async (verb: string, body: Row) => {
    setProblem(null);
    try {
      const begun = await post<Row>(`restores/${encodeURIComponent(id)}/${verb}`, body);
      if (begun.progress) choose({ running: String(begun.progress) });
    } catch (error) {
      setProblem(told(error));
    }
  };
  const state = String(detail.state);
  const counts = parsed(detail.counts);
  return (
    <section class="card">
      <p class="crumbs">
        <a href="/undo">Restores</a> / <code>{id}</code>
        {detail.incident_id && (
          <>
            {" "}
            of <a href={link(["incidents", detail.incident_id])}>this incident</a>
          </>
        )}
      </p>
      <h2>
        {plan ? <Sentence text={String(plan.title)} plain /> : "Restore"} <span class={`badge state-${state}`}>{state}</span>
      </h2>
      <Steps now={STEP_OF[state] ?? "apply"} />
      {plan && <PlanFacts plan={plan} />}
      <Became answer={answer} verdict={(counts["verdict"] as Row | undefined) ?? null} />
      {["planned", "stopped", "writing"].includes(state) && may("admin") && <Confirm token={String(plan?.token ?? "")} verb={state === "planned" ? "Apply" : "Go on"} busy={busy} act={act} />}
      {state === "planned" && role && !may("admin") && <p class="notice">Nothing is written yet. Applying needs an admin's token.</p>}
      {may("operator") && (
        <div class="row no-print">
          {state === "writing" && <button onClick={() => void act("stop", {})}>Stop after this batch</button>}
          {["applied", "differs", "stopped", "verified"].includes(state) && (
            <button class={state === "verified" ? "" : "main"} disabled={busy} onClick={() => void act("verify", {})}>
              {state === "verified" ? "Verify again" : "Verify"}
            </button>
          )}
          {["applied", "verified", "differs"].includes(state) && (
            <button disabled={busy} title="Makes a plan of its own; nothing is written by this" onClick={() => void act("undo", {})}>
              Plan to take it back…
            </button>
          )}
        </div>
      )}
      {problem && <Failed problem={problem} />}
    </section>
  );
}

function parsed(text: unknown): Row {
  if (typeof text !== "string") return (text ?? {}) as Row;
  try {
    return JSON.parse(text) as Row;
  } catch {
    return {};
  }
}

function PlanFacts({ plan }: { plan: Row }) {
  const reverts = ((plan.counts ?? []) as Row[]).filter((one) => one.decision === "revert");
  const fields = reverts.reduce((sum, one) => sum + Number(one.rows), 0);
  const conflicts = ((plan.counts ?? []) as Row[]).filter((one) => one.decision === "conflict").reduce((sum, one) => sum + Number(one.rows), 0);
  const contain = (plan.contain ?? []) as string[];
  const automation = (plan.automation ?? []) as Row[];
  return (
    <dl class="facts">
      <dt>Puts back</dt>
      <dd>
        {plural(fields, "field")} of {plural(Number(plan.records), "record")}
      </dd>
      <dt>Conflicts</dt>
      <dd>{conflicts ? `${plural(conflicts, "field")} changed since by others; they stay as they are` : "none"}</dd>
      <dt>Takes</dt>
      <dd>
        about {duration(Number(plan.estimate_s))}, {plural(Number(plan.api_calls), "API call")}
      </dd>
      <dt>Active automation</dt>
      <dd>{automation.length ? automation.map((a) => (
          <div key={`${a.entity} ${a.name}`}>
            {a.kind} {a.name} on {a.entity} may {String(a.may ?? "do something")}
          </div>
        )) : "none on these entities"}</dd>
      {contain.length > 0 && (
        <>
          <dt>Stop the cause first</dt>
          <dd>
            {contain.map((sentence) => (
              <div key={sentence}>
                <Sentence text={sentence} />
              </div>
            ))}
          </dd>
        </>
      )}
    </dl>
  );
}

/** What was written, and what the comparison with the org found. */
function Became({ answer, verdict }: { answer: Answer; verdict: Row | null }) {
  if (!answer.rows.length) return null;
  return (
    <>
      <h3>What became of it</h3>
      <ul class="plain">
        {rowsOf(answer).map((row, n) => (
          <li key={n}>
            <span class={`badge ${row.result === "failed" ? "failed" : "done"}`}>{row.result}</span> {plural(Number(row.records ?? 0), `${row.entity} record`)}
            {row.for_example ? <span class="quiet"> for example {row.for_example}</span> : ""}
          </li>
        ))}
      </ul>
      {verdict && (
        <p class={`notice ${verdict.equal === verdict.fields ? "good" : "bad"}`} role="status">
          <strong>
            {count(verdict.equal)} of {plural(verdict.fields, "field")} are as planned.
          </strong>{" "}
          {verdict.left ? `${plural(verdict.left, "field")} still hold the bad value. ` : ""}
          {verdict.strangers ? `${plural(verdict.strangers, "change")} by others meanwhile. ` : ""}
          {verdict.side_effects ? `${plural(verdict.side_effects, "side effect")} of automation. ` : "No side effect of automation. "}
          {verdict.streamed ? "The restore's own changes came back in the stream." : "The restore's own changes have not all come back in the stream yet."}
        </p>
      )}
    </>
  );
}

function Confirm({ token, verb, busy, act }: { token: string; verb: string; busy: boolean; act: (verb: string, body: Row) => Promise<void> }) {
  const [typed, setTyped] = useState("");
  const [force, setForce] = useState(false);
  return (
    <form
      class="confirm no-print"
      onSubmit={(event) => {
        event.preventDefault();
        if (token && typed === token) void act("apply", { hash: typed, force });
      }}
    >
      <label>
        <span>
          Type <code>{token || "…"}</code> to confirm
        </span>
        <input value={typed} onInput={(e) => setTyped(e.currentTarget.value.trim())} autocomplete="off" spellcheck={false} />
      </label>
      <button class="danger" disabled={!token || typed !== token || busy}>
        {verb}
      </button>
      <label class="check">
        <input type="checkbox" checked={force} onChange={(e) => setForce(e.currentTarget.checked)} /> although its cause may still run
      </label>
      <span class="quiet">This writes to the org. Every record is read again just before, and what has changed since is left alone.</span>
    </form>
  );
}

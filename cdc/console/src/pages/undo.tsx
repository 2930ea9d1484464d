/** Undo: the restores there are, and the plan of a new one. Nothing is written before it is confirmed. */

import { useState } from "preact/hooks";
import { post, rowsOf, type Answer, type Row } from "../api";
import { count, plural } from "../format";
import { useRole } from "../role";
import { go, link, type Place } from "../router";
import { useAnswer } from "../use";
import { Progress, told, useProgress, type Told } from "../parts/progress";
import { Sentence } from "../parts/sentence";
import { Empty, Failed, Shown } from "../parts/states";
import { Steps } from "../parts/steps";
import { Table, type Column } from "../parts/table";
import { When } from "../parts/when";
import { Restore } from "./restore";

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

const RESTORES: Column<Row>[] = [
  { name: "Restore", cell: (r) => <a href={link(["undo", r.restore_id])}>{r.restore_id}</a> },
  { name: "State", cell: (r) => <span class={`badge state-${r.state}`}>{r.state}</span> },
  { name: "Of", cell: (r) => (r.incident_id ? <a href={link(["incidents", r.incident_id])}>{`incident ${String(r.incident_id).slice(0, 8)}…`}</a> : r.kind) },
  { name: "Records", right: true, cell: (r) => count(Number(r.records ?? 0)) },
  { name: "Planned", cell: (r) => <When at={r.planned_at} /> },
  { name: "Finished", cell: (r) => <When at={r.finished_at} /> },
  { name: "Asked for by", cell: (r) => r.requested_by ?? "" },
];

function Restores() {
  const asked = useAnswer("restores", { limit: 1000 }, 5000);
  return (
    <Shown asked={asked} what="restores">
      {(answer) =>
        answer.rows.length ? (
          <Table label="Restores" rows={rowsOf(answer)} rowKey={(r) => r.restore_id} open={(r) => go(link(["undo", r.restore_id]))} columns={RESTORES} />
        ) : (
          <Empty>
            <strong>Nothing was planned yet.</strong> A restore begins at an <a href="/incidents">incident</a>: choose one, then <em>Undo it…</em>.
          </Empty>
        )
      }
    </Shown>
  );
}

function Plan({ incident }: { incident: string }) {
  const { role, may } = useRole();
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
              <p class="crumbs">
                <a href={link(["incidents", incident])}>The incident</a>
              </p>
              <h2>
                <Sentence text={String(about.title)} plain />
              </h2>
              <Steps now="plan" />
              <p>
                {plural(about.totals.records, "record")}, {plural(about.totals.changes, "change")}.
              </p>
              <p class="quiet meant">
                {(about.meant as string[]).map((sentence) => (
                  <Sentence key={sentence} text={`${sentence} `} />
                ))}
              </p>
              <label class="check">
                <input type="checkbox" checked={deleteCreated} onChange={(e) => setDeleteCreated(e.currentTarget.checked)} /> Also delete the records it created
              </label>
              <p>
                <button class="main" disabled={(!!name && !failed) || !may("operator")} onClick={() => void plan()}>
                  Plan the restore
                </button>{" "}
                <span class="quiet">{may("operator") || !role ? "Reads the org as it is now and shows what would be done. Nothing is written." : "Planning needs an operator's token."}</span>
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

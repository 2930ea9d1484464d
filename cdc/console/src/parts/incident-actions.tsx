/** What can be done about an incident. Each deed says what it does; what cannot be done is not offered. */

import { useState } from "preact/hooks";
import { post, type Row } from "../api";
import { go, link } from "../router";
import { useRole } from "../role";
import { Sentence } from "./sentence";
import { Failed } from "./states";

type Act = (path: string, body: Row, then?: (answer: Row) => void) => Promise<void>;

export function IncidentActions({ id, detail, before, entity, changed }: { id: string; detail: Row; before: string; entity: string | undefined; changed: () => void }) {
  const { role, may } = useRole();
  const [problem, setProblem] = useState<{ title: string; detail: string } | null>(null);
  const [note, setNote] = useState("");
  const at = `incidents/${encodeURIComponent(id)}`;
  const act: Act = async (path, body, then) => {
    setProblem(null);
    try {
      const answer = await post<Row>(path, body);
      then?.(answer);
      changed();
    } catch (error) {
      const failed = error as { title?: string; message: string };
      setProblem({ title: failed.title ?? "Not done", detail: failed.message });
    }
  };
  return (
    <div class="card actions no-print">
      <div class="row">
        {may("operator") && detail.state !== "closed" && (
          <button class="main" onClick={() => go(link(["undo"], { incident: id }))}>
            Undo it…
          </button>
        )}
        {entity && (
          <a class="button" href={link(["time", entity], { before })}>
            The records before it
          </a>
        )}
        {may("operator") && detail.state !== "closed" && (
          <>
            <button disabled={!!detail.contained_at} title="Says that the flow, job or integration behind it no longer runs" onClick={() => void act(`${at}/contain`, { note })}>
              {detail.contained_at ? "✓ Its cause was stopped" : "Its cause is stopped"}
            </button>
            <KnownJob at={at} act={act} acknowledged={detail.state === "acknowledged"} />
            <button title="Nothing more is to be done about it" onClick={() => void act(`${at}/close`, { note })}>
              Close
            </button>
            <label class="grow">
              <span class="hidden">Note</span>
              <input value={note} aria-label="Note" placeholder="A note for those who read this later" onInput={(e) => setNote(e.currentTarget.value)} />
            </label>
          </>
        )}
        {role === "viewer" && <span class="quiet">Your token may look; undoing, acknowledging and closing need an operator's.</span>}
        {detail.state === "closed" && <span class="quiet">Closed{detail.note ? ": " : "."}{detail.note && <Sentence text={String(detail.note)} />}</span>}
      </div>
      {problem && <Failed problem={problem} />}
    </div>
  );
}

/** Acknowledging teaches the detector; what that will silence is shown before it is done. */
function KnownJob({ at, act, acknowledged }: { at: string; act: Act; acknowledged: boolean }) {
  const [preview, setPreview] = useState<string[] | null>(null);
  if (acknowledged) return <button onClick={() => void act(`${at}/unacknowledge`, {})}>Withdraw the acknowledgement</button>;
  if (preview === null) {
    return (
      <button title="Shows first what will not be told again" onClick={() => void act(`${at}/acknowledge`, { preview: true }, (a) => setPreview((a.silences as string[] | undefined) ?? []))}>
        A known job…
      </button>
    );
  }
  return (
    <div class="notice warn" role="dialog" aria-label="Silence as a known job">
      <strong>Will not be told again:</strong>
      <ul>
        {preview.map((sentence) => (
          <li key={sentence}>
            <Sentence text={sentence} />
          </li>
        ))}
      </ul>
      <div class="row">
        <button class="main" onClick={() => void act(`${at}/acknowledge`, {}, () => setPreview(null))}>
          Acknowledge
        </button>
        <button onClick={() => setPreview(null)}>Leave it</button>
      </div>
    </div>
  );
}

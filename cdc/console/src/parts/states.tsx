/** What a part of a page says while it loads, when it failed, when there is nothing, and when not all is known. */

import type { ComponentChildren } from "preact";
import type { Answer } from "../api";
import type { Asked } from "../use";
import { When } from "./when";

export function Loading({ what }: { what: string }) {
  return (
    <div class="state" role="status">
      <span class="pulse" aria-hidden="true" /> Loading {what}…
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="state">{children}</div>;
}

export function Failed({ problem }: { problem: { title: string; detail: string } }) {
  return (
    <div class="state bad" role="alert">
      <strong>{problem.title}.</strong> {problem.detail}
    </div>
  );
}

/** Shows `children` of what was asked; a failed refresh keeps what was there and says so. */
export function Shown<T>({ asked, what, children }: { asked: Asked<T>; what: string; children: (value: T) => ComponentChildren }) {
  if (asked.value === undefined) {
    return asked.problem ? <Failed problem={asked.problem} /> : <Loading what={what} />;
  }
  return (
    <>
      {asked.problem && <Failed problem={asked.problem} />}
      {children(asked.value)}
    </>
  );
}

/** Since when an answer is known, and what it lacks. Complete answers say so in one quiet line. */
export function Honesty({ answer }: { answer: Answer }) {
  return (
    <div class={answer.complete ? "honesty" : "honesty warn"}>
      <strong>{answer.complete ? "Complete" : "Not complete"}</strong>
      {answer.known_since && (
        <span>
          known since <When at={answer.known_since} />
        </span>
      )}
      {answer.reasons.map((reason) => (
        <span key={reason}>{reason}</span>
      ))}
      {answer.notes.map((note) => (
        <span key={note} class="quiet">
          {note}
        </span>
      ))}
    </div>
  );
}

/** What a part of a page says while it loads, when it failed, when there is nothing, and when not all is known. */

import type { ComponentChildren } from "preact";
import type { Answer } from "../api";
import type { Asked } from "../use";
import { Sentence } from "./sentence";
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

/** As a sentence begins and ends. */
const whole = (text: string): string => (text ? `${text[0]?.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "");

/** What to do about an answer of this kind, where its own sentence does not say. */
const TODO: Record<number, string> = {
  403: "Sign out and enter a token with more rights, or ask somebody who has one.",
  500: "`cdc doctor` looks at all parts of the recorder.",
};

export function Failed({ problem, stale = false }: { problem: { title: string; detail: string; status?: number }; stale?: boolean }) {
  const todo = TODO[problem.status ?? -1];
  return (
    <div class={stale ? "notice warn" : "state bad"} role="alert">
      <strong>{stale ? "Not refreshed: what stands below is older." : `${problem.title}.`}</strong> <Sentence text={`${whole(problem.detail)} ${todo ?? ""}`} />
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
      {asked.problem && <Failed problem={asked.problem} stale />}
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
        <span key={reason}>
          <Sentence text={reason} />
        </span>
      ))}
      {answer.notes.map((note) => (
        <span key={note} class="quiet">
          <Sentence text={note} />
        </span>
      ))}
    </div>
  );
}

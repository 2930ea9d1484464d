/** Long actions: followed until they are done, with the time left. */

import { useEffect, useState } from "preact/hooks";
import { call, Problem, type Row } from "../api";
import { count, duration } from "../format";

export type Told = { title: string; detail: string };
export const told = (error: unknown): Told => (error instanceof Problem ? { title: error.title, detail: error.detail } : { title: "Failed", detail: String(error) });

/** Follows a long action until it is done. */
export function useProgress(name: string | null, done: (answer: Row) => void): { state: Row | null; problem: Told | null } {
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

export function Progress({ state }: { state: Row | null }) {
  if (!state || state.state !== "working") return null;
  const total = Number(state.total ?? state.of ?? 0);
  const done = Number(state.done ?? 0);
  return (
    <div class="notice progress" role="status" aria-live="polite">
      <p>
        {state.doing ?? state.what ?? "working"}: {total ? `${count(done)} of ${count(total)}` : "…"}
        {state.left_s ? `, about ${duration(state.left_s)} left` : ""}
      </p>
      <progress max={total || 1} value={total ? done : undefined} />
    </div>
  );
}

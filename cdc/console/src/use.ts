/** Asking the API from a page: loading, failed or there; asked again at an interval, and never twice at once. */

import { useEffect, useState } from "preact/hooks";
import { ask, Problem, type Answer, type Given } from "./api";

export interface Asked<T> {
  value?: T;
  problem?: Problem;
  loading: boolean;
}

/** `turn` asks again at once, and leaves what is there until the answer comes. */
export function useLoad<T>(load: ((signal: AbortSignal) => Promise<T>) | null, key: string, everyMs = 0, turn = 0): Asked<T> {
  const [state, setState] = useState<Asked<T> & { key: string }>({ loading: true, key });
  useEffect(() => {
    if (!load) {
      setState({ loading: false, key });
      return undefined;
    }
    const abort = new AbortController();
    let timer = 0;
    const look = async () => {
      try {
        const value = await load(abort.signal);
        if (!abort.signal.aborted) setState({ value, loading: false, key });
      } catch (error) {
        if (abort.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, "Failed", String(error));
        // What was there stays on the page; that it is stale is said.
        setState((before) => ({ ...(before.key === key && before.value ? { value: before.value } : {}), problem, loading: false, key }));
      }
      // A page that nobody looks at asks less often.
      if (everyMs && !abort.signal.aborted) timer = window.setTimeout(look, document.hidden ? everyMs * 10 : everyMs);
    };
    setState((before) => (before.key === key ? before : { loading: true, key }));
    void look();
    return () => {
      abort.abort();
      window.clearTimeout(timer);
    };
  }, [key, everyMs, turn]);
  return state.key === key ? state : { loading: true };
}

export function useAnswer(path: string | null, given: Given = {}, everyMs = 0, turn = 0): Asked<Answer> {
  const key = path === null ? "" : `${path} ${JSON.stringify(given)}`;
  return useLoad(path === null ? null : (signal) => ask(path, given, signal), key, everyMs, turn);
}

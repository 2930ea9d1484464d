/** Pages of an answer that has more rows than are shown at once: the server keeps the place. */

import { useState } from "preact/hooks";
import { count } from "../format";

export interface Paged {
  cursor: string | undefined;
  number: number;
  next: (cursor: string) => void;
  back: () => void;
}

/** The place in an answer; a new `key` begins anew. */
export function usePages(key: string): Paged {
  const [state, setState] = useState<{ key: string; cursors: string[] }>({ key, cursors: [] });
  const cursors = state.key === key ? state.cursors : [];
  return {
    cursor: cursors.at(-1),
    number: cursors.length,
    next: (cursor) => setState({ key, cursors: [...cursors, cursor] }),
    back: () => setState({ key, cursors: cursors.slice(0, -1) }),
  };
}

export function Pages({ pages, next, rows, size, what }: { pages: Paged; next: string | null; rows: number; size: number; what: string }) {
  if (!next && !pages.number) return null;
  const first = pages.number * size + 1;
  return (
    <div class="row pages">
      <button disabled={!pages.number} onClick={pages.back}>
        ← Previous
      </button>
      <span class="quiet">
        {what} {count(first)} to {count(first + rows - 1)}
        {next ? "" : ", the last"}
      </span>
      <button disabled={!next} onClick={() => next && pages.next(next)}>
        Next {count(size)} →
      </button>
    </div>
  );
}

/** One SELECT over the public views, its rows page by page, and the rows as a file. */

import { useEffect, useState } from "preact/hooks";
import { call, post, Problem, type Answer } from "../api";
import { count, duration, plural } from "../format";
import { useRole } from "../role";
import { choose, type Place } from "../router";
import { Plain } from "../parts/plain";
import { Empty, Failed, Loading } from "../parts/states";

const PAGE = 10_000;
const ARROW = "application/vnd.apache.arrow.stream";
const ARROW_ROWS_MAX = 1_000_000;
const EXAMPLES: [string, string][] = [
  ["Changes by entity and kind", "SELECT entity, kind, count(*) AS changes\nFROM changes\nGROUP BY ALL\nORDER BY changes DESC"],
  ["Who changed most records", "SELECT user_id, client, count(DISTINCT record_id) AS records\nFROM changes\nWHERE kind = 'UPDATE'\nGROUP BY ALL\nORDER BY records DESC\nLIMIT 20"],
  ["Accounts as they were a day ago", "SELECT record_id, status, fields\nFROM state_at('Account', now()::TIMESTAMP - INTERVAL 1 DAY)\nLIMIT 100"],
  ["What is not known", "SELECT entity, status, from_at, to_at, reason\nFROM coverage\nWHERE status <> 'live'\nORDER BY from_at DESC"],
];

export function Sql({ place }: { place: Place }) {
  const { role, may } = useRole();
  const asked = place.query.get("q");
  const [text, setText] = useState(asked ?? EXAMPLES[0]?.[1] ?? "");
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState("");
  const [took, setTook] = useState(0);
  const [cursors, setCursors] = useState<string[]>([]);
  const run = async (path: string[] = []) => {
    choose({ q: text });
    setBusy("the rows");
    setProblem(null);
    const started = performance.now();
    try {
      const cursor = path.at(-1);
      setAnswer(await post<Answer>("query", { sql: text, limit: PAGE, ...(cursor ? { cursor } : {}) }));
      setCursors(path);
      setTook((performance.now() - started) / 1000);
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Failed", String(error)));
    }
    setBusy("");
  };
  const saveAll = async () => {
    setBusy("all rows, as a file");
    setProblem(null);
    try {
      const response = await call("POST", "/api/v1/query", { sql: text, limit: ARROW_ROWS_MAX }, undefined, undefined, ARROW);
      save(await response.blob(), "rows.arrow");
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Failed", String(error)));
    }
    setBusy("");
  };
  // An address with a statement is somebody's link to its rows.
  useEffect(() => {
    if (asked && may("operator")) void run();
  }, [role]);

  return (
    <>
      <h1>SQL</h1>
      <p class="lead">One SELECT over the public views, read only, with a limit of rows and time. The address holds it, so that it can be shared.</p>
      {role === "viewer" && <p class="notice warn">Your token may look, but not ask SQL: that needs an operator's.</p>}
      <textarea
        class="code"
        aria-label="SQL"
        spellcheck={false}
        rows={Math.min(16, Math.max(5, text.split("\n").length + 1))}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => (e.ctrlKey || e.metaKey) && e.key === "Enter" && void run()}
      />
      <div class="row below">
        <button class="main" disabled={!!busy || role === "viewer"} onClick={() => void run()}>
          Run <kbd>Ctrl Enter</kbd>
        </button>
        <label>
          <span class="hidden">Examples</span>
          <select
            aria-label="Examples"
            value=""
            onChange={(e) => {
              const chosen = EXAMPLES.find(([name]) => name === e.currentTarget.value);
              if (chosen) setText(chosen[1]);
            }}
          >
            <option value="">Examples…</option>
            {EXAMPLES.map(([name]) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        {answer && !busy && (
          <>
            <button onClick={() => save(new Blob([csv(answer)], { type: "text/csv" }), "rows.csv")}>These rows as CSV</button>
            {answer.next && <button title={`At most ${count(ARROW_ROWS_MAX)} rows`} onClick={() => void saveAll()}>All rows as an Arrow file</button>}
            <span class="quiet" role="status">
              {cursors.length || answer.next ? `rows ${count(cursors.length * PAGE + 1)} to ${count(cursors.length * PAGE + answer.rows.length)}${answer.next ? " of more" : ""}` : plural(answer.rows.length, "row")} in {duration(took)}
            </span>
            {(cursors.length > 0 || answer.next) && (
              <>
                <button disabled={!cursors.length} onClick={() => void run(cursors.slice(0, -1))}>
                  ← Previous
                </button>
                <button disabled={!answer.next} onClick={() => answer.next && void run([...cursors, answer.next])}>
                  Next {count(PAGE)} →
                </button>
              </>
            )}
          </>
        )}
      </div>
      {problem && <Failed problem={problem} />}
      {busy && <Loading what={busy} />}
      {!busy && answer && !problem && <Plain answer={answer} empty="The statement gives no row." />}
      {!busy && !answer && !problem && (
        <Empty>
          <strong>Nothing asked yet.</strong> Run the statement above, or choose an example. The views are <code>changes</code>, <code>field_changes</code>, <code>coverage</code>, <code>alerts</code>, <code>incidents</code>, <code>restores</code>, and one for each
          entity, like <code>account</code> and <code>account_history</code>.
        </Empty>
      )}
    </>
  );
}

function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  URL.revokeObjectURL(url);
}

function csv(answer: Answer): string {
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
    // A cell that a spreadsheet would take for a formula is made text.
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [answer.columns, ...answer.rows].map((row) => row.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** One SELECT over the public views, its rows, and the rows as a file. */

import { useState } from "preact/hooks";
import { post, Problem, type Answer } from "../api";
import { count, duration } from "../format";
import { choose, type Place } from "../router";
import { Failed, Loading } from "../parts/states";
import { Plain } from "./time";

const EXAMPLES = [
  "SELECT entity, kind, count(*) AS changes FROM changes GROUP BY ALL ORDER BY changes DESC",
  "SELECT user_id, client, count(DISTINCT record_id) AS records FROM changes WHERE kind = 'UPDATE' GROUP BY ALL ORDER BY records DESC LIMIT 20",
  "SELECT record_id, status, fields FROM state_at('Account', now()::TIMESTAMP - INTERVAL 1 DAY) LIMIT 100",
];

export function Sql({ place }: { place: Place }) {
  const [text, setText] = useState(place.query.get("q") ?? EXAMPLES[0] ?? "");
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(0);
  const run = async () => {
    choose({ q: text });
    setBusy(true);
    setProblem(null);
    const started = performance.now();
    try {
      setAnswer(await post<Answer>("query", { sql: text, limit: 10_000 }));
      setTook((performance.now() - started) / 1000);
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(0, "Failed", String(error)));
    }
    setBusy(false);
  };
  return (
    <>
      <h1>SQL</h1>
      <p class="lead">One SELECT over the public views, read only, with a limit of rows and time. Needs the role operator.</p>
      <textarea
        class="code"
        aria-label="SQL"
        spellcheck={false}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => (e.ctrlKey || e.metaKey) && e.key === "Enter" && void run()}
      />
      <div class="row" style={{ marginTop: "8px" }}>
        <button class="main" disabled={busy} onClick={() => void run()}>
          Run <kbd>Ctrl Enter</kbd>
        </button>
        <label>
          Examples
          <select onChange={(e) => setText(e.currentTarget.value)}>
            {EXAMPLES.map((example) => (
              <option key={example} value={example}>
                {example.slice(0, 70)}…
              </option>
            ))}
          </select>
        </label>
        {answer && !busy && (
          <>
            <button onClick={() => download(answer)}>Download CSV</button>
            <span class="quiet">
              {count(answer.rows.length)} rows in {duration(took)}
            </span>
          </>
        )}
      </div>
      {problem && <Failed problem={problem} />}
      {busy ? <Loading what="the rows" /> : answer && !problem && <Plain answer={answer} empty="The statement gives no row." />}
    </>
  );
}

function download(answer: Answer): void {
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
    // A cell that a spreadsheet would take for a formula is made text.
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [answer.columns, ...answer.rows].map((row) => row.map(cell).join(","));
  const url = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = "rows.csv";
  anchor.click();
  URL.revokeObjectURL(url);
}

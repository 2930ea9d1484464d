/** Any answer as it comes: times in the viewer's zone, numbers aligned, unknown and null told apart. */

import { rowsOf, type Answer, type Row } from "../api";
import { Empty, Honesty } from "./states";
import { Table } from "./table";
import { Value } from "./value";
import { When } from "./when";

export function Plain({ answer, empty, honest = true }: { answer: Answer; empty: string; honest?: boolean }) {
  const rows = rowsOf(answer);
  const numbers = new Set(answer.columns.filter((name) => rows.length > 0 && rows.slice(0, 100).every((row) => row[name] === null || typeof row[name] === "number")));
  return (
    <>
      {honest && <Honesty answer={answer} />}
      {rows.length ? (
        <Table
          label="Rows"
          rows={rows}
          rowKey={(_, n) => n}
          columns={answer.columns.map((name) => ({ name: name.replaceAll("_", " "), right: numbers.has(name), cell: (row: Row) => <Cell name={name} value={row[name]} /> }))}
        />
      ) : (
        <Empty>{empty}</Empty>
      )}
    </>
  );
}

export function Cell({ name, value }: { name: string; value: unknown }) {
  if (name.endsWith("_at") && typeof value === "string") return <When at={value} />;
  if (value && typeof value === "object" && "known" in value && "value" in value) {
    const told = value as { value: unknown; known: boolean; inferred?: boolean };
    if (told.inferred) {
      return (
        <span title="Before it was first read: inferred, not known">
          <Value value={told.value} /> <span class="unknown">inferred</span>
        </span>
      );
    }
    return <Value value={told.value} known={told.known} />;
  }
  return <Value value={value} />;
}

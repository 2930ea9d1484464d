/** Names of users beside their ids, as the journal knows them. */

import { ask, rowsOf } from "../api";
import { useEffect, useState } from "preact/hooks";

const known = new Map<string, string>();
const asked = new Set<string>();
const waiting = new Set<() => void>();
const ASKED_MAX = 100;

export function useNames(ids: readonly (string | null | undefined)[]): Map<string, string> {
  const [, told] = useState(0);
  const wanted = [...new Set(ids.filter((id): id is string => !!id?.startsWith("005")))].slice(0, ASKED_MAX);
  useEffect(() => {
    const tell = () => told((n) => n + 1);
    waiting.add(tell);
    const missing = wanted.filter((id) => !asked.has(id));
    if (missing.length) void lookUp(missing);
    return () => {
      waiting.delete(tell);
    };
  }, [wanted.join()]);
  return known;
}

/** Whoever shows one of them is told, whoever asked first. */
async function lookUp(ids: string[]): Promise<void> {
  for (const id of ids) asked.add(id);
  try {
    for (const row of rowsOf(await ask("state/User", { ids, limit: ids.length }))) {
      const fields = (row.fields ?? {}) as Record<string, string | null>;
      const name = fields["Name"] ?? [fields["Name.FirstName"], fields["Name.LastName"]].filter(Boolean).join(" ");
      if (name) known.set(row.record_id, name);
    }
    for (const tell of [...waiting]) tell();
  } catch {
    for (const id of ids) asked.delete(id); // names are a courtesy: the ids stand without them
  }
}

export function User({ id, names }: { id: string | null | undefined; names: Map<string, string> }) {
  if (!id) return <span class="quiet">nobody named</span>;
  const name = names.get(id);
  return (
    <a href={`/time/User/${id}`} title={id}>
      {name ?? <code>{id}</code>}
    </a>
  );
}

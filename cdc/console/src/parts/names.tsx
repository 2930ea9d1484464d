/** Names of users beside their ids, as the journal knows them. */

import { ask, rowsOf } from "../api";
import { useEffect, useState } from "preact/hooks";

const known = new Map<string, string>();
const asked = new Set<string>();

export function useNames(ids: (string | null | undefined)[]): Map<string, string> {
  const [, told] = useState(0);
  const wanted = [...new Set(ids.filter((id): id is string => !!id?.startsWith("005")))].slice(0, 100);
  useEffect(() => {
    const missing = wanted.filter((id) => !asked.has(id));
    if (!missing.length) return;
    for (const id of missing) asked.add(id);
    ask("state/User", { ids: missing, limit: missing.length })
      .then((answer) => {
        for (const row of rowsOf(answer)) {
          const fields = (row.fields ?? {}) as Record<string, string | null>;
          const name = fields["Name"] ?? [fields["Name.FirstName"], fields["Name.LastName"]].filter(Boolean).join(" ");
          if (name) known.set(row.record_id, name);
        }
        told((n) => n + 1);
      })
      .catch(() => undefined); // names are a courtesy: the ids stand without them
  }, [wanted.join()]);
  return known;
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

/** The blast radius drawn: who, through what, which records, which fields of them, and what hangs on them. */

import type { Row } from "../api";
import { count, plural, programme } from "../format";
import { link } from "../router";

const WIDTH = 1000;
const TOP = 34;
const GAP = 10;
const LOW = 26;
const HIGH = 74;
const RIGHT_MAX = 9;
const COLUMNS = { who: 0, through: 205, entity: 450, right: 690 };
const NODE = { who: 160, through: 200, entity: 185, right: 310 };
/** Widths of a letter, about. */
const BOLD = 7.7;
const SMALL = 6.5;

interface Node {
  key: string;
  name: string;
  told: string;
  size: number;
  kind: "who" | "through" | "entity" | "field" | "reached";
  from: string[];
  href?: string | undefined;
}

interface Placed extends Node {
  x: number;
  y: number;
  wide: number;
  high: number;
}

interface Given {
  blast: Row;
  alert: Row | null;
  names: Map<string, string>;
  rowsBehind: (entity: string, field: string | null) => string;
}

export function BlastPicture({ blast, alert, names, rowsBehind }: Given) {
  const columns = nodesOf(blast, alert, names, rowsBehind);
  const placed = place(columns);
  const at = new Map(placed.map((node) => [node.key, node]));
  const height = Math.max(...placed.map((node) => node.y + node.high), 120) + 12;
  const right = placed.filter((node) => node.kind === "field" || node.kind === "reached");
  const reached = right.find((node) => node.kind === "reached");
  return (
    <>
    <p class="quiet swipe">The picture goes on to the right; its numbers stand in the lists below it too.</p>
    <div class="picture" tabIndex={0} role="region" aria-label="Picture of the blast radius">
      <svg viewBox={`0 0 ${WIDTH} ${height}`} role="group" aria-label={sentence(blast, placed)}>
        <Heading x={COLUMNS.who} text="Who" />
        <Heading x={COLUMNS.through} text="Through what" />
        <Heading x={COLUMNS.entity} text="Records changed" />
        <Heading x={COLUMNS.right} text="Fields it set" />
        {reached && <Heading x={COLUMNS.right} y={reached.y - 10} text="Not changed, but point to them" />}
        {placed.map((node) => node.from.map((key) => <Ribbon key={`${key} ${node.key}`} from={at.get(key)} to={node} share={1 / node.from.length} />))}
        {placed.map((node) => (
          <Box key={node.key} node={node} />
        ))}
      </svg>
    </div>
    </>
  );
}

function sentence(blast: Row, placed: Placed[]): string {
  const told = placed.map((node) => `${node.name}: ${node.told}`).join("; ");
  return `${plural(blast.totals.records, "record")} in ${plural(blast.totals.transactions, "transaction")}. ${told}.`;
}

function nodesOf(blast: Row, alert: Row | null, names: Map<string, string>, rowsBehind: Given["rowsBehind"]): Node[][] {
  const total = Number(blast.totals.records) || 1;
  const told: Row[] = alert?.actors ?? [];
  const users = ((blast.totals.users ?? []) as (string | null)[]).filter(Boolean) as string[];
  const actors: Row[] = told.length ? told : users.slice(0, 5).map((user_id) => ({ user_id, origin: "", client: (blast.totals.clients ?? [])[0] ?? "", share: null }));
  const who: Node[] = [];
  const through = new Map<string, Node>();
  for (const actor of actors.slice(0, 5)) {
    const id = String(actor.user_id ?? "");
    const key = `who ${id}`;
    const share = typeof actor.share === "number" ? actor.share : 1 / actors.length;
    const size = Math.max(1, Math.round(share * total));
    if (!who.some((node) => node.key === key)) {
      who.push({ key, name: names.get(id) ?? (id || "nobody named"), told: alert ? `${Math.round(share * 100)} % of the records` : "a user", size, kind: "who", from: [], href: id ? link(["time", "User", id]) : undefined });
    }
    const name = programme(actor.origin ?? "", actor.client ?? "");
    const known = through.get(name);
    if (known) known.from.push(key);
    else through.set(name, { key: `through ${name}`, name, told: actor.client ? "a client of the API" : actor.origin ? "the API" : "a flow, a trigger or a job", size, kind: "through", from: [key] });
  }
  const entities = new Map<string, Node>();
  for (const row of blast.fields as Row[]) {
    const records = Number(row.records);
    const known = entities.get(row.entity);
    if (known) known.size = Math.max(known.size, records);
    else entities.set(row.entity, { key: `entity ${row.entity}`, name: row.entity, told: "", size: records, kind: "entity", from: [...through.values()].map((node) => node.key), href: rowsBehind(row.entity, null) });
  }
  for (const node of entities.values()) node.told = plural(node.size, "record");
  const fields: Node[] = (blast.fields as Row[]).map((row) => ({
    key: `field ${row.entity} ${row.kind} ${row.field}`,
    name: row.field ?? String(row.kind).toLowerCase(),
    told: `${count(row.records)}${(row.top_values ?? []).length ? `, to ${(row.top_values as string[]).slice(0, 2).join(" or ")}` : ""}`,
    size: Number(row.records),
    kind: "field",
    from: [`entity ${row.entity}`],
    href: rowsBehind(row.entity, row.field ?? null),
  }));
  const reached: Node[] = (blast.reached as Row[]).map((row) => ({
    key: `reached ${row.entity} ${row.field}`,
    name: `${row.entity}.${row.field}`,
    told: `${count(row.records)} point to ${count(row.of_records)}`,
    size: Number(row.records),
    kind: "reached",
    from: entities.size === 1 ? [...entities.values()].map((node) => node.key) : [],
  }));
  return [who, [...through.values()], [...entities.values()].slice(0, 6), [...rest(fields, "field"), ...rest(reached, "reached")]];
}

/** The largest; how many more there are is said, and all stand in the lists below. */
function rest(nodes: Node[], kind: "field" | "reached"): Node[] {
  if (nodes.length <= RIGHT_MAX) return nodes;
  const more = nodes.length - RIGHT_MAX + 1;
  return [...nodes.slice(0, RIGHT_MAX - 1), { key: `more ${kind}`, name: `and ${more} more`, told: "listed below", size: 0, kind, from: [] }];
}

function place(columns: Node[][]): Placed[] {
  const highest = Math.max(...columns.flat().map((node) => node.size), 1);
  const high = (node: Node) => (node.kind === "field" || node.kind === "reached" ? LOW + 8 * (node.size / highest) : LOW + 14 + (HIGH - LOW - 14) * Math.sqrt(node.size / highest));
  const heights = columns.map((nodes) => nodes.reduce((sum, node) => sum + high(node) + GAP, 0) + (nodes.some((node) => node.kind === "reached") ? 24 : 0));
  const tallest = Math.max(...heights);
  return columns.flatMap((nodes, n) => {
    let y = TOP + (tallest - (heights[n] ?? 0)) / (n === 3 ? Infinity : 2);
    let last = "";
    return nodes.map((node) => {
      if (last === "field" && node.kind === "reached") y += 24;
      last = node.kind;
      const column = node.kind === "field" || node.kind === "reached" ? "right" : node.kind;
      const placed = { ...node, x: COLUMNS[column], y, wide: NODE[column], high: high(node) };
      y += placed.high + GAP;
      return placed;
    });
  });
}

function Heading({ x, y = 18, text }: { x: number; y?: number; text: string }) {
  return (
    <text class="picture-heading" x={x} y={y}>
      {text}
    </text>
  );
}

function Ribbon({ from, to, share }: { from: Placed | undefined; to: Placed; share: number }) {
  if (!from) return null;
  const x1 = from.x + from.wide;
  const middle = (x1 + to.x) / 2;
  const half = Math.max(1.5, (to.high * share) / 2 - 3);
  const a = from.y + from.high / 2;
  const b = to.y + to.high / 2;
  const start = Math.min(half, from.high / 2 - 3);
  const d = `M${x1} ${a - start} C${middle} ${a - start} ${middle} ${b - half} ${to.x} ${b - half} L${to.x} ${b + half} C${middle} ${b + half} ${middle} ${a + start} ${x1} ${a + start} Z`;
  return <path class={`ribbon ${to.kind}`} d={d} aria-hidden="true" />;
}

function Box({ node }: { node: Placed }) {
  const is_row = node.kind === "field" || node.kind === "reached";
  const name = cut(node.name, is_row ? 26 : (node.wide - 20) / BOLD);
  const room = is_row ? node.wide - 32 - name.length * BOLD : node.wide - 20;
  const middle = node.y + node.high / 2;
  const body = (
    <>
      <title>{`${node.name}: ${node.told}`}</title>
      <rect class={`node ${node.kind}`} x={node.x} y={node.y} width={node.wide} height={node.high} rx="7" />
      <text class="node-name" x={node.x + 10} y={is_row ? middle + 4.5 : middle - 2}>
        {name}
      </text>
      <text class="node-told" x={is_row ? node.x + node.wide - 10 : node.x + 10} y={is_row ? middle + 4.5 : middle + 14} text-anchor={is_row ? "end" : "start"}>
        {cut(node.told, Math.max(8, room / SMALL))}
      </text>
    </>
  );
  return node.href ? <a href={node.href}>{body}</a> : <g>{body}</g>;
}

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, Math.floor(most) - 1)}…` : text);

/** Setup: who changed the org's configuration and when, what differs line by line, and who may do what. */

import { useState } from "preact/hooks";
import { rowsOf, type Row } from "../api";
import { count, plural } from "../format";
import { choose, link, type Place } from "../router";
import { useAnswer } from "../use";
import { User, useNames } from "../parts/names";
import { Pages, usePages } from "../parts/pages";
import { Sentence } from "../parts/sentence";
import { Empty, Honesty, Shown } from "../parts/states";
import { Table, type Column } from "../parts/table";
import { Tabs } from "../parts/tabs";
import { When } from "../parts/when";

const VIEWS = { log: "Log", changed: "What changed, line by line", access: "Who may do what" };
const PAGE = 1000;
const COMPONENTS_SHOWN = 40;
const LINES_OPEN_MAX = 60;

export function Setup({ place }: { place: Place }) {
  const wanted = place.query.get("view") ?? "log";
  const view = wanted in VIEWS ? wanted : "log";
  return (
    <>
      <h1>Setup</h1>
      <p class="lead">Every change of the org's configuration that is recorded: most mass updates begin with one.</p>
      <Tabs label="Views of the set-up" names={VIEWS} view={view}>
        {view === "log" && <Log place={place} />}
        {view === "changed" && <Changed place={place} />}
        {view === "access" && <Access place={place} />}
      </Tabs>
    </>
  );
}

/** The seconds around a change, in which it is the difference. */
function around(at: string): { from: string; to: string } {
  const time = Date.parse(at);
  return { from: new Date(time - 1000).toISOString(), to: new Date(time + 1000).toISOString() };
}

function Log({ place }: { place: Place }) {
  const about = place.query.get("about") ?? "";
  const pages = usePages(about);
  const asked = useAnswer("setup", { about, limit: PAGE, cursor: pages.cursor }, 15_000);
  const rows = asked.value ? rowsOf(asked.value) : [];
  const names = useNames(rows.slice(0, 300).map((row) => row.user_id));
  const columns: Column<Row>[] = [
    { name: "When", cell: (r) => <When at={r.at} /> },
    { name: "Who", cell: (r) => <User id={r.user_id} names={names} /> },
    { name: "Section", cell: (r) => r.section },
    { name: "What", wide: true, cell: (r) => <span title={r.display}><Sentence text={String(r.display ?? r.action)} plain /></span> },
    { name: "Lines", cell: (r) => (r.component ? <a href={link(["setup"], { view: "changed", about: r.component, ...around(r.at) })}>what it changed</a> : <span class="quiet">–</span>) },
    { name: "Seen by", cell: (r) => <span class="quiet">{r.source}</span> },
  ];
  return (
    <>
      <form class="row" onSubmit={(e) => e.preventDefault()}>
        <label>
          Only what has this in its name
          <input type="search" class="long" value={about} onChange={(e) => choose({ about: e.currentTarget.value })} placeholder="a flow, a permission set, an entity" />
        </label>
      </form>
      <Shown asked={asked} what="the setup log">
        {(answer) => (
          <>
            <Honesty answer={answer} />
            {rows.length ? (
              <Table label="Setup changes" columns={columns} rows={rows} rowKey={(r, n) => `${r.seq} ${n}`} />
            ) : (
              <Empty>
                {about ? (
                  <>
                    <strong>No change of the set-up has “{about}” in its name.</strong> <button onClick={() => choose({ about: null })}>Show all</button>
                  </>
                ) : (
                  <>
                    <strong>No change of the set-up is recorded yet.</strong> It is read every <code>poll.setup_interval</code>; what changes from now on stands here.
                  </>
                )}
              </Empty>
            )}
            <Pages pages={pages} next={answer.next} rows={rows.length} size={PAGE} what="changes" />
          </>
        )}
      </Shown>
    </>
  );
}

/** From, to, and about what: kept in the address. */
function Between({ place, needs, about, hint }: { place: Place; needs: boolean; about: string; hint: string }) {
  const text = (name: string) => place.query.get(name) ?? "";
  return (
    <form
      class="row"
      key={`${text("about")} ${text("from")} ${text("to")}`}
      onSubmit={(event) => {
        event.preventDefault();
        const given = new FormData(event.currentTarget as HTMLFormElement);
        const said = (name: string) => String(given.get(name) ?? "").trim();
        choose({ about: said("about"), from: said("from"), to: said("to") }, false);
      }}
    >
      <label>
        {about}
        <input name="about" required={needs} defaultValue={text("about")} size={34} placeholder={hint} />
      </label>
      <label>
        {needs ? "Only what was gained or lost since" : "From"}
        <input name="from" defaultValue={text("from") || (needs ? "" : "-1d")} size={26} placeholder={needs ? "all that is held" : "-1d, 2026-11-23T10:02:00Z"} />
      </label>
      {!needs && (
        <label>
          To
          <input name="to" defaultValue={text("to")} size={26} placeholder="now" />
        </label>
      )}
      <button class="main">Show</button>
    </form>
  );
}

interface Component {
  name: string;
  change: string;
  fields: { field: string; lines: string[] }[];
  lines: number;
}

function componentsOf(rows: Row[]): Component[] {
  const found = new Map<string, Component>();
  for (const row of rows) {
    const component: Component = found.get(row.component) ?? { name: row.component, change: row.change, fields: [], lines: 0 };
    found.set(row.component, component);
    if (component.fields.at(-1)?.field !== row.field) component.fields.push({ field: row.field, lines: [] });
    component.fields.at(-1)?.lines.push(String(row.line));
    component.lines += 1;
  }
  return [...found.values()];
}

function Changed({ place }: { place: Place }) {
  const from = place.query.get("from") || "-1d";
  const to = place.query.get("to");
  const about = place.query.get("about") ?? "";
  const [shown, setShown] = useState(COMPONENTS_SHOWN);
  const asked = useAnswer("setup/diff", { from, to, about });
  return (
    <>
      <Between place={place} needs={false} about="Only components with this in their name" hint="Flow:, PermissionSet:Sales, Account" />
      <Shown asked={asked} what="what changed">
        {(answer) => {
          const components = componentsOf(rowsOf(answer));
          return (
            <>
              <Honesty answer={answer} />
              {!components.length && (
                <Empty>
                  <strong>Nothing of the set-up differs between these two times.</strong> Try an earlier first time, like <code>-7d</code>.
                </Empty>
              )}
              {components.length > 0 && <p class="quiet">{plural(components.length, "component")} differ</p>}
              {components.slice(0, shown).map((component) => (
                <ComponentDiff key={component.name} component={component} />
              ))}
              {components.length > shown && <button onClick={() => setShown(shown + COMPONENTS_SHOWN)}>Show {count(Math.min(COMPONENTS_SHOWN, components.length - shown))} more</button>}
            </>
          );
        }}
      </Shown>
    </>
  );
}

const CHANGE_BADGE: Record<string, string> = { added: "done", removed: "failed", changed: "digest" };

function ComponentDiff({ component }: { component: Component }) {
  const [kind, ...name] = component.name.split(":");
  return (
    <details class="card diff" open={component.lines <= LINES_OPEN_MAX}>
      <summary>
        <span class={`badge ${CHANGE_BADGE[component.change] ?? ""}`}>{component.change}</span> <strong>{name.join(":") || kind}</strong> <span class="quiet">{name.length ? kind : ""}, {plural(component.lines, "line")}</span>
      </summary>
      {component.fields.map((field, n) => (
        <div key={n} class="diff-field">
          {field.field && <h4>{field.field}</h4>}
          <pre tabIndex={0} role="group" aria-label={`Lines of ${field.field || component.name}`}>
            {field.lines.map((line, m) => (
              <DiffLine key={m} line={line} />
            ))}
          </pre>
        </div>
      ))}
    </details>
  );
}

function DiffLine({ line }: { line: string }) {
  const sign = line[0] ?? " ";
  if (line.startsWith("@@ -0,0")) return null; // all of it is new
  if (line.startsWith("@@")) return <span class="diff-line hunk">{line.replace(/^@@ -(\d+).*$/, "line $1")}{"\n"}</span>;
  const told = sign === "+" ? "added" : sign === "-" ? "removed" : "";
  return (
    <span class={`diff-line ${told}`}>
      {told && <span class="hidden">{told}: </span>}
      {`${line}\n`}
    </span>
  );
}

function Access({ place }: { place: Place }) {
  const about = place.query.get("about") ?? "";
  const from = place.query.get("from") ?? "";
  const entities = useAnswer("entities");
  const asked = useAnswer(about ? "setup/access" : null, { about, from });
  return (
    <>
      <Between place={place} needs about="A user, an object or a field" hint="Account, Account.Rating, a user name" />
      {!about && (
        <Empty>
          <strong>Whose rights, or rights over what?</strong> Enter a user's id or user name, an object, or a field like <code>Account.Rating</code>; with a time, only what was gained or lost since.
          <span class="row centred">
            {(entities.value?.rows ?? [])
              .map((row) => String(row[0]))
              .slice(0, 8)
              .map((name) => (
                <button key={name} onClick={() => choose({ about: name })}>
                  {name}
                </button>
              ))}
          </span>
        </Empty>
      )}
      {about && (
        <Shown asked={asked} what="the rights">
          {(answer) => {
            const rows = grouped(rowsOf(answer));
            return (
              <>
                <Honesty answer={answer} />
                {rows.length ? (
                  <>
                    <p class="quiet">
                      {from ? `${plural(rows.filter((r) => r.change === "gained").length, "user")} gained and ${plural(rows.filter((r) => r.change === "lost").length, "user")} lost something over ${about} since then` : plural(rows.length, "line")}
                    </p>
                    <Table label="Rights" columns={accessColumns(from !== "")} rows={rows} rowKey={(_, n) => n} />
                  </>
                ) : (
                  <Empty>
                    <strong>{from ? "Nobody gained or lost a right over it since then." : "Nobody has a right over it."}</strong> {from && <button onClick={() => choose({ from: null })}>Show what is held now</button>}
                  </Empty>
                )}
              </>
            );
          }}
        </Shown>
      )}
    </>
  );
}

/** A line for each user, what it is over and by what, with all rights in it. */
function grouped(rows: Row[]): Row[] {
  const found = new Map<string, Row>();
  for (const row of rows) {
    const key = `${row.change ?? ""}\n${row.user}\n${row.over}\n${row.by}`;
    const line = found.get(key);
    if (line) line.rights.push(row.right);
    else found.set(key, { ...row, rights: [row.right] });
  }
  return [...found.values()];
}

const accessColumns = (since: boolean): Column<Row>[] => [
  ...(since ? [{ name: "Change", cell: (r: Row) => <span class={`badge ${r.change === "gained" ? "digest" : ""}`}>{r.change}</span> }] : []),
  { name: "User", cell: (r) => <span title={r.user}>{r.user}</span> },
  { name: "Over", cell: (r) => r.over },
  { name: "Rights", wide: true, cell: (r) => <span title={r.rights.join(", ")}>{r.rights.join(", ")}</span> },
  { name: "By", wide: true, cell: (r) => <span title={r.by}>{r.by}</span> },
];

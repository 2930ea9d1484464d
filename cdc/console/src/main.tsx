/** The console: sign in, then pages by their address. */

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { adoptToken, forgetToken, token } from "./api";
import { Incident } from "./pages/incident";
import { Incidents } from "./pages/incidents";
import { Now } from "./pages/now";
import { Setup } from "./pages/setup";
import { SignIn } from "./pages/sign-in";
import { Sql } from "./pages/sql";
import { TimeMachine } from "./pages/time";
import { Trust } from "./pages/trust";
import { Undo } from "./pages/undo";
import { useRole } from "./role";
import { go, usePlace, type Place } from "./router";
import { useAnswer } from "./use";
import "./theme.css";

const PAGES: { at: string; name: string; page: (place: Place) => preact.JSX.Element }[] = [
  { at: "", name: "Now", page: () => <Now /> },
  { at: "incidents", name: "Incidents", page: (p) => (p.path[1] ? <Incident id={p.path[1]} /> : <Incidents place={p} />) },
  { at: "time", name: "Time machine", page: (p) => <TimeMachine place={p} /> },
  { at: "undo", name: "Undo", page: (p) => <Undo place={p} /> },
  { at: "setup", name: "Setup", page: (p) => <Setup place={p} /> },
  { at: "trust", name: "Trust", page: () => <Trust /> },
  { at: "sql", name: "SQL", page: (p) => <Sql place={p} /> },
];

const THEME = "cdc.theme";

function applyTheme(): "dark" | "light" {
  const kept = localStorage.getItem(THEME);
  const theme = kept === "dark" || kept === "light" ? kept : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset["theme"] = theme;
  return theme;
}

function App() {
  const place = usePlace();
  const [signedIn, setSignedIn] = useState(token() !== "");
  const [theme, setTheme] = useState(applyTheme);
  const current = PAGES.find((page) => page.at === (place.path[0] ?? "")) ?? null;

  useEffect(() => {
    document.title = `${current?.name ?? "Not found"} · Flight recorder`;
  }, [current]);
  useEffect(() => {
    const out = () => setSignedIn(false);
    const pressed = (event: KeyboardEvent) => {
      const typing = (event.target as Element).closest("input, textarea, select");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const page = PAGES[Number(event.key) - 1];
      if (page) go(`/${page.at}`);
      if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLElement>("main input, main textarea")?.focus();
      }
    };
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const turned = () => setTheme(applyTheme());
    scheme.addEventListener("change", turned);
    window.addEventListener("signed-out", out);
    window.addEventListener("keydown", pressed);
    return () => {
      scheme.removeEventListener("change", turned);
      window.removeEventListener("signed-out", out);
      window.removeEventListener("keydown", pressed);
    };
  }, []);

  if (!signedIn) return <SignIn done={() => setSignedIn(true)} />;
  const other = theme === "dark" ? "light" : "dark";
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <nav aria-label="Pages">
        <a class="brand" href="/">
          <img src="/icon.svg" alt="" /> Flight recorder
        </a>
        {PAGES.map((page, n) => (
          <a key={page.at} class="tab" href={`/${page.at}`} aria-current={page === current ? "page" : undefined}>
            {page.name} {page.at === "incidents" ? <OpenCount /> : null} <kbd aria-hidden="true">{n + 1}</kbd>
          </a>
        ))}
        <div class="foot">
          <YourRole />
          <button
            onClick={() => {
              localStorage.setItem(THEME, other);
              setTheme(applyTheme());
            }}
          >
            {other === "dark" ? "Dark colours" : "Light colours"}
          </button>
          <button
            onClick={() => {
              forgetToken();
              setSignedIn(false);
            }}
          >
            Sign out
          </button>
        </div>
      </nav>
      <main id="main" tabIndex={-1}>
        {current ? (
          current.page(place)
        ) : (
          <>
            <h1>There is no such page</h1>
            <p class="lead">
              The address does not name a page of the console. <a href="/">Go to what happens now</a>.
            </p>
          </>
        )}
      </main>
    </div>
  );
}

/** How many incidents are open, on every page. */
function OpenCount() {
  const open = useAnswer("incidents", { state: "open", limit: 100 }, 5000).value?.rows.length ?? 0;
  if (!open) return null;
  return <span class="open-count" aria-label={`${open} open`}>{open >= 100 ? "99+" : open}</span>;
}

function YourRole() {
  const { role } = useRole();
  return <span class="quiet">{role ? `Signed in as ${role}` : " "}</span>;
}

adoptToken();
const root = document.getElementById("app");
if (root) render(<App />, root);

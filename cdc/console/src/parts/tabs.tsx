/** Views of one page, chosen in the address; arrow keys go from one to the next. */

import type { ComponentChildren } from "preact";
import { choose } from "../router";

interface Given {
  label: string;
  names: Record<string, string>;
  view: string;
  children: ComponentChildren;
}

export function Tabs({ label, names, view, children }: Given) {
  const all = Object.keys(names);
  const moved = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    const next = all[(all.indexOf(view) + step + all.length) % all.length];
    if (!next) return;
    choose({ view: next });
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} onKeyDown={moved}>
        {all.map((name) => (
          <button
            key={name}
            id={`tab-${name}`}
            role="tab"
            aria-selected={view === name}
            aria-controls="tab-panel"
            tabIndex={view === name ? 0 : -1}
            onClick={() => choose({ view: name })}
          >
            {names[name]}
          </button>
        ))}
      </div>
      <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${view}`}>
        {children}
      </div>
    </>
  );
}

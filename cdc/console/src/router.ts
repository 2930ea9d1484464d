/** Every page and its choices are in the address, so that it can be shared. */

import { useEffect, useState } from "preact/hooks";

export interface Place {
  path: string[];
  query: URLSearchParams;
}

const read = (): Place => ({
  path: location.pathname.split("/").filter(Boolean).map(decodeURIComponent),
  query: new URLSearchParams(location.search),
});

export function go(to: string, replace = false): void {
  if (to !== location.pathname + location.search) history[replace ? "replaceState" : "pushState"](null, "", to);
  window.dispatchEvent(new Event("place"));
}

export function link(path: string[], given: Record<string, string | null | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(given)) if (value) query.set(key, value);
  const text = query.toString();
  return `/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Change some of the choices in the address and keep the others. */
export function choose(given: Record<string, string | null>, replace = true): void {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(given)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  go(`${location.pathname}${text ? `?${text}` : ""}`, replace);
}

export function usePlace(): Place {
  const [place, setPlace] = useState(read);
  useEffect(() => {
    const moved = () => setPlace(read());
    const clicked = (event: MouseEvent) => {
      const anchor = (event.target as Element).closest("a");
      const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
      const inside = anchor?.origin === location.origin && !anchor.pathname.startsWith("/api/");
      if (!anchor || !plain || !inside || anchor.target || anchor.hasAttribute("download")) return;
      if (anchor.getAttribute("href")?.startsWith("#")) return;
      event.preventDefault();
      go(anchor.pathname + anchor.search);
      window.scrollTo(0, 0);
      document.getElementById("main")?.focus({ preventScroll: true });
    };
    window.addEventListener("popstate", moved);
    window.addEventListener("place", moved);
    document.addEventListener("click", clicked);
    return () => {
      window.removeEventListener("popstate", moved);
      window.removeEventListener("place", moved);
      document.removeEventListener("click", clicked);
    };
  }, []);
  return place;
}

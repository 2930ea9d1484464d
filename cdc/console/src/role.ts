/** What the token of this tab may do; the API refuses the rest as well. */

import { call } from "./api";
import { useLoad } from "./use";

const RANK = ["viewer", "operator", "admin"];

/** `may(role)`; while it is not known, nothing may be done. */
export function useRole(): { role: string; may: (needed: "viewer" | "operator" | "admin") => boolean } {
  const asked = useLoad(async (signal) => (await (await call("GET", "/api/v1/me", undefined, signal)).json()) as { role: string }, "me", 60_000);
  const role = asked.value?.role ?? "";
  return { role, may: (needed) => RANK.indexOf(role) >= RANK.indexOf(needed) };
}

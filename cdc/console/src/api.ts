/** The HTTP API as the console uses it: one token, answers with their honesty, problems as sentences. */

export interface Answer {
  columns: string[];
  rows: unknown[][];
  complete: boolean;
  reasons: string[];
  notes: string[];
  known_since: string | null;
  next: string | null;
}

// Rows of many questions: what a column holds is the question's business.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Row = Record<string, any>;

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

const TOKEN = "cdc.token";

/** A token in the address (`/#token=…`) is taken once and removed from it. */
export function adoptToken(): void {
  const given = /^#token=([\w.~-]+)$/.exec(location.hash);
  if (given?.[1]) {
    sessionStorage.setItem(TOKEN, given[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }
}

export const token = (): string => sessionStorage.getItem(TOKEN) ?? "";
export const setToken = (value: string): void => sessionStorage.setItem(TOKEN, value.trim());
export const forgetToken = (): void => {
  sessionStorage.removeItem(TOKEN);
  held.clear();
};

export type Given = Record<string, string | number | boolean | string[] | null | undefined>;

export function address(path: string, given: Given = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(key, String(one));
  }
  const text = query.toString();
  return `/api/v1/${path}${text ? `?${text}` : ""}`;
}

export async function call(
  method: string,
  url: string,
  body?: unknown,
  signal?: AbortSignal,
  tag?: string,
  accept?: string,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      signal: signal ?? null,
      headers: {
        Authorization: `Bearer ${token()}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(accept === undefined ? {} : { Accept: accept }),
        ...(tag === undefined ? {} : { "If-None-Match": tag }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The recorder does not answer at this address: it is stopped, starting, or not reached. This page asks again by itself; `cdc status` in a terminal says more.");
  }
  if (response.ok || (tag !== undefined && response.status === 304)) return response;
  const text = await response.text();
  let problem: { title?: string; detail?: string } = {};
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch {
    problem = { detail: text.slice(0, 200) };
  }
  if (response.status === 401) window.dispatchEvent(new Event("signed-out"));
  throw new Problem(response.status, problem.title ?? response.statusText, problem.detail ?? "");
}

/** Answers by address, with the tags they came under: what has not changed is not sent again. */
const held = new Map<string, { tag: string; token: string; answer: Answer }>();
const HELD_MAX = 50;

export async function ask(path: string, given: Given = {}, signal?: AbortSignal): Promise<Answer> {
  const url = address(path, given);
  const before = held.get(url);
  const mine = before?.token === token() ? before : undefined;
  const response = await call("GET", url, undefined, signal, mine?.tag);
  if (response.status === 304 && mine) return mine.answer;
  const answer = (await response.json()) as Answer;
  const tag = response.headers.get("ETag");
  held.delete(url);
  if (tag) {
    const oldest = held.size >= HELD_MAX ? held.keys().next().value : undefined;
    if (oldest !== undefined) held.delete(oldest);
    held.set(url, { tag, token: token(), answer });
  }
  return answer;
}

export async function post<T = Answer>(path: string, body: unknown): Promise<T> {
  return (await (await call("POST", `/api/v1/${path}`, body)).json()) as T;
}

export function rowsOf(answer: Answer): Row[] {
  return answer.rows.map((row) => Object.fromEntries(answer.columns.map((name, n) => [name, row[n]])));
}

/** Prometheus text: the samples of one metric, with their labels. */
export function samples(text: string, metric: string): { labels: Record<string, string>; value: number }[] {
  const found = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith(metric)) continue;
    const match = /^[\w:]+(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (!match || !(line[metric.length] === "{" || line[metric.length] === " ")) continue;
    const labels: Record<string, string> = {};
    for (const pair of (match[1] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[pair[1] ?? ""] = pair[2] ?? "";
    found.push({ labels, value: Number(match[2]) });
  }
  return found;
}

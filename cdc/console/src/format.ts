/** Numbers with units and times with zones, the same everywhere. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const count = (n: number): string => whole.format(n);
export const rate = (n: number): string => (n >= 100 ? whole : short).format(n);
/** A rate in the unit that gives it a number worth reading. */
export function pace(perSecond: number): string {
  if (perSecond >= 1 || perSecond === 0) return `${rate(perSecond)} per second`;
  if (perSecond * 60 >= 1) return `${rate(perSecond * 60)} per minute`;
  if (perSecond * 3600 >= 1) return `${rate(perSecond * 3600)} per hour`;
  return `${rate(perSecond * 86_400)} per day`;
}
export const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** In the viewer's zone, to the second; the zone is named. */
export function local(at: string | number | Date): string {
  return new Date(at).toLocaleString(undefined, {
    year: "numeric",
    month: "short",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  });
}

export const utc = (at: string | number | Date): string => new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");

export function duration(seconds: number): string {
  const s = Math.abs(seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 90) return `${short.format(s)} s`;
  if (s < 5400) return `${short.format(s / 60)} min`;
  if (s < 129600) return `${short.format(s / 3600)} h`;
  return `${short.format(s / 86400)} d`;
}

export function bytes(n: number): string {
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (n < 1000) return `${short.format(n)} ${unit}`;
    n /= 1000;
  }
  return `${short.format(n)} TB`;
}

export const programme = (origin: string, client: string): string =>
  client || (origin ? origin.replace("com/salesforce/", "") : "automation in the org");

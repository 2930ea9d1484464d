import { local, utc } from "../format";

/** A time in the viewer's zone; UTC on hover and for screen readers. */
export function When({ at }: { at: string | number | null | undefined }) {
  if (at === null || at === undefined || at === "") return <span class="quiet">–</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={utc(at)}>
      {local(at)}
    </time>
  );
}

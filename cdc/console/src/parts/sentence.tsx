/** A sentence of the recorder for people: times in the viewer's zone, users by their names, commands as such. */

import { User, useNames } from "./names";
import { When } from "./when";

const PARTS = /(`[^`]+`|\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z|\b005[A-Za-z0-9]{15}\b|\b005[A-Za-z0-9]{12}\b)/;
const IS_USER = /^005[A-Za-z0-9]{12,15}$/;

export function Sentence({ text, plain = false }: { text: string; plain?: boolean }) {
  const parts = text.split(PARTS);
  const names = useNames(parts.filter((part) => IS_USER.test(part)));
  return (
    <>
      {parts.map((part, n) => {
        if (n % 2 === 0) return part;
        if (part.startsWith("`")) return <code key={n}>{part.slice(1, -1)}</code>;
        if (!IS_USER.test(part)) return <When key={n} at={part} />;
        if (plain) return <span key={n} title={part}>{names.get(part) ?? part}</span>;
        return <User key={n} id={part} names={names} />;
      })}
    </>
  );
}

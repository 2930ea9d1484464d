/** Shares as bars with their numbers: top values, who, what. */

import type { ComponentChildren } from "preact";
import { percent } from "../format";

export interface Bar {
  name: ComponentChildren;
  share: number;
  text?: string;
}

export function Bars({ bars, label }: { bars: Bar[]; label: string }) {
  return (
    <ul class="bars" aria-label={label}>
      {bars.map((bar, n) => (
        <li key={n}>
          <span class="bar-name">{bar.name}</span>
          <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
            <rect width="100" height="8" class="bar-back" />
            <rect width={Math.max(0.5, bar.share * 100)} height="8" class="bar-fill" />
          </svg>
          <span class="bar-text">{bar.text ?? percent(bar.share)}</span>
        </li>
      ))}
    </ul>
  );
}

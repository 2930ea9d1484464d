/** A table that draws only the rows in sight, so that a hundred thousand cost what fifty do. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Column<T> {
  name: string;
  title?: string;
  cell: (row: T) => ComponentChildren;
  right?: boolean;
  wide?: boolean;
}

interface Given<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  rowKey: (row: T, index: number) => string | number;
  open?: ((row: T) => void) | undefined;
  height?: number;
}

const ROW_PX = 34;
const SPARE_ROWS = 10;
const VIRTUAL_FROM = 200;

export function Table<T>({ label, columns, rows, rowKey, open, height = 520 }: Given<T>) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const isVirtual = rows.length > VIRTUAL_FROM;
  useEffect(() => {
    const element = box.current;
    if (!element || !isVirtual) return undefined;
    const scrolled = () => setTop(element.scrollTop);
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => element.removeEventListener("scroll", scrolled);
  }, [isVirtual]);
  const first = isVirtual ? Math.max(0, Math.floor(top / ROW_PX) - SPARE_ROWS) : 0;
  const last = isVirtual ? Math.min(rows.length, first + Math.ceil(height / ROW_PX) + 2 * SPARE_ROWS) : rows.length;
  return (
    <div class="scroll" ref={box} style={isVirtual ? { maxHeight: `${height}px` } : {}} tabIndex={0} role="region" aria-label={label}>
      <table class={isVirtual ? "fixed" : ""} aria-rowcount={rows.length}>
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.name} scope="col" class={c.right ? "right" : ""} title={c.title}>
                {c.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && (
            <tr aria-hidden="true" style={{ height: `${first * ROW_PX}px` }}>
              <td colSpan={columns.length} />
            </tr>
          )}
          {rows.slice(first, last).map((row, n) => (
            <tr
              key={rowKey(row, first + n)}
              aria-rowindex={first + n + 1}
              class={open ? "opens" : ""}
              onClick={open ? (event) => !(event.target as Element).closest("a, button") && open(row) : undefined}
            >
              {columns.map((c) => (
                <td key={c.name} class={`${c.right ? "right" : ""} ${c.wide ? "wide" : ""}`}>
                  {c.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {last < rows.length && (
            <tr aria-hidden="true" style={{ height: `${(rows.length - last) * ROW_PX}px` }}>
              <td colSpan={columns.length} />
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

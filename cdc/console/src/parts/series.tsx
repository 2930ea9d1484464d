/** Changes over time, stacked by entity or kind, drawn by uPlot. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { rate } from "../format";

/** Red, amber and green mean something in this console; what only has to be told apart has none of them. */
export const COLOURS = ["#2f7ed8", "#8a63c9", "#1f9c9c", "#c06fa8", "#5d6d9e", "#6bb3dd", "#9a8478", "#b39ddb", "#8895a5"];

export interface Line {
  name: string;
  values: number[];
}

interface Given {
  seconds: number[];
  lines: Line[];
  unit: string;
  height?: number;
  /** A stretch of time that is meant, in seconds. */
  mark?: [number, number] | undefined;
  /** What is usual, drawn as a line across. */
  usual?: { value: number; text: string } | undefined;
}

export function Series({ seconds, lines, unit, height = 220, mark, usual }: Given) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const names = lines.map((line) => line.name).join("\n");

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const style = getComputedStyle(element);
    const ink = style.getPropertyValue("--quiet").trim() || "#667";
    const grid = { stroke: style.getPropertyValue("--line").trim() || "#ddd", width: 1 };
    const made = new uPlot(
      {
        width: element.clientWidth || 600,
        height,
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(0.1, high * 1.1, (usual?.value ?? 0) * 1.2)] } },
        axes: [
          { stroke: ink, grid, values: (_plot, ticks) => clockTicks(ticks) },
          { stroke: ink, grid, size: 56, values: (_plot, ticks) => ticks.map((t) => rate(t)) },
        ],
        legend: { live: false },
        cursor: { y: false },
        series: [{}, ...lines.map((line, n) => ({
          label: line.name,
          stroke: COLOURS[n % COLOURS.length] as string,
          fill: `${COLOURS[n % COLOURS.length]}55`,
          width: 1.25,
          points: { show: false },
        }))],
        bands: lines.slice(1).map((_, n) => ({ series: [n + 2, n + 1] as [number, number] })),
        hooks: { draw: [...(mark ? [(drawn: uPlot) => shade(drawn, mark)] : []), ...(usual ? [(drawn: uPlot) => across(drawn, usual.value, ink)] : [])] },
      },
      stacked(seconds, lines),
      element,
    );
    plot.current = made;
    const sized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      made.destroy();
    };
  }, [names, height, mark?.[0], mark?.[1], usual?.value, document.documentElement.dataset["theme"]]);

  useEffect(() => plot.current?.setData(stacked(seconds, lines)), [seconds, lines]);

  const newest = lines.map((line) => `${line.name} ${rate(line.values.at(-1) ?? 0)}`).join(", ");
  return (
    <>
      <div class="plot" ref={box} role="img" aria-label={`${unit} over time. Newest: ${newest || "none"}.`} />
      {(mark || usual) && (
        <p class="legend">
          {mark && (
            <>
              <i class="key mark" /> the incident{" "}
            </>
          )}
          {usual && (
            <>
              <i class="key dash" /> {usual.text}
            </>
          )}
        </p>
      )}
    </>
  );
}

/** Hours and minutes as on a clock of 24 hours, the day where it changes. */
function clockTicks(ticks: number[]): string[] {
  let day = "";
  const fine = (ticks[1] ?? 0) - (ticks[0] ?? 0) < 60;
  return ticks.map((tick) => {
    const at = new Date(tick * 1000);
    const today = at.toLocaleDateString("en", { month: "short", day: "numeric" });
    const text = at.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", ...(fine ? { second: "2-digit" } : {}), hourCycle: "h23" });
    const told = today === day ? text : `${text}\n${today}`;
    day = today;
    return told;
  });
}

function across(plot: uPlot, value: number, ink: string): void {
  const y = plot.valToPos(value, "y", true);
  plot.ctx.save();
  plot.ctx.strokeStyle = ink;
  plot.ctx.lineWidth = 1.5 * devicePixelRatio;
  plot.ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(plot.bbox.left, y);
  plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}

function stacked(seconds: number[], lines: Line[]): uPlot.AlignedData {
  const total = seconds.map(() => 0);
  return [seconds, ...lines.map((line) => line.values.map((value, n) => (total[n] = (total[n] ?? 0) + value)))];
}

function shade(plot: uPlot, [from, to]: [number, number]): void {
  const left = Math.max(plot.valToPos(from, "x", true), plot.bbox.left);
  const right = Math.min(plot.valToPos(to, "x", true), plot.bbox.left + plot.bbox.width);
  if (right < left) return;
  plot.ctx.fillStyle = "#d6333a22";
  plot.ctx.fillRect(left, plot.bbox.top, Math.max(2, right - left), plot.bbox.height);
}

/** Changes over time, stacked by entity or kind, drawn by uPlot. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { rate } from "../format";

export const COLOURS = ["#2f7ed8", "#e07b39", "#3aa675", "#a65fb8", "#c94f6d", "#8a8f3c", "#4aa8b5", "#7a6ff0", "#8c6d5a"];

export interface Line {
  name: string;
  values: number[];
}

export function Series({ seconds, lines, unit, height = 220, mark }: { seconds: number[]; lines: Line[]; unit: string; height?: number; mark?: [number, number] | undefined }) {
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
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [
          { stroke: ink, grid },
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
        hooks: { draw: mark ? [(drawn) => shade(drawn, mark)] : [] },
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
  }, [names, height, mark?.[0], mark?.[1]]);

  useEffect(() => plot.current?.setData(stacked(seconds, lines)), [seconds, lines]);

  const newest = lines.map((line) => `${line.name} ${rate(line.values.at(-1) ?? 0)}`).join(", ");
  return <div class="plot" ref={box} role="img" aria-label={`${unit} over time. Newest: ${newest || "none"}.`} />;
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

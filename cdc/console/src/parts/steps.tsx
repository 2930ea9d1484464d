/** The steps of an undo, and where one is. */

const STEPS = { plan: "Plan", apply: "Apply", verify: "Verify", done: "Done" };
export const STEP_OF: Record<string, keyof typeof STEPS> = { planned: "apply", writing: "apply", stopped: "apply", applied: "verify", differs: "verify", verified: "done" };

export function Steps({ now }: { now: keyof typeof STEPS }) {
  const names = Object.keys(STEPS) as (keyof typeof STEPS)[];
  const at = names.indexOf(now);
  return (
    <ol class="steps" aria-label="Steps">
      {names.map((name, n) => (
        <li key={name} class={n < at || now === "done" ? "past" : n === at ? "now" : ""} aria-current={n === at ? "step" : undefined}>
          {STEPS[name]}
        </li>
      ))}
    </ol>
  );
}

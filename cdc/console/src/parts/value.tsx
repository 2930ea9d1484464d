/** One field's value: unknown is never shown as null, and null never as empty. */

export function Value({ value, known = true }: { value: unknown; known?: boolean | undefined }) {
  if (!known) return <span class="unknown" title="Not known at this moment">unknown</span>;
  if (value === null || value === undefined) return <span class="null">null</span>;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text === "") return <span class="null">empty text</span>;
  return (
    <span class="value" title={text.length > 40 ? text : undefined}>
      {text}
    </span>
  );
}

import "./tables.css";

interface Props<T extends string> {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChoose: (value: T) => void;
}

/** A few choices side by side, of which one holds. */
export function Choice<T extends string>({ label, value, choices, onChoose }: Props<T>) {
  return (
    <div className="choice" role="group" aria-label={label}>
      {choices.map(([key, words]) => (
        <button key={key} type="button" aria-pressed={key === value} onClick={() => onChoose(key)}>
          {words}
        </button>
      ))}
    </div>
  );
}

export interface Question {
  title: string;
  text: string;
  action: string;
  danger: boolean;
  answer: (yes: boolean) => void;
}

let question: Question | null = null;
const listeners = new Set<() => void>();

function set(next: Question | null): void {
  question = next;
  listeners.forEach((listener) => listener());
}

export const questionStore = {
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
  snapshot: (): Question | null => question,
};

/** Ask before a command is given; one question at a time. */
export function confirm(words: Omit<Question, "answer">): Promise<boolean> {
  question?.answer(false);
  return new Promise((resolve) => {
    const answer = (yes: boolean) => {
      set(null);
      resolve(yes);
    };
    set({ ...words, answer });
  });
}

interface Words {
  title: string;
  text: string;
  action: string;
  danger: boolean;
}

/** An answer that is a yes; the reason is empty where none was given. */
export interface Yes {
  reason: string;
}

export interface Question extends Words {
  /** Whether a reason may be given, which is kept with the command. */
  reason: boolean;
  answer: (yes: Yes | null) => void;
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

function pose(words: Words, reason: boolean): Promise<Yes | null> {
  question?.answer(null);
  return new Promise((resolve) => {
    const answer = (yes: Yes | null) => {
      set(null);
      resolve(yes);
    };
    set({ ...words, reason, answer });
  });
}

/** Ask before something is done; one question at a time. */
export const confirm = async (words: Words): Promise<boolean> => (await pose(words, false)) !== null;

/** Ask before a command is given, and why; null where it is not to be given. */
export const confirmWhy = (words: Words): Promise<Yes | null> => pose(words, true);

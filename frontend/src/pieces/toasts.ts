export interface Toast {
  id: number;
  kind: "good" | "bad";
  title: string;
  text: string;
}

let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next;
  listeners.forEach((listener) => listener());
}

export const toastStore = {
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
  snapshot: (): readonly Toast[] => toasts,
  dismiss: (id: number): void => set(toasts.filter((toast) => toast.id !== id)),
};

/** Say something that passes. Errors stay long enough to be read, and at most four at a time. */
export function say(kind: Toast["kind"], title: string, text = ""): void {
  const id = (last += 1);
  set([...toasts.slice(-3), { id, kind, title, text }]);
  setTimeout(() => toastStore.dismiss(id), kind === "bad" ? 12_000 : 4_000);
}

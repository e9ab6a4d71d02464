import { address } from "../base";
import { StreamHub } from "./hub";
import type { Port } from "./hub";
import type { FromHub, ToHub } from "./messages";

const BEAT_MS = 30_000;

/** A tab's end of the stream. */
export interface Stream {
  close: () => void;
  /** The server answers again: take the stream up anew, as the old connection may be dead. */
  anew: () => void;
}

/** Join the browser's one stream, or open one of our own where the browser has no SharedWorker. */
export function joinStream(who: string, listen: (message: FromHub) => void): Stream {
  const url = address("api/tasks/subscribe");
  const take = (message: FromHub) => {
    if (message.kind === "lost") {
      hello();
      listen({ kind: "reset", reason: "asleep" }); // what passed meanwhile is not kept for us
    } else listen(message);
  };
  const send = typeof SharedWorker === "undefined" ? ownHub(take) : sharedHub(take);
  const hello = () => send({ kind: "hello", url, who });
  hello();
  const beat = setInterval(() => send({ kind: "beat" }), BEAT_MS);
  const bye = () => send({ kind: "bye" });
  const awake = () => {
    if (!document.hidden) send({ kind: "beat" });
  };
  const back = (event: PageTransitionEvent) => {
    if (event.persisted) hello(); // taken out of the back-forward cache
  };
  addEventListener("pagehide", bye);
  addEventListener("pageshow", back);
  document.addEventListener("visibilitychange", awake);
  document.addEventListener("resume", awake);
  return {
    anew: () => send({ kind: "anew" }),
    close: () => {
      clearInterval(beat);
      removeEventListener("pagehide", bye);
      removeEventListener("pageshow", back);
      document.removeEventListener("visibilitychange", awake);
      document.removeEventListener("resume", awake);
      bye();
    },
  };
}

function sharedHub(listen: (message: FromHub) => void): (message: ToHub) => void {
  const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "orakul-stream" });
  worker.port.onmessage = (event: MessageEvent<FromHub>) => listen(event.data);
  return (message) => worker.port.postMessage(message);
}

function ownHub(listen: (message: FromHub) => void): (message: ToHub) => void {
  const hub = new StreamHub((url) => new EventSource(url, { withCredentials: true }));
  const port: Port = { post: listen };
  return (message) => hub.receive(port, message);
}

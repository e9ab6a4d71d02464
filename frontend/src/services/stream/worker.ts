/** The hub in a SharedWorker: one stream for all tabs, and its JSON is read off the page's own thread. */
import { StreamHub } from "./hub";
import type { Port } from "./hub";
import type { ToHub } from "./messages";

const hub = new StreamHub((url) => new EventSource(url, { withCredentials: true }));

self.addEventListener("connect", (event) => {
  const channel = (event as MessageEvent).ports[0];
  if (!channel) return;
  const port: Port = { post: (message) => channel.postMessage(message) };
  channel.onmessage = (message: MessageEvent<ToHub>) => hub.receive(port, message.data);
});

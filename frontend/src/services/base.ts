/**
 * Where Orakul lives. The built script lies in `<prefix>/assets/`, so its own address tells the prefix that a proxy
 * has put before everything; while developing, Vite serves the sources from the root.
 */
export const BASE: string = import.meta.env.DEV && typeof self !== "undefined"
  ? new URL("/", self.location.href).href
  : new URL("../", import.meta.url).href;

export const address = (path: string): string => new URL(path, BASE).href;

// Runs before testharness.js in a runtime without pages: gives the test the globals that `wpt serve` and a page would.
// Reads globalThis.WPT = {url, title, scope: "window" | "worker", timeout, files: {path: text}}.
((g) => {
  const { url, scope, title, files } = g.WPT;
  const define = (name, value) => Object.defineProperty(g, name, { value, writable: true, configurable: true });
  const worker = scope === "worker";

  define("GLOBAL", { isWindow: () => !worker, isWorker: () => worker, isShadowRealm: () => false });
  if (title) define("META_TITLE", title);
  if (g.self !== g) define("self", g);
  if (!worker) {
    if (g.window !== g) define("window", g);
    if (!("Window" in g)) define("Window", Object.getPrototypeOf(g).constructor);   // idlharness asks for it
  }
  if (g.location?.href !== url) {
    const { href, origin, protocol, host, hostname, port, pathname, search, hash } = new URL(url);
    define("location", { href, origin, protocol, host, hostname, port, pathname, search, hash, toString: () => href });
    g.__setBaseURL?.(url);
  }

  // Without WebAssembly: a shared memory's buffer is all that these tests use it for, to get at SharedArrayBuffer where
  // pages do not have it. Any other use throws, as it would without this.
  if (typeof WebAssembly === "undefined" && typeof SharedArrayBuffer === "function") {
    class Memory {
      constructor({ initial, shared }) {
        if (!shared) throw new ReferenceError("WebAssembly is not defined");
        this.buffer = new SharedArrayBuffer(initial << 16);
      }
    }
    define("WebAssembly", { Memory });
  }

  const { fetch } = g;
  let knowsBase = false;
  try { knowsBase = new Request("").url === new URL("", url).href; } catch {}
  if (fetch && !knowsBase) {      // it gets absolute URLs
    define("fetch", (input, init) => fetch(typeof input === "string" ? new URL(input, url).href : input, init));
  } else if (!fetch && Object.keys(files).length > 0) {
    // No fetch: the harness reads the files that the test names, and nothing else can be had.
    define("fetch", async (input) => {
      const text = files[new URL(input, url).pathname];
      if (text === undefined) throw new TypeError(`the runner has no ${input}`);
      return { ok: true, status: 200, text: async () => text, json: async () => JSON.parse(text) };
    });
  }
})(globalThis);

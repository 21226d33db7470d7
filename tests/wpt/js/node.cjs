// Preloaded into Node.js, to hold it beside `we`: undici's classes, and a Worker with the web's interface.
//   node --expose-gc -r tests/wpt/js/node.cjs {script}       with UNDICI=path/to/node_modules/undici, or Node's own classes
const { Worker: Thread, parentPort, isMainThread } = require("node:worker_threads");
const { fileURLToPath } = require("node:url");

const define = (name, value) =>
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

if (process.env.UNDICI) {
  const undici = require(process.env.UNDICI);
  for (const name of ["WebSocket", "CloseEvent", "MessageEvent", "ErrorEvent", "WebSocketStream", "WebSocketError",
                      "EventSource", "fetch", "Headers", "Request", "Response", "FormData"]) {
    if (undici[name]) define(name, undici[name]);
  }
  globalThis.__setBaseURL = (url) => undici.setGlobalOrigin(url);
}
define("self", globalThis);
if (globalThis.gc === undefined) {
  require("node:v8").setFlagsFromString("--expose-gc");
  define("gc", require("node:vm").runInNewContext("gc"));
}

if (isMainThread) {
  define("Worker", class Worker extends EventTarget {
    #thread;
    constructor(url) {
      super();
      const { href } = new URL(url);
      this.#thread = new Thread(href.startsWith("file:") ? fileURLToPath(href) : new URL(href),
                                { execArgv: ["-r", __filename] });
      this.#thread.on("message", (data) => this.#emit(new MessageEvent("message", { data })));
      this.#thread.on("error", (error) => this.#emit(Object.assign(new Event("error"), { message: String(error) })));
    }
    #emit(event) {
      this[`on${event.type}`]?.(event);
      this.dispatchEvent(event);
    }
    postMessage(data) { this.#thread.postMessage(data); }
    terminate() { this.#thread.terminate(); }
  });
} else {
  define("postMessage", (data) => parentPort.postMessage(data));
  define("close", () => process.exit());
}

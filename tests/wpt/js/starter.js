// The main script of the worker scope: starts the test in a worker and prints what it posts.
// Reads globalThis.WORKER, the address of the script.
((g) => {
  let worker;
  try { worker = new Worker(g.WORKER); } catch { worker = new Worker(g.WORKER, { type: "module" }); }
  worker.onmessage = ({ data }) => {
    if (!String(data).startsWith("@wpt ")) return;
    console.log(data);
    if ("done" in JSON.parse(data.slice(5))) worker.terminate();
  };
  worker.onerror = (event) => {
    event.preventDefault?.();
    console.log("@wpt " + JSON.stringify({ error: String(event.message ?? event) }));
  };
})(globalThis);

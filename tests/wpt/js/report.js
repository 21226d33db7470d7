// Loaded after testharness.js: one line "@wpt {json}" for each subtest, and one at the end.
// A main script prints with console.log; a worker posts to its starter, which prints.
((g) => {
  const STATUS = ["PASS", "FAIL", "TIMEOUT", "NOTRUN", "PRECONDITION_FAILED"];
  const HARNESS = ["OK", "ERROR", "TIMEOUT", "PRECONDITION_FAILED"];
  const { scope, timeout: milliseconds } = g.WPT;
  const say = scope === "worker" ? g.postMessage.bind(g) : console.log.bind(console);
  const stringify = JSON.stringify;
  const tell = (record) => say(`@wpt ${stringify(record)}`);
  const told = new Set();
  const result = (test) => {
    if (told.has(test)) return;
    told.add(test);
    tell({ name: test.name, status: STATUS[test.status], message: test.message ?? undefined });
  };

  add_result_callback(result);
  add_completion_callback((tests, harness) => {
    tests.forEach(result);          // those that never finished
    tell({ done: HARNESS[harness.status], message: harness.message ?? undefined });
  });
  setTimeout(() => timeout(), milliseconds);    // the harness leaves its own time-out to pages
})(globalThis);

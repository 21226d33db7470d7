// One case of `make bench-javascript`: does something so many times and tells how long that took.
//
//     cases.js CASE COUNT URL
//
// Plain script with nothing but what the web has, so that every runtime can run it. Prints
// `RESULT milliseconds`, or nothing if this runtime cannot do the case.
(() => {
  const args = globalThis.scriptArgs ?? globalThis.Deno?.args ?? globalThis.process?.argv.slice(2);
  const [name, count, base] = args;
  const n = Number(count);
  const text = 'a message of a hundred bytes, such as '.repeat(3).slice(0, 100);
  const bytes = new TextEncoder().encode(text);

  const finish = (start) => console.log(`RESULT ${performance.now() - start}`);
  // Told apart from a result by the program that runs this.
  const give_up = (problem) => console.log(`FAILED ${problem}`);

  const open = (path, use) => {
    const socket = new WebSocket(base + path);
    socket.binaryType = 'arraybuffer';
    socket.onerror = () => give_up('the connection failed');
    socket.onopen = () => use(socket);
  };
  const finish_and_close = (socket, start) => {
    finish(start);
    socket.onerror = null;
    socket.close();
  };
  // `ahead` messages are under way; each answer brings the next.
  const echo = (message, ahead) => open('/echo', (socket) => {
    let sent = 0, received = 0;
    const start = performance.now();
    socket.onmessage = () => {
      received += 1;
      if (sent < n) {
        sent += 1;
        socket.send(message);
      } else if (received === n) {
        finish_and_close(socket, start);
      }
    };
    for (; sent < Math.min(ahead, n); sent += 1) socket.send(message);
  });

  const cases = {
    'dispatch an event': () => {
      const target = new EventTarget(), event = new Event('x');
      let calls = 0;
      target.addEventListener('x', () => { calls += 1; });
      const start = performance.now();
      for (let i = 0; i < n; i += 1) target.dispatchEvent(event);
      if (calls === n) finish(start);
    },
    'make and dispatch an event': () => {
      const target = new EventTarget();
      let calls = 0;
      target.addEventListener('x', () => { calls += 1; });
      const start = performance.now();
      for (let i = 0; i < n; i += 1) target.dispatchEvent(new MessageEvent('x', { data: i }));
      if (calls === n) finish(start);
    },
    'message through a port': () => {
      const { port1, port2 } = new MessageChannel();
      const start = performance.now();
      port2.onmessage = ({ data }) => port2.postMessage(data);
      port1.onmessage = ({ data }) => {
        if (data < n) return port1.postMessage(data + 1);
        finish(start);
        port1.close();
      };
      port1.postMessage(1);
    },
    'message to a worker and back': () => {
      const source = 'onmessage = ({ data }) => postMessage(data)';
      const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
      const worker = new Worker(url, { type: 'module' });
      let start;
      worker.onmessage = ({ data }) => {
        // The first one waits for the worker to start.
        if (data === 0) start = performance.now();
        if (data < n) return worker.postMessage(data + 1);
        finish(start);
        worker.terminate();
      };
      worker.postMessage(0);
    },
    'round trip 100 B': () => echo(text, 1),
    'echo, 64 ahead, text 100 B': () => echo(text, 64),
    'echo, 64 ahead, binary 100 B': () => echo(bytes, 64),
    'echo 1 MiB': () => echo(new Uint8Array(1 << 20).fill(7), 1),
    'receive 100 B': () => open(`/flood/${n}`, (socket) => {
      let received = 0;
      const start = performance.now();
      socket.onmessage = () => {
        received += 1;
        if (received === n) finish_and_close(socket, start);
      };
    }),
    'send 100 B': () => open(`/sink/${n}`, (socket) => {
      let sent = 0;
      const start = performance.now();
      socket.onmessage = () => finish_and_close(socket, start);
      const send = () => {
        for (; sent < n; sent += 1) {
          if (sent % 64 === 0 && socket.bufferedAmount > 4 << 20) return setTimeout(send, 0);
          socket.send(text);
        }
      };
      send();
    }),
    'open, echo, close': () => {
      let closed = 0;
      const start = performance.now();
      for (let i = 0; i < n; i += 1) {
        const socket = new WebSocket(base + '/echo');
        socket.onopen = () => socket.send(text);
        socket.onmessage = () => socket.close();
        socket.onclose = () => {
          closed += 1;
          if (closed === n) finish(start);
        };
      }
    },
  };
  cases[name]();
})();

// The client that `make autobahn` tests: asks a fuzzing server for its cases, and sends back what comes in each.
//
//     we run tests/autobahn/client.js ws://127.0.0.1:9001 agent
'use strict';
const [server, agent] = scriptArgs;

// Opens a socket that answers each message as `answer` does. Resolves with the last message when it has closed.
const session = (path, answer) =>
  new Promise(resolve => {
    let last;
    const socket = new WebSocket(`${server}/${path}`);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => {
      last = data;
      answer?.(socket, data);
    };
    socket.onclose = () => resolve(last);
  });

(async () => {
  const count = Number(await session('getCaseCount'));
  if (!(count > 0)) throw new Error('the server does not say how many cases there are');
  for (let number = 1; number <= count; number++) {
    await session(`runCase?case=${number}&agent=${agent}`, (socket, data) => socket.send(data));
  }
  await session(`updateReports?agent=${agent}`);
})();

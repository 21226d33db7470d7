// Three people talk in a room, each over a WebSocket of its own. Run by `cargo run --example chat`.
const [url] = scriptArgs;

const conversation = [
  ['Ada', 'Good evening. Who else is awake?'],
  ['Grace', 'I am. What are we on?'],
  ['Ada', 'An interpreter that talks to sockets.'],
  ['Edsger', 'Simplicity, please 🙂'],
  ['Grace', 'It is simple: new WebSocket(url).'],
];

class Guest extends WebSocket {
  #heard = 0;

  constructor(name) {
    super(`${url}?${encodeURIComponent(name)}`, 'chat');
    this.name = name;
    this.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.onclose = ({ code, reason }) => console.log(`(${name} left: ${code} ${reason})`);
  }

  // The conversation begins when all three are there; then each speaks when it is their turn.
  #hear({ from, text, present }) {
    if (from) {
      this.#heard++;
      if (this.name === 'Ada') console.log(`${from}: ${text}`);
    } else if (present < 3) {
      return;
    }
    const next = conversation[this.#heard];
    if (!next) this.close(1000, 'good night');
    else if (next[0] === this.name) this.send(next[1]);
  }
}

for (const name of ['Ada', 'Grace', 'Edsger']) new Guest(name);

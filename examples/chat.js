// Three people talk in a room, each over a WebSocket of its own. Run by `cargo run --example chat`.
const [url] = scriptArgs;

class Guest extends WebSocket {
  constructor(name, lines) {
    super(`${url}?${encodeURIComponent(name)}`, 'chat');
    this.name = name;
    this.lines = lines;
    this.addEventListener('message', ({ data }) => this.hear(JSON.parse(data)));
    this.addEventListener('close', ({ code, reason }) => console.log(`${name} left (${code} ${reason})`));
  }

  hear({ from, text, present }) {
    if (present === 3 || (from && from !== this.name)) this.speak();
    // Everyone hears everything; one of them keeps the minutes.
    if (from && this.name === 'Ada') console.log(`${from}: ${text}`);
  }

  speak() {
    const line = this.lines.shift();
    if (line) this.send(line);
    else if (this.readyState === WebSocket.OPEN) this.close(1000, 'good night');
  }
}

new Guest('Ada', ['Good evening.', 'An interpreter that talks to sockets!']);
new Guest('Grace', ['Hello Ada.', 'And a strict one.']);
new Guest('Edsger', ['Simplicity, please 🙂']);

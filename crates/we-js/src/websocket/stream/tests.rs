//! Streams against a peer in this process, whose behaviour the path of the URL chooses.
#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::{Notify, watch};
use we_net::{
    WebSocket,
    protocol::{CloseCode, CloseFrame, Config, Event},
    server::Server,
};

use crate::testing::{Agent, cases};

/// The size of the messages of `/flood`.
const PART: usize = 256 << 10;

/// How many there are.
const PARTS: usize = 256;

/// A peer. The path of a request says what it does:
///
/// - `/echo` sends every message back;
/// - `/flood` sends [`PARTS`] messages of [`PART`] bytes, and closes with 1000;
/// - `/blocked` waits until `/flood` cannot send on, and tells how many messages it had sent;
/// - `/stall` reads nothing until somebody connects to `/go`, then closes with 4000 when as many bytes as the path says
///   have come, and the number of messages as the reason;
/// - `/deliver/WAY` sends three messages and ends the connection: with a Close frame, or without (`drop`);
/// - `/large` sends a message of 2 MiB;
/// - `/hold` reads and says nothing.
#[derive(Default)]
struct Peer {
    /// How many messages had been sent when `/flood` was blocked.
    blocked: watch::Sender<Option<usize>>,
    go: Notify,
    /// The Close frames that came, as `CODE REASON`.
    closes: Mutex<Vec<String>>,
}

impl Peer {
    /// Runs a peer on a thread of its own, which ends with the process, and returns it with its URL.
    fn serve() -> (Arc<Self>, String) {
        let (tell, told) = mpsc::channel();
        let peer = Arc::<Self>::default();
        let shared = peer.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut config = Config::server();
                config.limits.max_message_size = 64 << 20;
                let acceptor = we_net::Acceptor::builder().config(config).build();
                let server = Server::builder().acceptor(acceptor);
                let server = server.bind("127.0.0.1:0").await.unwrap();
                tell.send(server.url()).unwrap();
                server
                    .serve(move |socket| {
                        let peer = shared.clone();
                        async move { peer.behave(socket).await }
                    })
                    .await;
            });
        });
        let url = told.recv().unwrap();
        (peer, url.trim_end_matches('/').to_owned())
    }

    async fn behave(&self, mut socket: WebSocket) {
        let resource = socket.negotiated().resource.clone();
        let mut words = resource.trim_start_matches('/').split('/');
        match words.next() {
            Some("flood") => self.flood(socket).await,
            Some("blocked") => {
                let mut blocked = self.blocked.subscribe();
                let sent = blocked.wait_for(Option::is_some).await.unwrap().unwrap();
                let _ = socket.send(sent.to_string()).await;
                socket.close(None).await;
            }
            Some("stall") => {
                self.go.notified().await;
                let expected = words.next().unwrap().parse().unwrap();
                let (mut bytes, mut messages) = (0, 0);
                while bytes < expected
                    && let Ok(Some(message)) = socket.next().await
                {
                    bytes += message.len();
                    messages += 1;
                }
                let code = CloseCode::try_from(4000).unwrap();
                let frame = CloseFrame::new(code, messages.to_string()).unwrap();
                socket.close(frame).await;
            }
            Some("go") => {
                self.go.notify_one();
                socket.close(None).await;
            }
            Some("deliver") => {
                for message in ["a", "b", "c"] {
                    let _ = socket.send(message).await;
                }
                socket.flush().await;
                if words.next() != Some("drop") {
                    socket.close(CloseFrame::from(CloseCode::NORMAL)).await;
                }
            }
            Some("large") => {
                let _ = socket.send(vec![0; 2 << 20]).await;
                while socket.next_event().await.is_some() {}
            }
            Some("hold") => {
                while let Some(event) = socket.next_event().await {
                    self.note(event);
                }
            }
            _ => {
                while let Ok(Some(message)) = socket.next().await {
                    if socket.send(message).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn flood(&self, mut socket: WebSocket) {
        for sent in 0..PARTS {
            if socket.send(vec![b'x'; PART]).await.is_err() {
                return;
            }
            // Not a wait for something to be true by then: who cannot send for so long counts as blocked.
            let patience = Duration::from_millis(700);
            if tokio::time::timeout(patience, socket.flush())
                .await
                .is_err()
            {
                self.note_blocked(sent);
                socket.flush().await;
            }
        }
        // It has never been.
        self.note_blocked(PARTS);
        socket.close(CloseFrame::from(CloseCode::NORMAL)).await;
    }

    fn note_blocked(&self, sent: usize) {
        self.blocked.send_if_modified(|blocked| {
            let is_first = blocked.is_none();
            blocked.get_or_insert(sent);
            is_first
        });
    }

    fn note(&self, event: Event) {
        if let Event::CloseReceived(frame) = event {
            let close = frame.map_or_else(
                || "none".to_owned(),
                |frame| format!("{} {}", u16::from(frame.code), &*frame.reason),
            );
            self.closes.lock().unwrap().push(close);
        }
    }
}

/// Runs an asynchronous function's body against a peer, which is `url`: what it returns, as a string.
fn run(url: &str, body: &str) -> String {
    let script = format!(
        "const url = '{url}';
         const outcome = async p => {{
             try {{ const {{ closeCode, reason }} = await p; return `${{closeCode}} ${{reason}}` }}
             catch (e) {{ return `${{e.constructor.name}} ${{e.closeCode}} ${{e.reason}}` }}
         }};
         const heard = url => new Promise((resolve, reject) => {{
             const ws = new WebSocket(url); let data;
             ws.onmessage = e => data = e.data; ws.onerror = reject; ws.onclose = () => resolve(data);
         }});
         (async () => {{ {body} }})()"
    );
    match Agent::new().eval(&script) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {body}"),
    }
}

#[test]
fn the_interfaces_have_the_shape_of_their_idl() {
    cases(&[
        ("String([WebSocketStream.length, WebSocketError.length])", "1,0"),
        ("Object.getOwnPropertyNames(WebSocketStream.prototype).sort().join()", "close,closed,constructor,opened,url"),
        ("Object.getOwnPropertyNames(WebSocketError.prototype).sort().join()", "closeCode,constructor,reason"),
        ("String(Object.getPrototypeOf(WebSocketError) === DOMException)", "true"),
        ("const e = new WebSocketError('m'); String([e instanceof DOMException, e instanceof Error, Object.prototype.toString.call(e), typeof e.stack])",
         "true,true,[object WebSocketError],string"),
        ("error(() => WebSocketStream('ws://localhost'))", "TypeError"),
        ("error(() => WebSocketError())", "TypeError"),
        ("error(() => new DOMException('', 'WebSocketError').closeCode.x)", "TypeError"),
        ("error(() => Object.getOwnPropertyDescriptor(WebSocketError.prototype, 'reason').get.call(new DOMException))", "TypeError"),
        ("rejection(Object.getOwnPropertyDescriptor(WebSocketStream.prototype, 'opened').get.call({}))", "TypeError"),
        ("rejection(Object.getOwnPropertyDescriptor(WebSocketStream.prototype, 'closed').get.call({}))", "TypeError"),
        // Conversions and checks, in the order of the members' names.
        ("const seen = []; const init = { get reason() { seen.push('reason') }, get closeCode() { seen.push('closeCode') } };
          new WebSocketError('', init); seen.join()", "closeCode,reason"),
        ("const seen = []; const options = { get signal() { seen.push('signal') }, get protocols() { seen.push('protocols') } };
          error(() => new WebSocketStream('x:', options)) + seen.join()", "SyntaxError 12protocols,signal"),
        ("error(() => new WebSocketError('', { closeCode: 65536 }))", "TypeError"),
        ("error(() => new WebSocketError('', { closeCode: NaN }))", "TypeError"),
        ("error(() => new WebSocketError('', { closeCode: 1001 }))", "InvalidAccessError 15"),
        ("error(() => new WebSocketError('', { reason: 'ä'.repeat(62) }))", "SyntaxError 12"),
        ("String(new WebSocketError('', { reason: 'ä'.repeat(61) + '\\ud800'.slice(1) }).closeCode)", "1000"),
        ("new WebSocketError('', { reason: '\\ud800' }).reason", "\u{fffd}"),
        ("error(() => new WebSocketStream('ws://localhost#f'))", "SyntaxError 12"),
        ("error(() => new WebSocketStream('ws://localhost', { protocols: ['a', 'a'] }))", "SyntaxError 12"),
        ("error(() => new WebSocketStream('ws://localhost', { protocols: 'a' }))", "TypeError"),
        ("error(() => new WebSocketStream('ws://localhost', { signal: null }))", "TypeError"),
        ("error(() => new WebSocketStream('ws://localhost', { signal: {} }))", "TypeError"),
        ("const e = structuredClone(new WebSocketError('m', { closeCode: 3000, reason: 'r' }));
          [e.constructor.name, e.name, e.message, e.closeCode, e.reason, e.code].join()", "WebSocketError,WebSocketError,m,3000,r,0"),
        ("String(structuredClone(new WebSocketError).closeCode)", "null"),
    ]);
}

#[test]
fn messages_travel_in_both_directions_in_order() {
    let (_, url) = Peer::serve();
    let body = "
        const wss = new WebSocketStream(url + '/echo');
        const same = wss.opened === wss.opened && wss.closed === wss.closed && wss.url === url + '/echo';
        const info = await wss.opened;
        const writer = info.writable.getWriter();
        const bytes = new Uint8Array([1, 2, 3, 4]);
        const chunks = ['text', '', bytes.subarray(1, 3), bytes.buffer, new DataView(bytes.buffer, 3), 7, '\\ud800', new Uint8Array(0)];
        const writing = Promise.all(chunks.map(chunk => writer.write(chunk)));
        const got = [];
        const reader = info.readable.getReader();
        while (got.length < chunks.length) {
            const { value } = await reader.read();
            got.push(typeof value === 'string' ? `'${value}'` : `${value.constructor.name}(${value})`);
        }
        await writing;
        await writer.close();
        const { done } = await reader.read();
        await Promise.all([writer.closed, reader.closed]);
        return [same, Object.keys(info).join(), ...got, done, await outcome(wss.closed)].join(' ');";
    assert_eq!(
        run(&url, body),
        "true extensions,protocol,readable,writable 'text' '' Uint8Array(2,3) Uint8Array(1,2,3,4) Uint8Array(4) '7' '\u{fffd}' \
         Uint8Array() true 1005 "
    );
}

/// The peer wants to send 64 MiB. What it gets rid of before anybody reads is what the network waits with (1 MiB) and what
/// fits into the system's buffers.
#[test]
fn a_reader_that_does_not_read_stops_the_peer() {
    let (_, url) = Peer::serve();
    let body = "
        const wss = new WebSocketStream(url + '/flood');
        const { readable } = await wss.opened;
        const sent = Number(await heard(url + '/blocked'));
        let count = 0;
        for await (const chunk of readable) count += chunk.length;
        return [sent, count, await outcome(wss.closed)].join();";
    let result = run(&url, body);
    let (sent, rest) = result.split_once(',').unwrap();
    assert_eq!(rest, format!("{},1000 ", PARTS * PART));
    let sent = sent.parse::<usize>().unwrap() * PART;
    println!("blocked after {} KiB", sent >> 10);
    assert!(sent <= 24 << 20, "{sent} bytes");
}

/// The script wants to send 64 MiB to a peer that does not read.
#[test]
fn a_peer_that_does_not_read_stops_the_writer() {
    let (_, url) = Peer::serve();
    let body = "
        const [size, total] = [64 << 10, 64 << 20];
        const wss = new WebSocketStream(url + '/stall/' + total);
        const { writable } = await wss.opened;
        const writer = writable.getWriter();
        let written = 0;
        const writing = (async () => {
            for (const chunk = new Uint8Array(size); written < total; written += size) await writer.write(chunk);
        })();
        // Until nothing has been written for a while; on a slow machine that may be too early, and then it is less.
        await new Promise(resolve => {
            let before = -1;
            const timer = setInterval(() => {
                if (written === before) { clearInterval(timer); resolve() }
                before = written;
            }, 500);
        });
        const [stalled, size_left] = [written, writer.desiredSize];
        let ready = false; writer.ready.then(() => ready = true);
        await null; await null; await null;
        const was_ready = ready;
        await heard(url + '/go');
        await writing;
        return [stalled, size_left, was_ready, written === total, await outcome(wss.closed)].join();";
    let result = run(&url, body);
    let (stalled, rest) = result.split_once(',').unwrap();
    assert_eq!(rest, "0,false,true,4000 1024");
    let stalled: usize = stalled.parse().unwrap();
    println!("stalled after {} KiB", stalled >> 10);
    assert!(stalled <= 24 << 20, "{stalled} bytes");
}

#[test]
fn a_loop_of_small_writes_leaves_room_for_other_tasks() {
    let (_, url) = Peer::serve();
    let body = "
        const wss = new WebSocketStream(url + '/hold');
        const { writable } = await wss.opened;
        const writer = writable.getWriter();
        let [ticks, on] = [0, true];
        const tick = () => { ticks++; if (on) setTimeout(tick) };
        setTimeout(tick);
        for (let i = 0; i < 3000; i++) await writer.write(i % 2 ? 'x' : '');
        on = false;
        wss.close();
        await wss.closed;
        return ticks > 2;";
    assert_eq!(run(&url, body), "true");
}

#[test]
fn what_was_not_read_survives_the_end_of_the_connection() {
    let (_, url) = Peer::serve();
    let body = "
        const wss = new WebSocketStream(url + '/deliver/close');
        const { readable, writable } = await wss.opened;
        const end = await outcome(wss.closed);
        const got = [];
        for await (const chunk of readable) got.push(chunk);
        return [end, ...got, await rejection(writable.getWriter().closed)].join();";
    assert_eq!(run(&url, body), "1000 ,a,b,c,InvalidStateError 11");
    let body = "
        const wss = new WebSocketStream(url + '/deliver/drop');
        const { readable, writable } = await wss.opened;
        const error = await wss.closed.catch(e => e);
        const got = [];
        let last;
        try { for await (const chunk of readable) got.push(chunk) } catch (e) { last = e }
        const of_writer = await writable.getWriter().closed.catch(e => e);
        return [await outcome(wss.closed), ...got, last === error, of_writer === error].join();";
    assert_eq!(run(&url, body), "WebSocketError 1006 ,a,b,c,true,true");
}

#[test]
fn closing_does_not_wait_for_a_reader() {
    let (_, url) = Peer::serve();
    for close in [
        "wss.close({ closeCode: 3000 })",
        "readable.cancel(new WebSocketError('', { closeCode: 3000 }))",
        "writable.abort(new WebSocketError('', { closeCode: 3000 }))",
    ] {
        let body = format!(
            "const wss = new WebSocketStream(url + '/flood');
             const {{ readable, writable }} = await wss.opened;
             await heard(url + '/blocked');
             await {close};
             return await outcome(wss.closed);"
        );
        assert_eq!(run(&url, &body), "1000 ", "{close}");
    }
}

#[test]
fn streams_close_with_the_code_of_a_websocket_error() {
    for (close, code) in [
        ("wss.close()", "none"),
        ("wss.close({ reason: 'r' })", "1000 r"),
        ("writable.close()", "none"),
        ("writable.abort('why')", "none"),
        (
            "writable.abort(new WebSocketError('m', { closeCode: 4001, reason: 'r' }))",
            "4001 r",
        ),
        ("readable.cancel({ closeCode: 4001 })", "none"),
        (
            "readable.cancel(new WebSocketError('m', { reason: 'r' }))",
            "1000 r",
        ),
        // The first one counts.
        (
            "(readable.cancel(new WebSocketError('m', { closeCode: 4002 })), wss.close({ closeCode: 4003 }))",
            "4002 ",
        ),
    ] {
        let (peer, url) = Peer::serve();
        let body = format!(
            "const wss = new WebSocketStream(url + '/hold');
             const {{ readable, writable }} = await wss.opened;
             await {close};
             await wss.closed;
             return await rejection(writable.getWriter().write('late'));"
        );
        let expected = match close {
            "writable.abort('why')" => "thrown why",
            "writable.close()" => "TypeError",
            _ if close.starts_with("writable.abort") => "WebSocketError 0",
            _ => "InvalidStateError 11",
        };
        assert_eq!(run(&url, &body), expected, "{close}");
        assert_eq!(*peer.closes.lock().unwrap(), [code], "{close}");
    }
}

#[test]
fn an_abort_ends_a_write_that_waits() {
    let (_, url) = Peer::serve();
    let body = "
        const size = 24 << 20;
        const wss = new WebSocketStream(url + '/stall/' + size);
        const { writable } = await wss.opened;
        const writer = writable.getWriter();
        const write = writer.write(new Uint8Array(1 << 20));
        const more = [];
        for (let i = 1; i < 24; i++) more.push(writer.write(new Uint8Array(1 << 20)));
        const rejected = rejection(more.at(-1));
        await write;
        await writer.abort('enough');
        const last = await rejected;
        // What the network had taken on goes out all the same, and then the Close frame.
        await heard(url + '/go');
        return [last, await outcome(wss.closed)].join();";
    let result = run(&url, body);
    assert!(result.starts_with("thrown enough,"), "{result}");
}

#[test]
fn a_chunk_that_cannot_be_converted_rejects_its_write() {
    let (_, url) = Peer::serve();
    for (chunk, error) in [
        ("Symbol()", "TypeError"),
        ("{ toString() { throw new RangeError } }", "RangeError"),
        ("new SharedArrayBuffer(1)", "TypeError"),
        (
            "new Uint8Array(new ArrayBuffer(1, { maxByteLength: 2 }))",
            "TypeError",
        ),
        // The conversion closes the connection.
        (
            "{ toString() { wss.close(); return '' } }",
            "InvalidStateError 11",
        ),
    ] {
        let body = format!(
            "const wss = new WebSocketStream(url + '/echo');
             const {{ readable, writable }} = await wss.opened;
             const error = await rejection(writable.getWriter().write({chunk}));
             wss.close();
             return [error, await outcome(wss.closed)].join();"
        );
        assert_eq!(run(&url, &body), format!("{error},1005 "), "{chunk}");
    }
}

/// The engine leaves the values of a call that failed on its stack, where the arguments of the next lie.
#[test]
fn a_conversion_that_throws_does_not_shift_arguments() {
    let (_, url) = Peer::serve();
    let body = "
        const wss = new WebSocketStream(url + '/echo');
        const { writable } = await wss.opened;
        const writer = writable.getWriter();
        const fail = x => { throw x };
        const list = (...args) => args;
        const bad = { toString() { return list(1, fail(2)) } };
        const args = list('a', writer.write(bad), 'b');
        await rejection(args[1]);
        wss.close();
        return [args.length, args[0], args[2]].join();";
    assert_eq!(run(&url, body), "3,a,b");
}

#[test]
fn a_message_that_is_too_large_for_the_script_ends_the_stream() {
    let (_, url) = Peer::serve();
    let body = "
        const wss = new WebSocketStream(url + '/large');
        const { readable } = await wss.opened;
        const error = await rejection(readable.getReader().read());
        return [error, await outcome(wss.closed)].join();";
    assert_eq!(run(&url, body), "RangeError,WebSocketError 1006 ");
}

#[test]
fn the_handshake_can_be_given_up() {
    let (_, url) = Peer::serve();
    let outcomes = "await rejection(wss.opened), await rejection(wss.closed)";
    for (how, expected) in [
        (
            "const wss = new WebSocketStream(url, { signal: AbortSignal.abort() });",
            "AbortError 20,AbortError 20",
        ),
        (
            "const c = new AbortController; const wss = new WebSocketStream(url, { signal: c.signal }); c.abort('x');",
            "thrown x,thrown x",
        ),
        (
            "const wss = new WebSocketStream(url); wss.close();",
            "WebSocketError 0,WebSocketError 0",
        ),
        (
            "const wss = new WebSocketStream('ws://localhost:1');",
            "WebSocketError 0,WebSocketError 0",
        ),
    ] {
        assert_eq!(
            run(&url, &format!("{how} return [{outcomes}].join();")),
            expected,
            "{how}"
        );
    }
    let body = "
        const c = new AbortController; const wss = new WebSocketStream(url, { signal: c.signal });
        const { readable, writable } = await wss.opened;
        c.abort();
        writable.getWriter().write('still here');
        const { value } = await readable.getReader().read();
        wss.close();
        return value;";
    assert_eq!(run(&url, body), "still here");
}

/// What a script has patched is not what the platform uses, and what `Object.prototype` can do may run anything.
#[test]
fn scripts_cannot_get_between() {
    let (_, url) = Peer::serve();
    let body = "
        for (const f of ['ReadableStream', 'WritableStream', 'Uint8Array', 'ArrayBuffer', 'DOMException']) delete globalThis[f];
        let wss;
        Object.defineProperty(Object.prototype, 'then', { configurable: true, get() { wss?.close(); wss.url; } });
        wss = new WebSocketStream(url + '/deliver/close');
        const info = await wss.opened;
        const closed = await outcome(wss.closed);
        delete Object.prototype.then;
        return [Object.keys(info).length, closed].join();";
    let result = run(&url, body);
    assert!(result.starts_with("4,"), "{result}");
}

/// A stream is a root as long as its connection lives, and garbage after that.
#[test]
fn what_is_closed_is_collected() {
    let (_, url) = Peer::serve();
    let mut agent = Agent::new();
    let script = format!(
        "globalThis.refs = [];
         globalThis.ended = 0;
         for (let i = 0; i < 30; i++) (async () => {{
             const wss = new WebSocketStream('{url}/echo', {{ signal: new AbortController().signal }});
             const {{ readable, writable }} = await wss.opened;
             refs.push(new WeakRef(wss), new WeakRef(readable), new WeakRef(writable));
             const writer = writable.getWriter();
             writer.write('x');
             const reader = readable.getReader();
             await reader.read();
             if (i % 3 === 0) writer.close(); else if (i % 3 === 1) reader.cancel(); else wss.close();
             await wss.closed;
             ended++;
         }})(); 0"
    );
    agent.eval(&script).unwrap();
    agent.context.clear_kept_objects();
    for _ in 0..3 {
        boa_gc::force_collect();
    }
    let report = "[ended, refs.length, refs.filter(ref => ref.deref()).length].join()";
    let report = agent.eval(report).unwrap();
    let alive = report.strip_prefix("30,90,").unwrap();
    // The last one's variables may still be on the engine's stack.
    assert!(alive.parse::<usize>().unwrap() <= 3, "{report}");
}

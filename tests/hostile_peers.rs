//! What hostile and unlucky peers do to `we echo` over real sockets, and what that may cost: it goes on
//! serving others, and its memory stays under [`BOUND`].
//!
//! The peers here are written by hand on plain sockets, since no client of ours would do such things.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Echo, wait};

/// What the process may have used of memory at any time, in KiB, beside the pages of its own program, whose number is nobody's
/// doing.
const BOUND: u64 = 52 << 10;

/// How long a peer waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// The bytes of a client's frame. The masking key is zero, so the payload stays as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

fn header(first: u8, len: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match len {
        0..=125 => bytes.push(0x80 | len as u8),
        126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

/// A client made by hand.
struct Peer(TcpStream);

impl Peer {
    fn connect(echo: &Echo) -> Self {
        Self::connect_with(echo, "")
    }

    fn connect_with(echo: &Echo, headers: &str) -> Self {
        let mut stream = TcpStream::connect(echo.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101 "),
            "{}",
            head.escape_ascii()
        );
        Self(stream)
    }

    /// Sends; a server that has had enough may have gone.
    fn send(&mut self, bytes: &[u8]) -> bool {
        match self.0.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                let gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                assert!(gone.contains(&error.kind()), "{error}");
                false
            }
        }
    }

    /// The next frame, or `None` at the end of the connection.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).ok()?;
        let extended = match header[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut len = [0; 8];
        self.0.read_exact(&mut len[8 - extended..]).unwrap();
        let len = match extended {
            0 => usize::from(header[1]),
            _ => u64::from_be_bytes(len) as usize,
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).unwrap();
        Some((header[0] & 0xF, payload))
    }

    #[track_caller]
    fn expect_close(&mut self, code: u16) {
        let (opcode, payload) = self.next().expect("a Close frame");
        assert_eq!((opcode, &payload[..2]), (CLOSE, &code.to_be_bytes()[..]));
        assert_eq!(self.next(), None);
    }
}

impl Echo {
    fn address(&self) -> &str {
        self.url
            .strip_prefix("ws://")
            .unwrap()
            .trim_end_matches('/')
    }

    /// A peer that behaves is served, and memory has stayed within its bound all the time.
    #[track_caller]
    fn is_well(&self) {
        let mut peer = Peer::connect(self);
        peer.send(&frame(FIN | TEXT, b"hello"));
        assert_eq!(peer.next(), Some((TEXT, b"hello".to_vec())));
        peer.send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes()));
        peer.expect_close(1000);
        let peak = self.peak();
        println!("peak memory: {peak} KiB");
        assert!(peak < BOUND, "{peak} KiB");
    }

    /// The most memory that the process has had, in KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = |name| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value = line.unwrap().trim().trim_end_matches(" kB");
            value.parse().unwrap()
        };
        kib("VmHWM:") - kib("RssFile:")
    }
}

#[test]
fn declared_lengths_cost_nothing() {
    let echo = Echo::start(&[]);
    let mut peer = Peer::connect(&echo);
    peer.send(&header(FIN | BINARY, 1 << 62));
    peer.expect_close(1009);
    // What is just allowed, declared often and never sent.
    let mut peers: Vec<Peer> = (0..200).map(|_| Peer::connect(&echo)).collect();
    for peer in &mut peers {
        peer.send(&header(FIN | BINARY, 16 << 20));
        peer.send(&[7; 100]);
    }
    echo.is_well();
}

#[test]
fn a_gigabyte_of_zeros_compressed_stops_at_the_limit() {
    let echo = Echo::start(&[]);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let bomb = deflated_zeros(1 << 30);
    assert!(bomb.len() < 8 << 20);
    let mut peer = Peer::connect_with(&echo, offer);
    if peer.send(&frame(FIN | RSV1 | BINARY, &bomb)) {
        peer.expect_close(1009);
    }
    echo.is_well();
}

/// DEFLATE with fixed codes: a zero, and then copies of it, 258 bytes for 13 bits.
fn deflated_zeros(len: usize) -> Vec<u8> {
    let copies = len / 258;
    // Not the last block, of fixed codes, with the literal 0. Then length 258 at distance 1, over
    // and over: 8 of them are 13 bytes.
    let head = "010".to_owned() + "00110000";
    let copy = "11000101".to_owned() + "00000";
    let pack = |bits: &str| -> Vec<u8> {
        let bits = bits.as_bytes().chunks(8);
        bits.map(|byte| {
            byte.iter()
                .rev()
                .fold(0, |byte, bit| byte << 1 | (bit - b'0'))
        })
        .collect()
    };
    let begin = pack(&(head + &copy.repeat(16)));
    let (first, cycle) = begin[..15].split_at(2);
    let mut bytes = first.to_vec();
    for _ in 0..copies / 8 {
        bytes.extend_from_slice(cycle);
    }
    bytes
}

#[test]
fn a_million_fragments_of_one_byte_are_cut_short() {
    let echo = Echo::start(&[]);
    let next = frame(0, b"x").repeat(1000);
    // One message without end.
    let mut peer = Peer::connect(&echo);
    peer.send(&frame(BINARY, b"x"));
    let sent = (0..1000).take_while(|_| peer.send(&next)).count();
    // If all was sent before the answer came, it can be read.
    if sent == 1000 {
        peer.expect_close(1008);
    }
    // A hundred messages that are allowed.
    let mut peer = Peer::connect(&echo);
    for _ in 0..100 {
        assert!(peer.send(&frame(BINARY, b"x")));
        (0..10).for_each(|_| assert!(peer.send(&next)));
        assert!(peer.send(&frame(FIN, b"x")));
        assert_eq!(peer.next(), Some((BINARY, vec![b'x'; 10_002])));
    }
    echo.is_well();
}

#[test]
fn a_million_pings_are_not_all_answered() {
    let echo = Echo::start(&[]);
    let mut peer = Peer::connect(&echo);
    let mut reader = Peer(peer.0.try_clone().unwrap());
    for thousand in 0..1000_u32 {
        let pings: Vec<u8> = (0..1000)
            .flat_map(|i| frame(FIN | PING, &(thousand * 1000 + i).to_be_bytes()))
            .collect();
        // Nothing is read until all is sent.
        assert!(peer.send(&pings));
    }
    let newest = 999_999_u32.to_be_bytes();
    let mut count = 0;
    loop {
        let (opcode, payload) = reader.next().expect("the newest Pong");
        assert_eq!(opcode, PONG);
        count += 1;
        if payload == newest {
            break;
        }
    }
    println!("{count} Pongs for 1,000,000 Pings");
    echo.is_well();
}

#[test]
fn a_peer_that_stops_reading_is_held_back() {
    let echo = Echo::start(&[]);
    let mut peer = Peer::connect(&echo);
    peer.0
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let message = frame(FIN | BINARY, &vec![7; 1 << 20]);
    let start = Instant::now();
    // The system's buffers take some; then nothing goes on.
    let mut sent = 0;
    while peer.0.write_all(&message).is_ok() {
        sent += 1;
        assert!(start.elapsed() < PATIENCE, "{sent} MiB taken");
    }
    println!("{sent} MiB taken");
    echo.is_well();
}

#[test]
fn connections_reset_in_the_middle_of_a_message_leave_nothing() {
    let echo = Echo::start(&[]);
    for _ in 0..50 {
        let mut peer = Peer::connect(&echo);
        peer.send(&header(FIN | BINARY, 16 << 20));
        peer.send(&vec![7; 4 << 20]);
        socket2::SockRef::from(&peer.0)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    echo.is_well();
}

#[test]
fn a_half_closed_connection_ends() {
    let echo = Echo::start(&[]);
    // Without a Close frame, and within a message.
    for bytes in [vec![], header(FIN | BINARY, 1000), frame(FIN | PING, b"")] {
        let mut peer = Peer::connect(&echo);
        peer.send(&bytes);
        peer.0.shutdown(Shutdown::Write).unwrap();
        while let Some((opcode, _)) = peer.next() {
            assert_eq!(opcode, PONG);
        }
    }
    // With one: it is answered.
    let mut peer = Peer::connect(&echo);
    peer.send(&frame(FIN | TEXT, b"last"));
    peer.send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes()));
    peer.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.next(), Some((TEXT, b"last".to_vec())));
    peer.expect_close(1000);
    echo.is_well();
}

#[test]
fn running_out_of_descriptors_refuses_newcomers_and_nobody_else() {
    let echo = Echo::start_by("ulimit -n 24; exec \"$@\"", &[]);
    let mut first = Peer::connect(&echo);
    // The system accepts them, the process cannot.
    let waiting: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(echo.address()).unwrap())
        .collect();
    for _ in 0..100 {
        first.send(&frame(FIN | TEXT, b"still here"));
        assert_eq!(first.next(), Some((TEXT, b"still here".to_vec())));
    }
    drop(waiting);
    echo.is_well();
}

/// Over a network that loses, delays and reorders packets, in a namespace of its own.
#[test]
fn messages_survive_a_bad_network() {
    let shape = "ip link set lo up && tc qdisc add dev lo root netem delay 5ms 5ms loss 5%";
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", script, "sh"]);
        command
    };
    match namespace(shape).output() {
        Ok(output) if output.status.success() => {}
        other => return println!("skipped: no network namespace or no netem here: {other:?}"),
    }
    let code = "const ws = new WebSocket(scriptArgs[0]); let next = 0, count = 200;
        const text = i => String(i).padEnd(i * 50, '.');
        ws.onopen = () => { for (let i = 0; i < count; i++) ws.send(text(i)); };
        ws.onmessage = e => {
            if (e.data !== text(next++)) throw new Error('out of order');
            if (next === count) ws.close(1000);
        };
        ws.onclose = e => console.log(next, e.code, e.wasClean);";
    // The server's number comes first on its output, then the line that says it listens.
    let server = "sh -c 'echo $$; exec \"$0\" echo --listen 127.0.0.1:9001' \"$1\"";
    let client = "\"$1\" eval \"$2\" ws://127.0.0.1:9001";
    let script = format!(
        "{shape} && {server} | {{ read pid; read line; {client}; code=$?; kill $pid; exit $code; }}"
    );
    let mut child = namespace(&script)
        .args([env!("CARGO_BIN_EXE_we"), code])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = wait(&mut child).expect("an end");
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert!(status.success(), "{out}");
    assert!(out.contains("200 1000 true"), "{out}");
}

//! Runs the frame vectors of `fixtures/frames` (see the README there).

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate};
use we_net::protocol::{Config, Connection, Event, FrameHeader, Message, OpCode, Role, Rsv, State};

use crate::support::{assert_failed, events, written_frames};

struct Case {
    name: String,
    role: Role,
    limit: Option<usize>,
    deflate: Option<DeflateParams>,
    bytes: Vec<u8>,
    header: Option<String>,
    events: Vec<String>,
}

#[test]
fn vectors_hold_whole_and_byte_by_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/frames");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "txt") {
            cases.extend(parse(&std::fs::read_to_string(path).unwrap()));
        }
    }
    assert!(cases.len() >= 115, "only {} cases found", cases.len());
    for case in &cases {
        check_header(case);
        check_events(case, case.bytes.len());
        check_events(case, 1);
    }
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        if key == "case" {
            cases.push(Case {
                name: value.to_owned(),
                role: Role::Client,
                limit: None,
                deflate: None,
                bytes: Vec::new(),
                header: None,
                events: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a case first");
        match (key, value) {
            ("to", "client") => case.role = Role::Client,
            ("to", "server") => case.role = Role::Server,
            ("limit", limit) => case.limit = Some(limit.parse().unwrap()),
            ("deflate", parameter @ ("" | "server_no_context_takeover")) => {
                case.deflate = Some(DeflateParams {
                    server_no_context_takeover: !parameter.is_empty(),
                    ..DeflateParams::default()
                });
            }
            ("hex", hex) => case.bytes.extend(parse_hex(hex)),
            ("header", header) => case.header = Some(header.to_owned()),
            ("event", event) => case.events.push(event.to_owned()),
            _ => panic!("{}: what is {line:?}?", case.name),
        }
    }
    cases
}

fn parse_hex(hex: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in hex.split_whitespace() {
        let (digits, times) = word.split_once('*').unwrap_or((word, "1"));
        let part: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect(word))
            .collect();
        bytes.extend(part.repeat(times.parse().expect(word)));
    }
    bytes
}

fn check_header(case: &Case) {
    let Some(expected) = &case.header else { return };
    let (header, len) = FrameHeader::parse(&case.bytes)
        .unwrap()
        .unwrap_or_else(|| panic!("{}: no whole header", case.name));
    assert_eq!(&show_header(&header), expected, "{}", case.name);
    assert_eq!(*header.encode(), case.bytes[..len], "{}", case.name);
    for cut in 0..len {
        let part = FrameHeader::parse(&case.bytes[..cut]);
        assert_eq!(part, Ok(None), "{} cut at {cut}", case.name);
    }
}

fn show_header(header: &FrameHeader) -> String {
    let mut out = String::new();
    if header.fin {
        out.push_str("fin ");
    }
    for (bit, name) in [
        (Rsv::RSV1, "rsv1 "),
        (Rsv::RSV2, "rsv2 "),
        (Rsv::RSV3, "rsv3 "),
    ] {
        if header.rsv.contains(bit) {
            out.push_str(name);
        }
    }
    out.push_str(match header.opcode {
        OpCode::Continuation => "continuation",
        OpCode::Text => "text",
        OpCode::Binary => "binary",
        OpCode::Close => "close",
        OpCode::Ping => "ping",
        OpCode::Pong => "pong",
    });
    if let Some(key) = header.mask {
        write!(out, " mask={:08x}", u32::from_be_bytes(key.to_bytes())).unwrap();
    }
    write!(out, " len={}", header.payload_len).unwrap();
    out
}

fn check_events(case: &Case, chunk: usize) {
    let now = Instant::now();
    let mut config = Config::default();
    if let Some(limit) = case.limit {
        config.limits.max_message_size = limit;
    }
    let mut connection = Connection::new(case.role, config);
    if let Some(params) = &case.deflate {
        let deflate = PerMessageDeflate::new(case.role, &DeflateConfig::default(), params);
        connection = connection.with_extension(Box::new(deflate));
    }
    for chunk in case.bytes.chunks(chunk) {
        connection.receive(now, chunk);
    }
    let mut expected = case.events.as_slice();
    let mut failure = None;
    if let Some((last, before)) = expected.split_last() {
        if let Some(code) = last.strip_prefix("fail ") {
            failure = Some(code.parse().unwrap());
            expected = before;
        } else if last == "nothing" {
            expected = before;
        }
    }
    let events = events(&mut connection);
    let name = &case.name;
    assert_eq!(
        events.len(),
        expected.len(),
        "{name}, chunk {chunk}: {events:?}"
    );
    for (event, expected) in events.iter().zip(expected) {
        assert!(
            is(event, expected),
            "{name}, chunk {chunk}: {event:?} is not {expected}"
        );
    }
    match failure {
        Some(code) => assert_failed(&mut connection, now, code),
        None => check_answer(case, &mut connection, &events, now),
    }
}

/// A connection that has not failed answers the peer's Close frame with the same body, and goes on
/// if there was none.
fn check_answer(case: &Case, connection: &mut Connection, events: &[Event], now: Instant) {
    let name = &case.name;
    let written = written_frames(connection, now);
    let closes: Vec<_> = written
        .iter()
        .filter(|frame| frame.opcode == OpCode::Close)
        .collect();
    let Some(Event::CloseReceived(frame)) = events.last() else {
        assert!(!connection.wants_shutdown(), "{name}: failed");
        assert!(closes.is_empty(), "{name}: {closes:?}");
        assert_eq!(connection.state(), State::Open, "{name}");
        return;
    };
    let expected = frame.as_ref().map_or_else(Vec::new, |frame| {
        [&frame.code.get().to_be_bytes(), frame.reason.as_bytes()].concat()
    });
    assert_eq!(closes.len(), 1, "{name}: {closes:?}");
    assert_eq!(closes[0].payload, expected, "{name}");
    assert_eq!(written.last(), Some(closes[0]), "{name}");
}

fn is(event: &Event, expected: &str) -> bool {
    let (kind, value) = expected.split_once(' ').unwrap_or((expected, ""));
    match (event, kind) {
        (Event::Message(Message::Text(text)), "text") => **text == unquote(value),
        (Event::Message(Message::Binary(bytes)), "binary")
        | (Event::Ping(bytes), "ping")
        | (Event::Pong(bytes), "pong") => **bytes == *parse_hex(value),
        (Event::CloseReceived(None), "close") => value == "none",
        (Event::CloseReceived(Some(frame)), "close") => {
            let (code, reason) = value.split_once(' ').expect(value);
            frame.code.get().to_string() == code && *frame.reason == unquote(reason)
        }
        _ => false,
    }
}

/// The string of a quoted literal with the escapes `\0` and `\u{…}`.
fn unquote(quoted: &str) -> String {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .expect(quoted);
    let mut out = String::new();
    let mut rest = inner;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        if let Some(after) = escape.strip_prefix('0') {
            out.push('\0');
            rest = after;
        } else {
            let (digits, after) = escape
                .strip_prefix("u{")
                .and_then(|digits| digits.split_once('}'))
                .expect(quoted);
            let code = u32::from_str_radix(digits, 16).expect(quoted);
            out.push(char::from_u32(code).expect(quoted));
            rest = after;
        }
    }
    out + rest
}

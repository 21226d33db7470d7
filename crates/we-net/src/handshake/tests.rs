//! Runs the vectors of `fixtures/handshakes/`, whole and cut at every byte, and what cannot be said
//! in a vector.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const RESPONSES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/handshakes/responses.txt"
));
const REQUESTS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/handshakes/requests.txt"
));

/// The nonce of RFC 6455 section 1.3.
const NONCE: [u8; 16] = *b"the sample nonce";

/// One case of a vector file; the format is described beside the files.
#[derive(Default)]
struct Case<'a> {
    name: &'a str,
    ask: Vec<&'a str>,
    offer: Vec<&'a str>,
    expect: &'a str,
    message: Vec<u8>,
}

fn cases(file: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in file
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name,
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().unwrap();
        if let Some(value) = line.strip_prefix("expect: ") {
            case.expect = value;
        } else if let Some(value) = line.strip_prefix("ask: ") {
            case.ask = value.split(", ").collect();
        } else if let Some(value) = line.strip_prefix("offer: ") {
            case.offer = value.split(", ").collect();
        } else if let Some(text) = line.strip_prefix('>') {
            case.message
                .extend(message_line(text.strip_prefix(' ').unwrap_or(text)));
        } else {
            panic!("{}: cannot read {line:?}", case.name);
        }
    }
    assert!(cases.iter().all(|case| !case.expect.is_empty()));
    cases
}

/// A line of a message with its escapes undone and its CRLF.
fn message_line(text: &str) -> Vec<u8> {
    let (text, end) = match text.strip_suffix('\\') {
        Some(text) => (text, &b""[..]),
        None => (text, &b"\r\n"[..]),
    };
    let mut line = Vec::new();
    let mut rest = text;
    while let Some((before, repeated)) = rest.split_once('{') {
        let (repeated, after) = repeated.split_once('}').unwrap();
        let (unit, times) = repeated.rsplit_once('*').unwrap();
        line.extend(unescape(before));
        line.extend(unescape(unit).repeat(times.parse().unwrap()));
        rest = after;
    }
    line.extend(unescape(rest));
    line.extend(end);
    line
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.to_string().as_bytes());
            continue;
        }
        out.push(match chars.next().unwrap() {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("unknown escape \\{other}"),
        });
    }
    out
}

/// Hands `bytes` to `receive` in two pieces; what follows the head in the second piece is left to
/// `leftover`.
fn in_pieces<T, E>(
    bytes: &[u8],
    cuts: &[usize],
    mut receive: impl FnMut(&[u8]) -> Result<Option<T>, E>,
    leftover: impl Fn(&mut T) -> &mut Vec<u8>,
) -> Result<Option<T>, E> {
    let mut start = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let (piece, rest) = bytes[start..].split_at(end - start);
        start = end;
        if let Some(mut done) = receive(piece)? {
            leftover(&mut done).extend(rest);
            return Ok(Some(done));
        }
    }
    Ok(None)
}

fn read_response(
    case: &Case<'_>,
    message: &[u8],
    cuts: &[usize],
) -> Result<Option<Accepted>, HandshakeError> {
    let url = WebSocketUrl::parse("ws://server.example.com/chat", None).unwrap();
    let mut handshake = ClientHandshake::new(&url)
        .with_nonce(NONCE)
        .with_subprotocols(case.ask.clone())
        .unwrap();
    for offer in &case.offer {
        handshake = handshake.with_extension(ExtensionHeader::new(*offer).unwrap());
    }
    let mut reader = handshake.into_reader();
    in_pieces(
        message,
        cuts,
        |piece| reader.receive(piece),
        |done| &mut done.leftover,
    )
}

fn read_request(message: &[u8], cuts: &[usize]) -> Result<Option<ServerRequest>, Rejection> {
    let mut reader = RequestReader::new(HeadLimits::default());
    in_pieces(
        message,
        cuts,
        |piece| reader.receive(piece),
        |done| &mut done.leftover,
    )
}

/// Where to cut a message: at every byte, or at some bytes of a long one.
fn cuts_of(message: &[u8]) -> impl Iterator<Item = usize> {
    (0..message.len()).step_by(1 + message.len() / 500)
}

#[test]
fn responses_come_out_as_their_vectors_say() {
    for case in cases(RESPONSES) {
        let name = case.name;
        let result = read_response(&case, &case.message, &[]);
        match (
            &result,
            case.expect.split_once(' ').unwrap_or((case.expect, "")),
        ) {
            (Ok(Some(accepted)), ("open", details)) => {
                let mut expected = Vec::new();
                if let Some(subprotocol) = &accepted.subprotocol {
                    expected.push(format!("subprotocol={subprotocol}"));
                }
                if !accepted.extensions.is_empty() {
                    expected.push(format!(
                        "extensions={}",
                        ExtensionHeader::format_list(&accepted.extensions)
                    ));
                }
                if !accepted.leftover.is_empty() {
                    expected.push(format!("leftover={}", accepted.leftover.escape_ascii()));
                }
                assert_eq!(expected.join(" "), details, "{name}");
            }
            (Err(error), ("fail", words)) => {
                assert!(error.to_string().contains(words), "{name}: {error}");
                assert!(!error.to_string().contains('\n'), "{name}: {error}");
            }
            (Ok(None), ("wait", "")) => {}
            _ => panic!("{name}: {result:?}"),
        }
        for cut in cuts_of(&case.message) {
            assert_eq!(
                read_response(&case, &case.message, &[cut]),
                result,
                "{name} cut at {cut}"
            );
        }
        let every: Vec<usize> = (0..case.message.len()).collect();
        assert_eq!(
            read_response(&case, &case.message, &every),
            result,
            "{name} byte by byte"
        );
    }
}

#[test]
fn requests_come_out_as_their_vectors_say() {
    for case in cases(REQUESTS) {
        let name = case.name;
        let result = read_request(&case.message, &[]);
        match (
            &result,
            case.expect.split_once(' ').unwrap_or((case.expect, "")),
        ) {
            (Ok(Some(request)), ("open", details)) => {
                for detail in details.split('|').filter(|detail| !detail.is_empty()) {
                    let (what, expected) = detail.split_once('=').unwrap();
                    let found = match what {
                        "resource" => request.resource.clone(),
                        "host" => request.host.clone(),
                        "origin" => request.origin.clone().unwrap(),
                        "subprotocols" => request.subprotocols.join(","),
                        "extensions" => ExtensionHeader::format_list(&request.extensions),
                        "leftover" => request.leftover.escape_ascii().to_string(),
                        other => panic!("{name}: unknown detail {other}"),
                    };
                    assert_eq!(found, expected, "{name}: {what}");
                }
            }
            (Err(rejection), (status, words)) => {
                assert_eq!(
                    rejection.status().to_string(),
                    status,
                    "{name}: {rejection}"
                );
                assert!(rejection.to_string().contains(words), "{name}: {rejection}");
            }
            (Ok(None), ("wait", "")) => {}
            _ => panic!("{name}: {result:?}"),
        }
        for cut in cuts_of(&case.message) {
            assert_eq!(
                read_request(&case.message, &[cut]),
                result,
                "{name} cut at {cut}"
            );
        }
        let every: Vec<usize> = (0..case.message.len()).collect();
        assert_eq!(
            read_request(&case.message, &every),
            result,
            "{name} byte by byte"
        );
    }
}

fn handshake(url: &str) -> ClientHandshake {
    ClientHandshake::new(&WebSocketUrl::parse(url, None).unwrap()).with_nonce(NONCE)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_request_has_every_header_in_the_order_of_the_standard() {
    let request = handshake("wss://server.example.com:8443/chat?x=1")
        .with_origin("http://example.com")
        .unwrap()
        .with_subprotocols(["chat", "superchat"])
        .unwrap()
        .with_extension(
            ExtensionHeader::new("permessage-deflate")
                .unwrap()
                .with_param("client_max_window_bits", None)
                .unwrap(),
        )
        .with_header("Cookie", "a=b")
        .unwrap()
        .request();
    assert_eq!(
        text(request),
        "GET /chat?x=1 HTTP/1.1\r\n\
         Host: server.example.com:8443\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: http://example.com\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: chat, superchat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         Cookie: a=b\r\n\
         \r\n"
    );
}

#[test]
fn url_credentials_become_basic_authorization() {
    let request = text(handshake("ws://Aladdin:open%20sesame@h/").request());
    assert!(
        request.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nHost: h\r\n"), "{request}");
}

#[test]
fn every_key_is_new() {
    let url = WebSocketUrl::parse("ws://h/", None).unwrap();
    let keys: std::collections::HashSet<_> = (0..100)
        .map(|_| ClientHandshake::new(&url).request())
        .collect();
    assert_eq!(keys.len(), 100);
}

#[test]
fn line_breaks_never_reach_the_request() {
    for bad in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"] {
        assert!(handshake("ws://h/").with_origin(bad).is_err(), "{bad:?}");
        assert!(
            handshake("ws://h/").with_subprotocols([bad]).is_err(),
            "{bad:?}"
        );
        assert!(
            handshake("ws://h/").with_header("X", bad).is_err(),
            "{bad:?}"
        );
        assert!(
            handshake("ws://h/").with_header(bad, "x").is_err(),
            "{bad:?}"
        );
    }
    let request = text(handshake("ws://h/a\r\nX-Evil: 1\r\n\r\n?\r\n").request());
    assert_eq!(request.matches("\r\n\r\n").count(), 1, "{request}");
    assert!(!request.contains("\r\nX-Evil"), "{request}");
}

#[test]
fn line_breaks_never_reach_the_response() {
    let request = ServerRequestFixture::parse("a");
    assert!(request.accept().with_header("X", "a\r\nX-Evil: 1").is_err());
    assert!(request.accept().with_header("X\r\nY", "a").is_err());
    assert!(request.accept().with_subprotocol("a\r\nX-Evil: 1").is_err());
    assert!(Rejection::new(404, "x").with_header("X", "a\nb").is_err());
    // The text of a rejection is the body: it may hold anything, its length is declared.
    let rejection = text(Rejection::new(404, "a\r\n\r\nb").to_bytes());
    assert!(
        rejection.ends_with("\r\nContent-Length: 7\r\n\r\na\r\n\r\nb\n"),
        "{rejection}"
    );
}

#[test]
fn headers_of_the_handshake_itself_cannot_be_set() {
    for name in [
        "Host",
        "upgrade",
        "CONNECTION",
        "Sec-WebSocket-Key",
        "Content-Length",
        "Origin",
    ] {
        assert_eq!(
            handshake("ws://h/").with_header(name, "x").unwrap_err(),
            HeaderError::Reserved(name.to_owned())
        );
    }
}

#[test]
fn subprotocols_are_tokens_and_differ() {
    for (names, ok) in [
        (&["chat"][..], true),
        (&["a", "b"], true),
        (&[], true),
        (&[""], false),
        (&["a b"], false),
        (&["a,b"], false),
        (&["a/b"], false),
        (&["\u{e9}"], false),
        (&["a", "a"], false),
        (&["echo", "Echo"], false),
    ] {
        assert_eq!(check_subprotocols(names).is_ok(), ok, "{names:?}");
    }
}

#[test]
fn an_end_of_the_connection_says_how_far_it_came() {
    let mut reader = handshake("ws://h/").into_reader();
    assert_eq!(
        reader.receive_eof(),
        HandshakeError::Ended { started: false }
    );
    assert_eq!(reader.receive(b"HTTP/1.1 101"), Ok(None));
    assert_eq!(
        reader.receive_eof(),
        HandshakeError::Ended { started: true }
    );
}

struct ServerRequestFixture;

impl ServerRequestFixture {
    /// A proper request for `subprotocols` (a list) that offers the extension `x`.
    fn parse(subprotocols: &str) -> ServerRequest {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: x; y\r\nSec-WebSocket-Protocol: {subprotocols}\r\n\r\n"
        );
        RequestReader::new(HeadLimits::default())
            .receive(request.as_bytes())
            .unwrap()
            .unwrap()
    }
}

#[test]
fn the_response_of_rfc_6455_section_1_3() {
    let request = ServerRequestFixture::parse("chat, superchat");
    let response = request
        .accept()
        .with_subprotocol("chat")
        .unwrap()
        .with_extension(ExtensionHeader::new("x").unwrap())
        .unwrap()
        .with_header("Set-Cookie", "a=b")
        .unwrap()
        .to_bytes();
    assert_eq!(
        text(response),
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: chat\r\n\
         Sec-WebSocket-Extensions: x\r\n\
         Set-Cookie: a=b\r\n\
         \r\n"
    );
}

#[test]
fn a_server_accepts_only_what_was_asked_for() {
    let request = ServerRequestFixture::parse("a, b");
    let x = ExtensionHeader::new("x").unwrap();
    assert!(request.accept().with_subprotocol("c").is_err());
    assert!(
        request
            .accept()
            .with_extension(ExtensionHeader::new("z").unwrap())
            .is_err()
    );
    assert!(
        request
            .accept()
            .with_extension(x.clone())
            .unwrap()
            .with_extension(x)
            .is_err()
    );
    assert!(
        request
            .accept()
            .with_header("Sec-WebSocket-Accept", "x")
            .is_err()
    );
    assert_eq!(request.choose_subprotocol(&["c", "b", "a"]), Some("a"));
    assert_eq!(request.choose_subprotocol(&["c"]), None);
    assert_eq!(request.choose_subprotocol::<&str>(&[]), None);
}

#[test]
fn rejections_carry_the_headers_that_their_status_wants() {
    for (reason, start) in [
        (
            RejectionReason::Method,
            "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nAllow: GET\r\n",
        ),
        (
            RejectionReason::Version,
            "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade, close\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        ),
        (
            RejectionReason::Origin,
            "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain",
        ),
    ] {
        let response = text(Rejection::from(reason).to_bytes());
        assert!(response.starts_with(start), "{response}");
    }
    let response = text(
        Rejection::new(401, "who are you?")
            .with_header("WWW-Authenticate", "Basic realm=\"x\"")
            .unwrap()
            .to_bytes(),
    );
    assert!(
        response.contains("\r\nWWW-Authenticate: Basic"),
        "{response}"
    );
    assert_eq!(Rejection::new(101, "").status(), 500);
}

#[test]
fn both_halves_understand_each_other() {
    let handshake = handshake("ws://h/x").with_subprotocols(["a", "b"]).unwrap();
    let request = RequestReader::new(HeadLimits::default())
        .receive(&handshake.request())
        .unwrap()
        .unwrap();
    let response = request.accept().with_subprotocol("b").unwrap().to_bytes();
    let accepted = handshake.into_reader().receive(&response).unwrap().unwrap();
    assert_eq!(accepted.subprotocol.as_deref(), Some("b"));
    assert_eq!(accepted.leftover, b"");
}

/// Bytes that look enough like a message to get past the first checks now and then.
fn message_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"HTTP/1.1 101 x\r\n".to_vec()),
        Just(b"HTTP/1.1 100 x\r\n\r\n".to_vec()),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"Host: h\r\n".to_vec()),
        Just(b"Upgrade: websocket\r\n".to_vec()),
        Just(b"Connection: Upgrade\r\n".to_vec()),
        Just(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".to_vec()),
        Just(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n".to_vec()),
        Just(b"Sec-WebSocket-Version: 13\r\n".to_vec()),
        Just(b"Sec-WebSocket-Extensions: ".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        prop::collection::vec(prop::sample::select(&b"\r\n \t:;,=\"\\\0a1\xff"[..]), 0..8),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_the_same_result(
        message in message_like(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.sort_unstable();
        let case = Case { offer: vec!["a"], ..Case::default() };
        prop_assert_eq!(read_response(&case, &message, &cuts), read_response(&case, &message, &[]));
        prop_assert_eq!(read_request(&message, &cuts), read_request(&message, &[]));
    }

    #[test]
    fn any_extension_list_is_refused_or_survives_a_round_trip(value in "[ab1;=,\" \\\\\t]{0,40}") {
        if let Ok(list) = ExtensionHeader::parse_list([value.as_bytes()]) {
            let formatted = ExtensionHeader::format_list(&list);
            prop_assert_eq!(ExtensionHeader::parse_list([formatted.as_bytes()]), Ok(list));
        }
    }

    #[test]
    fn any_string_is_refused_or_becomes_a_url_that_can_be_asked_for(
        input in prop_oneof![any::<String>(), "(ws|http)s?:/{0,3}[a-z0-9\\[\\]:@.%#?/ \r\n\0]{0,20}"],
    ) {
        if let Ok(url) = WebSocketUrl::parse(&input, None) {
            let request = ClientHandshake::new(&url).request();
            let parsed = RequestReader::new(HeadLimits::default()).receive(&request);
            prop_assert!(matches!(parsed, Ok(Some(_))), "{:?}: {:?}", url, parsed);
        }
    }
}

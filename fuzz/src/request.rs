//! What a client asks of a server in its opening handshake, and what the server writes then.

use we_net::handshake::{HeadLimits, OriginPolicy, Rejection, RequestReader, ServerRequest};

const LIMITS: HeadLimits = HeadLimits {
    max_bytes: 800,
    max_headers: 12,
};

pub fn run(data: &[u8]) {
    let whole = read(data, &mut std::iter::once(data));
    let in_pieces = read(data, &mut super::pieces(data));
    assert_eq!(whole, in_pieces);
    match whole {
        Ok(Some(request)) => check(&request, data),
        Ok(None) => assert!(data.len() <= LIMITS.max_bytes, "waits for ever"),
        Err(answer) => {
            assert!(answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 5"));
            check_head(&answer);
        }
    }
}

fn read(
    data: &[u8],
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Option<ServerRequest>, Vec<u8>> {
    let mut reader = RequestReader::new(LIMITS);
    let mut read = 0;
    for piece in pieces {
        read += piece.len();
        match reader.receive(piece) {
            Ok(None) => {}
            Ok(Some(mut request)) => {
                request.leftover.extend_from_slice(&data[read..]);
                return Ok(Some(request));
            }
            Err(rejection) => return Err(Rejection::to_bytes(&rejection)),
        }
    }
    Ok(None)
}

fn check(request: &ServerRequest, data: &[u8]) {
    // Empty lines before a request are skipped (RFC 9112 section 2.2).
    let empty = data.iter().take_while(|byte| b"\r\n".contains(byte));
    assert!(data[empty.count()..].starts_with(b"GET "));
    assert!(request.resource.starts_with('/'));
    assert!(data.ends_with(&request.leftover));
    let foreign = OriginPolicy::SameHost.allows(Some("https://foreign.example"), &request.host);
    assert!(
        !foreign
            || request
                .host
                .to_ascii_lowercase()
                .starts_with("foreign.example")
    );
    let _ = OriginPolicy::SameHost.allows(request.origin.as_deref(), &request.host);

    // Whatever was asked for, the answer has the lines that it should have and no others.
    let mut response = request.accept();
    let mut lines = 5;
    let spoken: Vec<_> = request.subprotocols.iter().take(1).collect();
    if let Some(name) = request.choose_subprotocol(&spoken) {
        response = response.with_subprotocol(name).expect("asked for");
        lines += 1;
    }
    if let Some(extension) = request.extensions.first() {
        response = response.with_extension(extension.clone()).expect("offered");
        lines += 1;
    }
    let bytes = response.to_bytes();
    assert!(bytes.starts_with(b"HTTP/1.1 101 "));
    check_head(&bytes);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), lines);
}

/// CR and LF stand only together, and an empty line ends the head.
fn check_head(bytes: &[u8]) {
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("an end");
    let head = &bytes[..end + 4];
    for (at, byte) in head.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(head[at + 1], b'\n'),
            b'\n' => assert_eq!(head[at - 1], b'\r'),
            byte => assert!(*byte == b'\t' || *byte >= b' ', "{byte:#x} in a header"),
        }
    }
}

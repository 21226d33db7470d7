//! URLs as scripts write them, and what becomes of them on the wire.

use we_net::handshake::{ClientHandshake, HeadLimits, RequestReader, WebSocketUrl};

pub fn run(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else {
        return;
    };
    // A base before the first line end, or none.
    let (base, input) = input.split_once('\n').unwrap_or(("", input));
    let base = WebSocketUrl::parse(base, None).ok();
    let base = base.as_ref().map(WebSocketUrl::as_url);
    let Ok(url) = WebSocketUrl::parse(input, base) else {
        return;
    };
    assert_eq!(WebSocketUrl::parse(url.as_str(), None).as_ref(), Ok(&url));
    assert!(
        url.as_str()
            .starts_with(if url.is_secure() { "wss://" } else { "ws://" })
    );
    assert!(!url.as_str().contains('#'));
    assert!(url.resource_name().starts_with('/'));
    for text in [url.resource_name(), url.host_header(), url.origin()] {
        assert!(
            text.bytes().all(|byte| (b'!'..0x7F).contains(&byte)),
            "{text:?}"
        );
    }

    // Our own server reads the request as it was meant.
    let request = ClientHandshake::new(&url).request();
    let limits = HeadLimits {
        max_bytes: 1 << 20,
        ..HeadLimits::default()
    };
    let request = RequestReader::new(limits).receive(&request);
    let request = request.expect("a proper request").expect("a whole one");
    assert_eq!(request.resource, url.resource_name());
    assert_eq!(request.host, url.host_header());
    assert!(request.leftover.is_empty());
}

//! The same handshake over HTTP/2: an extended CONNECT request and its answer as values, in both
//! roles.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc8441#section-5>. What HTTP/1.1 says with `Upgrade`,
//! `Connection`, `Host` and the key is said by the pseudo-header fields and by the stream itself; all
//! other rules are those of [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-4), by the same
//! code.

use h2::ext::Protocol;
use hyper::body::Bytes;
use hyper::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    request,
};

use super::client::{Accepted, ClientHandshake};
use super::error::{HandshakeError, HeadError, HeaderError};
use super::head::HeadLimits;
use super::headers::{Headers, Lookup};
use super::rejection::{Rejection, RejectionReason};
use super::server::{AcceptResponse, ServerRequest, Wishes, has_body, host_of, resource_of};
use super::{VERSION, is_reserved};

/// What `:protocol` says.
const WEBSOCKET: &str = "websocket";

/// The client's request. `secure` says whether its URL is one of `wss:`.
pub(crate) fn request(
    handshake: &ClientHandshake,
    secure: bool,
) -> Result<Request<()>, HeaderError> {
    let uri = Uri::builder()
        .scheme(if secure { "https" } else { "http" })
        .authority(handshake.host())
        .path_and_query(handshake.resource())
        .build()
        .map_err(|_| HeaderError::Value(":path".to_owned()))?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    request
        .extensions_mut()
        .insert(Protocol::from_static(WEBSOCKET));
    let mut result = Ok(());
    handshake.each_field(|name, value| {
        if let Err(error) = append(request.headers_mut(), name, value) {
            result = Err(error);
        }
    });
    result.map(|()| request)
}

/// The headers of an answer.
pub(crate) fn answer_headers(
    fields: &HeaderMap,
    limits: HeadLimits,
) -> Result<Headers, HandshakeError> {
    Ok(headers(fields, limits)?)
}

/// The check of a complete answer.
pub(crate) fn check_answer(
    handshake: &ClientHandshake,
    status: StatusCode,
    headers: Headers,
) -> Result<Accepted, HandshakeError> {
    handshake.check_stream(status.as_u16(), headers)
}

/// The check of a request as a server gets it.
pub(crate) fn check_request(
    head: &request::Parts,
    limits: HeadLimits,
) -> Result<ServerRequest, RejectionReason> {
    // https://www.rfc-editor.org/rfc/rfc8441#section-4
    let protocol = head.extensions.get::<Protocol>().map(Protocol::as_str);
    match protocol {
        None if head.method == Method::CONNECT => return Err(RejectionReason::Tunnel),
        None => return Err(RejectionReason::NoExtendedConnect),
        // <https://www.rfc-editor.org/rfc/rfc9220#section-3>: 501.
        Some(protocol) if protocol != WEBSOCKET => return Err(RejectionReason::Protocol),
        Some(_) => {}
    }
    let mut headers = headers(&head.headers, limits).map_err(RejectionReason::Head)?;
    let authority = head.uri.authority().ok_or(RejectionReason::Host)?.as_str();
    let host = host_of(authority.as_bytes()).ok_or(RejectionReason::Host)?;
    // https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1: `Host` must not say something else.
    match headers.lookup("host") {
        Lookup::None => {}
        Lookup::One(value) if value.eq_ignore_ascii_case(host.as_bytes()) => {}
        Lookup::One(_) | Lookup::Many => return Err(RejectionReason::Host),
    }
    if !matches!(head.uri.scheme_str(), Some("http" | "https")) {
        return Err(RejectionReason::Scheme);
    }
    let path = head.uri.path_and_query().ok_or(RejectionReason::Target)?;
    let resource = resource_of(path.as_str()).ok_or(RejectionReason::Target)?;
    if headers.single("sec-websocket-version") != Some(VERSION.as_bytes()) {
        return Err(RejectionReason::Version);
    }
    if has_body(&headers) {
        return Err(RejectionReason::Body);
    }
    join_cookies(&mut headers);
    let Wishes {
        origin,
        subprotocols,
        extensions,
    } = Wishes::of(&headers)?;
    Ok(ServerRequest {
        resource,
        host,
        origin,
        key: String::new(),
        subprotocols,
        extensions,
        headers,
        leftover: Vec::new(),
    })
}

/// The answer that opens a WebSocket.
pub(crate) fn accept(accept: &AcceptResponse<'_>) -> Result<Response<()>, HeaderError> {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    let mut result = Ok(());
    accept.each_field(|name, value| {
        if let Err(error) = append(response.headers_mut(), name, value) {
            result = Err(error);
        }
    });
    result.map(|()| response)
}

/// The answer that opens none, and its body.
pub(crate) fn reject(rejection: &Rejection) -> (Response<()>, Bytes) {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    // 426 goes with `Upgrade`, which HTTP/2 does not know.
    // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.22
    let status = match rejection.status() {
        426 => 400,
        status => status,
    };
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert("content-type", text);
    match rejection.reason() {
        RejectionReason::Version => {
            headers.insert("sec-websocket-version", HeaderValue::from_static(VERSION));
        }
        RejectionReason::NoExtendedConnect => {
            headers.insert("allow", HeaderValue::from_static("CONNECT"));
        }
        _ => {}
    }
    for field in rejection.headers().iter() {
        // Checked when it was added; what no header can be is not worth the answer.
        let _ = append(headers, field.name(), field.value());
    }
    let body = format!("{}\n", rejection.reason());
    (response, body.into())
}

/// Adds a field. The compression of headers must not remember secrets.
/// <https://www.rfc-editor.org/rfc/rfc7541#section-7.1.3>
fn append(fields: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), HeaderError> {
    let key =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))?;
    let mut value =
        HeaderValue::from_bytes(value).map_err(|_| HeaderError::Value(name.to_owned()))?;
    value.set_sensitive(!is_known(&key));
    fields
        .try_append(key, value)
        .map_err(|_| HeaderError::Value(name.to_owned()))?;
    Ok(())
}

/// Of the others nobody knows what their values are: a cookie, an operator's token.
fn is_known(name: &HeaderName) -> bool {
    is_reserved(name.as_str()) || name == "user-agent"
}

/// The fields, if there are not too many. How long they may be together is for the connection to
/// mind.
fn headers(fields: &HeaderMap, limits: HeadLimits) -> Result<Headers, HeadError> {
    if fields.len() > limits.max_headers {
        return Err(HeadError::TooManyHeaders {
            limit: limits.max_headers,
        });
    }
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers
            .append(name.as_str(), value.as_bytes())
            .map_err(|_| HeadError::Syntax("a header field is malformed"))?;
    }
    Ok(headers)
}

/// Makes one field of the pieces that `Cookie` may be cut into for the compression.
/// <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3>
fn join_cookies(headers: &mut Headers) {
    let pieces: Vec<&[u8]> = headers.values("cookie").collect();
    if pieces.len() > 1 {
        let joined = pieces.join(&b"; "[..]);
        headers.remove("cookie");
        // Made of values, so it is one.
        let _ = headers.append("cookie", joined);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::handshake::{ExtensionHeader, WebSocketUrl};

    fn handshake(url: &str) -> ClientHandshake {
        ClientHandshake::new(&WebSocketUrl::parse(url, None).unwrap())
    }

    fn head(request: Request<()>) -> request::Parts {
        request.into_parts().0
    }

    #[test]
    fn a_request_says_what_it_says_over_http1_and_no_more() {
        let handshake = handshake("wss://u:p@h:8443/a?b")
            .with_origin("https://o")
            .unwrap()
            .with_subprotocols(["x", "y"])
            .unwrap()
            .with_extension(ExtensionHeader::new("e").unwrap())
            .with_header("X-Mine", "1")
            .unwrap();
        let request = request(&handshake, true).unwrap();
        assert_eq!(request.method(), Method::CONNECT);
        assert_eq!(request.uri(), "https://h:8443/a?b");
        let protocol = request.extensions().get::<Protocol>().unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "authorization",
                "origin",
                "sec-websocket-extensions",
                "sec-websocket-protocol",
                "sec-websocket-version",
                "x-mine"
            ]
        );
        let secrets = request.headers().iter().filter(|(_, v)| v.is_sensitive());
        let mut secrets: Vec<_> = secrets.map(|(name, _)| name.as_str()).collect();
        secrets.sort_unstable();
        assert_eq!(secrets, ["authorization", "x-mine"]);
        let seen = check_request(&head(request), HeadLimits::default()).unwrap();
        assert_eq!((&*seen.resource, &*seen.host), ("/a?b", "h:8443"));
        assert_eq!(seen.origin.as_deref(), Some("https://o"));
        assert_eq!(seen.subprotocols, ["x", "y"]);
    }

    #[test]
    fn an_answer_goes_back_to_who_has_asked() {
        let client = handshake("ws://h/").with_subprotocols(["x"]).unwrap();
        let request = request(&client, false).unwrap();
        assert_eq!(request.uri().scheme_str(), Some("http"));
        let request = check_request(&head(request), HeadLimits::default()).unwrap();
        let answer = request.accept().with_subprotocol("x").unwrap();
        let answer = accept(&answer.with_header("Set-Cookie", "a=b").unwrap()).unwrap();
        let headers = answer_headers(answer.headers(), HeadLimits::default()).unwrap();
        let accepted = check_answer(&client, answer.status(), headers).unwrap();
        assert_eq!(accepted.subprotocol.as_deref(), Some("x"));
        assert_eq!(accepted.headers.single("set-cookie"), Some(&b"a=b"[..]));
    }

    #[test]
    fn the_pieces_of_a_cookie_are_joined() {
        let mut request = request(&handshake("ws://h/"), false).unwrap();
        for piece in ["a=b", "c=d"] {
            let value = HeaderValue::from_static(piece);
            request.headers_mut().append("cookie", value);
        }
        let seen = check_request(&head(request), HeadLimits::default()).unwrap();
        assert_eq!(seen.headers.single("cookie"), Some(&b"a=b; c=d"[..]));
    }

    #[test]
    fn what_goes_with_http1_only_is_left_out() {
        let upgrade = Rejection::new(426, "x").with_header("X-Hint", "1").unwrap();
        let (response, body) = reject(&upgrade);
        assert_eq!((response.status().as_u16(), &*body), (400, &b"x\n"[..]));
        assert_eq!(response.headers()["x-hint"], "1");
        assert!(!response.headers().contains_key("upgrade"));
    }
}

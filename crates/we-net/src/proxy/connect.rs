//! The tunnel of an HTTP proxy, as a value: `CONNECT` out, the proxy's answer in.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6>.

use std::fmt;

use super::{Login, ProxyError, Step};
use crate::handshake::{HeadKind, HeadLimits, HeadReader, ResponseHead};

/// A request for a tunnel.
pub(crate) struct Connect {
    request: Option<Vec<u8>>,
    head: HeadReader,
    limits: HeadLimits,
    logged_in: bool,
}

impl fmt::Debug for Connect {
    /// Shows no bytes: there may be credentials among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("head", &self.head)
            .field("logged_in", &self.logged_in)
            .finish_non_exhaustive()
    }
}

impl Connect {
    /// Asks for a tunnel to `host` (a name or address as a URL writes it) and `port`.
    pub(crate) fn new(host: &str, port: u16, login: Option<&Login>, limits: HeadLimits) -> Self {
        // The target has the authority form: always with a port. A URL's host has no character that
        // could break a line.
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(login) = login {
            // At once: the proxy is the operator's choice, and asking first costs a connection.
            request.push_str(&format!("Proxy-Authorization: {}\r\n", login.basic()));
        }
        request.push_str("\r\n");
        Self {
            request: Some(request.into_bytes()),
            head: HeadReader::new(HeadKind::Response, limits),
            limits,
            logged_in: login.is_some(),
        }
    }

    /// Takes in what the proxy has sent; begin with nothing.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Step, ProxyError> {
        let mut rest = bytes;
        while let Some(taken) = self.head.receive(rest)? {
            rest = rest.get(taken..).unwrap_or_default();
            let response = ResponseHead::parse(self.head.head(), self.limits)?;
            match response.status {
                // Interim answers; 101 is none here.
                100 | 102..=199 => self.head.next_head(),
                // Content-Length and Transfer-Encoding mean nothing in it.
                200..=299 if rest.is_empty() => return Ok(Step::Open),
                // Servers of WebSocket, HTTP and TLS wait for the client.
                200..=299 => return Err(ProxyError::EarlyData),
                407 => {
                    return Err(ProxyError::Login {
                        sent: self.logged_in,
                    });
                }
                status => {
                    return Err(ProxyError::Refused {
                        status,
                        reason: response.reason,
                    });
                }
            }
        }
        Ok(match self.request.take() {
            Some(request) => Step::Send(request),
            None => Step::Wait,
        })
    }

    /// The error that an end of the connection at this point is.
    pub(crate) fn receive_eof(&self) -> ProxyError {
        ProxyError::Ended {
            started: !self.head.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn connect(login: Option<&Login>) -> Connect {
        Connect::new("h.example", 443, login, HeadLimits::default())
    }

    fn login() -> Login {
        Login {
            user: b"Aladdin".to_vec(),
            password: b"open sesame".to_vec(),
        }
    }

    /// What the negotiation says to `answer`, given whole and then byte by byte.
    fn answered(answer: &[u8]) -> Result<Step, String> {
        let mut whole = connect(Some(&login()));
        whole.receive(b"").unwrap();
        let at_once = whole.receive(answer).map_err(|error| error.to_string());
        let mut pieces = connect(Some(&login()));
        pieces.receive(b"").unwrap();
        for (index, byte) in answer.iter().enumerate() {
            match pieces.receive(&[*byte]).map_err(|error| error.to_string()) {
                Ok(Step::Wait) => {}
                end => {
                    // Cut into bytes, an open tunnel is seen before what follows.
                    if index + 1 == answer.len() {
                        assert_eq!(end, at_once);
                    }
                    return at_once;
                }
            }
        }
        assert_eq!(at_once, Ok(Step::Wait));
        at_once
    }

    #[test]
    fn the_request_names_host_and_port_and_logs_in() {
        let Step::Send(bare) = connect(None).receive(b"").unwrap() else {
            panic!("nothing to send")
        };
        assert_eq!(
            bare,
            b"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n"
        );
        let Step::Send(with_login) = connect(Some(&login())).receive(b"").unwrap() else {
            panic!("nothing to send")
        };
        let text = String::from_utf8(with_login).unwrap();
        // The example of RFC 7617.
        assert!(
            text.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
            "{text}"
        );
    }

    #[test]
    fn any_2xx_opens_the_tunnel() {
        for answer in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
            "HTTP/1.1 204\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(answered(answer.as_bytes()), Ok(Step::Open), "{answer}");
        }
    }

    #[test]
    fn everything_else_is_an_error_that_says_what_to_do() {
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(1 << 17));
        let many = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(1000));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
        for (answer, problem) in [
            ("HTTP/1.1 407 Who?\r\n\r\n", "refuses the user name"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "status 403 (Forbidden)"),
            ("HTTP/1.1 502\r\n\r\n", "status 502;"),
            ("HTTP/1.1 101 Switching\r\n\r\n", "status 101"),
            ("HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n", "status 301"),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "before anything was asked"),
            ("\x05\x00", "is it an HTTP proxy?"),
            ("SSH-2.0-OpenSSH\r\n", "is it an HTTP proxy?"),
            ("HTTP/1.1 200 OK\n\n", "is it an HTTP proxy?"),
            (&endless, "is it an HTTP proxy?"),
            (&many, "is it an HTTP proxy?"),
            (&interim, "is it an HTTP proxy?"),
        ] {
            let error = answered(answer.as_bytes()).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        let mut stranger = connect(None);
        stranger.receive(b"").unwrap();
        let error = stranger.receive(b"HTTP/1.1 407 Who?\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("user:password@host"), "{error}");
        assert!(
            stranger
                .receive_eof()
                .to_string()
                .contains("middle of its answer")
        );
    }
}

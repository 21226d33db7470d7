//! The tunnel of a SOCKS5 proxy, as a value.
//!
//! Follows [RFC 1928](https://www.rfc-editor.org/rfc/rfc1928), with the user name and password of
//! [RFC 1929](https://www.rfc-editor.org/rfc/rfc1929). The answers are of a few hundred bytes at
//! most, whatever their lengths say.

use std::net::IpAddr;

use super::{Login, ProxyError, Step};

const VERSION: u8 = 5;
const METHOD_NONE: u8 = 0;
const METHOD_PASSWORD: u8 = 2;
const METHOD_REFUSED: u8 = 0xff;
/// Of the negotiation of RFC 1929, not of SOCKS.
const PASSWORD_VERSION: u8 = 1;
const COMMAND_CONNECT: u8 = 1;
const ADDRESS_IPV4: u8 = 1;
const ADDRESS_NAME: u8 = 3;
const ADDRESS_IPV6: u8 = 4;

/// What a SOCKS5 proxy says no with, or how its answer is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocksError {
    /// The first byte is not the version.
    #[error("{}", version_advice(*.0))]
    Version(u8),
    /// It has chosen a way to log in that was not offered.
    #[error("it wants to log in by method {0}, which was not offered")]
    Method(u8),
    /// The answer to user name and password has another version.
    #[error("its answer to the user name and password is malformed")]
    LoginAnswer,
    /// It did not reach the server ([section 6](https://www.rfc-editor.org/rfc/rfc1928#section-6)).
    #[error("it did not connect to the server: {reason}", reason = reply(*.0))]
    Reply(u8),
    /// The address in its answer is of no known kind.
    #[error("its answer has an address of the unknown kind {0}")]
    AddressKind(u8),
    /// A name that does not fit the one byte of its length.
    #[error("the server's name is longer than the 255 bytes that SOCKS5 can carry")]
    NameTooLong,
}

/// Where the tunnel is to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Address(IpAddr),
    Name(String),
}

/// A request for a tunnel.
#[derive(Debug)]
pub(crate) struct Socks5 {
    phase: Phase,
    request: Vec<u8>,
    login: Option<Login>,
    /// Of the answer that is awaited, what has arrived.
    received: Vec<u8>,
    started: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Method,
    Login,
    Reply,
}

impl Socks5 {
    pub(crate) fn new(
        target: &Target,
        port: u16,
        login: Option<&Login>,
    ) -> Result<Self, SocksError> {
        let mut request = vec![VERSION, COMMAND_CONNECT, 0];
        match target {
            Target::Address(IpAddr::V4(address)) => {
                request.push(ADDRESS_IPV4);
                request.extend(address.octets());
            }
            Target::Address(IpAddr::V6(address)) => {
                request.push(ADDRESS_IPV6);
                request.extend(address.octets());
            }
            Target::Name(name) => {
                let len = u8::try_from(name.len()).map_err(|_| SocksError::NameTooLong)?;
                request.extend([ADDRESS_NAME, len]);
                request.extend(name.as_bytes());
            }
        }
        request.extend(port.to_be_bytes());
        Ok(Self {
            phase: Phase::Start,
            request,
            login: login.cloned(),
            received: Vec::new(),
            started: false,
        })
    }

    /// Takes in what the proxy has sent; begin with nothing.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Step, ProxyError> {
        self.started |= !bytes.is_empty();
        self.received.extend_from_slice(bytes);
        // Not more than what an answer can be long is kept: the caller reads a bounded piece, and a
        // byte too many is an error.
        match self.phase {
            Phase::Start => {
                self.phase = Phase::Method;
                Ok(Step::Send(match self.login {
                    Some(_) => vec![VERSION, 2, METHOD_NONE, METHOD_PASSWORD],
                    None => vec![VERSION, 1, METHOD_NONE],
                }))
            }
            Phase::Method => self.on_method(),
            Phase::Login => self.on_login(),
            Phase::Reply => self.on_reply(),
        }
    }

    /// The error that an end of the connection at this point is.
    pub(crate) fn receive_eof(&self) -> ProxyError {
        ProxyError::Ended {
            started: self.started,
        }
    }

    /// <https://www.rfc-editor.org/rfc/rfc1928#section-3>
    fn on_method(&mut self) -> Result<Step, ProxyError> {
        self.check_version()?;
        let &[_, method, ref rest @ ..] = self.received.as_slice() else {
            return Ok(Step::Wait);
        };
        match (method, &self.login) {
            (METHOD_NONE | METHOD_PASSWORD, _) if !rest.is_empty() => Err(ProxyError::EarlyData),
            (METHOD_NONE, _) => {
                self.received.clear();
                self.phase = Phase::Reply;
                Ok(Step::Send(std::mem::take(&mut self.request)))
            }
            (METHOD_PASSWORD, Some(login)) => {
                let mut message = vec![PASSWORD_VERSION];
                for part in [&login.user, &login.password] {
                    // 255 at most: checked when the proxy was named.
                    message.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                    message.extend(part.iter().take(255));
                }
                self.received.clear();
                self.phase = Phase::Login;
                Ok(Step::Send(message))
            }
            (METHOD_REFUSED, login) => Err(ProxyError::Login {
                sent: login.is_some(),
            }),
            (other, _) => Err(SocksError::Method(other).into()),
        }
    }

    /// <https://www.rfc-editor.org/rfc/rfc1929#section-2>
    fn on_login(&mut self) -> Result<Step, ProxyError> {
        match *self.received.as_slice() {
            [version, ..] if version != PASSWORD_VERSION => Err(SocksError::LoginAnswer.into()),
            [_, 0] => {
                self.received.clear();
                self.phase = Phase::Reply;
                Ok(Step::Send(std::mem::take(&mut self.request)))
            }
            [_, 0, ..] => Err(ProxyError::EarlyData),
            [_, _, ..] => Err(ProxyError::Login { sent: true }),
            _ => Ok(Step::Wait),
        }
    }

    /// <https://www.rfc-editor.org/rfc/rfc1928#section-6>
    fn on_reply(&mut self) -> Result<Step, ProxyError> {
        self.check_version()?;
        // Some proxies send nothing behind a refusal.
        let Some(&reply) = self.received.get(1) else {
            return Ok(Step::Wait);
        };
        if reply != 0 {
            return Err(SocksError::Reply(reply).into());
        }
        let address_len = match (self.received.get(3), self.received.get(4)) {
            (None, _) => return Ok(Step::Wait),
            (Some(&ADDRESS_IPV4), _) => 4,
            (Some(&ADDRESS_IPV6), _) => 16,
            (Some(&ADDRESS_NAME), None) => return Ok(Step::Wait),
            (Some(&ADDRESS_NAME), Some(len)) => 1 + usize::from(*len),
            (Some(other), _) => return Err(SocksError::AddressKind(*other).into()),
        };
        // Version, reply, reserved, kind; address; port. What the address is does not matter.
        let len = 4 + address_len + 2;
        match self.received.len() {
            received if received < len => Ok(Step::Wait),
            received if received == len => Ok(Step::Open),
            _ => Err(ProxyError::EarlyData),
        }
    }

    fn check_version(&self) -> Result<(), SocksError> {
        match self.received.first() {
            Some(&version) if version != VERSION => Err(SocksError::Version(version)),
            _ => Ok(()),
        }
    }
}

fn version_advice(first: u8) -> String {
    // As in HTTP/1.1.
    let http = if first == b'H' {
        "; it seems to be an HTTP proxy: use http:"
    } else {
        ""
    };
    format!("it does not speak SOCKS5 (its answer begins with {first:#04x}){http}")
}

/// <https://www.rfc-editor.org/rfc/rfc1928#section-6>
fn reply(code: u8) -> &'static str {
    match code {
        1 => "general failure; its log may say why",
        2 => "its rules do not allow this host and port",
        3 => "the network is unreachable",
        4 => "the host is unreachable; check its name",
        5 => "connection refused; is the server running?",
        6 => "the time is up",
        7 => "it does not support the command",
        8 => "it does not support this kind of address",
        _ => "for a reason that SOCKS5 does not know",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn login() -> Login {
        Login {
            user: b"u".to_vec(),
            password: b"pw".to_vec(),
        }
    }

    fn to(name: &str, login: Option<&Login>) -> Socks5 {
        Socks5::new(&Target::Name(name.into()), 443, login).unwrap()
    }

    const GREETING: &[u8] = &[5, 1, 0];
    const REQUEST: &[u8] = &[5, 1, 0, 3, 1, b'h', 1, 187];

    fn send(bytes: &[u8]) -> Step {
        Step::Send(bytes.to_vec())
    }

    #[test]
    fn a_tunnel_without_login() {
        for reply in [
            &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80][..],
            &[&[5, 0, 0, 4][..], &[0; 18]].concat(),
            &[5, 0, 0, 3, 2, b'a', b'b', 0, 80],
            &[5, 0, 0, 3, 0, 0, 80],
        ] {
            let mut socks = to("h", None);
            assert_eq!(socks.receive(b"").unwrap(), send(GREETING));
            assert_eq!(socks.receive(&[5]).unwrap(), Step::Wait);
            assert_eq!(socks.receive(&[0]).unwrap(), send(REQUEST));
            let (last, start) = reply.split_last().unwrap();
            for byte in start {
                assert_eq!(socks.receive(&[*byte]).unwrap(), Step::Wait);
            }
            assert_eq!(socks.receive(&[*last]).unwrap(), Step::Open);
        }
    }

    #[test]
    fn a_tunnel_with_login() {
        let mut socks = to("h", Some(&login()));
        assert_eq!(socks.receive(b"").unwrap(), send(&[5, 2, 0, 2]));
        assert_eq!(socks.receive(&[5, 2]).unwrap(), send(b"\x01\x01u\x02pw"));
        assert_eq!(socks.receive(&[1, 0]).unwrap(), send(REQUEST));
        // A proxy may also not want it.
        let mut socks = to("h", Some(&login()));
        socks.receive(b"").unwrap();
        assert_eq!(socks.receive(&[5, 0]).unwrap(), send(REQUEST));
    }

    #[test]
    fn addresses_go_as_addresses() {
        for (address, expected) in [
            ("1.2.3.4", &[5, 1, 0, 1, 1, 2, 3, 4, 0, 80][..]),
            (
                "::1",
                &[
                    5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80,
                ],
            ),
        ] {
            let target = Target::Address(address.parse().unwrap());
            let mut socks = Socks5::new(&target, 80, None).unwrap();
            socks.receive(b"").unwrap();
            assert_eq!(socks.receive(&[5, 0]).unwrap(), send(expected));
        }
        let long = Target::Name("x".repeat(256));
        assert!(Socks5::new(&long, 80, None).is_err());
    }

    #[test]
    fn everything_else_is_an_error_that_says_what_to_do() {
        let open: &[u8] = &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80];
        let early = [open, b"hello"].concat();
        let (none, password): (&[u8], &[u8]) = (&[5, 0], &[5, 2]);
        for (logs_in, answers, problem) in [
            (
                false,
                &[&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]][..],
                "seems to be an HTTP proxy",
            ),
            (false, &[&[4, 0]], "does not speak SOCKS5"),
            (false, &[&[5, 0xff]], "user:password@host"),
            (true, &[&[5, 0xff]], "refuses the user name"),
            (false, &[password], "method 2, which was not offered"),
            (true, &[&[5, 1]], "method 1, which was not offered"),
            (false, &[&[5, 0, 5]], "before anything was asked"),
            (true, &[password, &[1, 1]], "refuses the user name"),
            (true, &[password, &[5, 0]], "malformed"),
            (true, &[password, &[1, 0, 0]], "before anything was asked"),
            (false, &[none, &[5, 5]], "connection refused"),
            (false, &[none, &[5, 77]], "reason that SOCKS5 does not know"),
            (false, &[none, &[1, 0]], "does not speak SOCKS5"),
            (false, &[none, &[5, 0, 0, 9]], "unknown kind 9"),
            (false, &[none, &early], "before anything was asked"),
        ] {
            let login = logs_in.then(login);
            let mut socks = to("h", login.as_ref());
            let mut step = socks.receive(b"");
            for answer in answers {
                assert!(matches!(step, Ok(Step::Send(_))), "{problem}: {step:?}");
                step = socks.receive(answer);
            }
            let error = step.unwrap_err().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
        }
        assert!(
            to("h", None)
                .receive_eof()
                .to_string()
                .contains("without an answer")
        );
    }
}

//! [`Service`]: what a room does, and what its functions are given.

use std::fmt;
use std::time::Duration;

/// Names a client within its room. No other client of a room ever has the same, as long as the room lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// One client. If it has gone, the message is for nobody.
    Client(ClientId),
    /// All clients that have connected.
    Everyone,
    /// All but one.
    EveryoneExcept(ClientId),
}

impl From<ClientId> for Recipient {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

/// A message. The host does not send one of more than 16 MiB: a service that tries has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Arbitrary bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The payload.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, if this is a text message.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// What a room does. Each room has a service of its own, which is made with the room and dropped with it.
///
/// The functions are called one after the other, in the order in which things happen: of each client first `connect`, then each
/// `message`, then `disconnect`.
pub trait Service {
    /// The room begins. Nobody is there yet.
    fn init(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }

    /// A client has come.
    fn connect(&mut self, client: ClientId, info: &ClientInfo<'_>, ctx: &mut Context<'_>) {
        let _ = (client, info, ctx);
    }

    /// A client has sent a message.
    fn message(&mut self, client: ClientId, data: Message<'_>, ctx: &mut Context<'_>);

    /// A client has gone. What is sent to it is for nobody.
    fn disconnect(&mut self, client: ClientId, ctx: &mut Context<'_>) {
        let _ = (client, ctx);
    }

    /// The time that [`Context::set_timer`] was given is over.
    fn timer(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }
}

/// What a client has asked for and what was agreed on, in the host's encoding: lines that end with LF. The first is the request's target,
/// the second the subprotocol and the third the address, both maybe empty; each further one is a header.
#[derive(Clone, Copy)]
pub struct ClientInfo<'a>(&'a [u8]);

impl<'a> ClientInfo<'a> {
    /// The client that is encoded so.
    pub fn new(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }

    /// Path and query of the request.
    pub fn target(&self) -> &'a str {
        self.text(0)
    }

    /// The subprotocol in use, if any.
    pub fn subprotocol(&self) -> Option<&'a str> {
        Some(self.text(1)).filter(|text| !text.is_empty())
    }

    /// The client's address with its port, as in `127.0.0.1:50000` or `[::1]:50000`, where there is one.
    pub fn address(&self) -> Option<&'a str> {
        Some(self.text(2)).filter(|text| !text.is_empty())
    }

    /// Name, in lower case, and value of each header of the request, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.lines().skip(3).filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(line.get(..colon)?).ok()?;
            let value = line.get(colon + 1..)?;
            Some((name, value.strip_prefix(b" ").unwrap_or(value)))
        })
    }

    /// The value of the first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    fn text(&self, line: usize) -> &'a str {
        let line = self.lines().nth(line).unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default()
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|byte| *byte == b'\n')
    }
}

impl fmt::Debug for ClientInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientInfo").field(&self.target()).finish()
    }
}

/// Who does what a service asks for: the host, or a test's stand-in.
pub(crate) trait Host {
    fn name(&self) -> String;
    fn send(&mut self, recipient: Recipient, data: Message<'_>);
    fn close(&mut self, client: ClientId, code: Option<u16>, reason: &str);
    fn set_timer(&mut self, after: Option<Duration>);
    fn log(&mut self, line: &str);
}

/// What a [`Service`] can do to its room.
pub struct Context<'a>(&'a mut dyn Host);

impl<'a> Context<'a> {
    pub(crate) fn new(host: &'a mut dyn Host) -> Self {
        Self(host)
    }

    /// The room's name.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Sends a message. It never waits: the server decides what becomes of a client that does not take it fast enough.
    pub fn send<'m>(&mut self, recipient: impl Into<Recipient>, data: impl Into<Message<'m>>) {
        self.0.send(recipient.into(), data.into());
    }

    /// Ends the connection of a client, behind what was sent to it. A reason of more than 123 bytes is cut off.
    ///
    /// The code is one of 1000 to 1003, 1007 to 1014 and 3000 to 4999; a service that gives another one has failed. `None` sends none, and
    /// no reason.
    pub fn close(&mut self, client: ClientId, code: impl Into<Option<u16>>, reason: &str) {
        self.0.close(client, code.into(), reason);
    }

    /// Has [`Service::timer`] called after this time, once; in milliseconds, and what is less counts as one more. There is one timer: setting
    /// it again changes when.
    pub fn set_timer(&mut self, after: Duration) {
        self.0.set_timer(Some(after));
    }

    /// [`Service::timer`] is not called.
    pub fn clear_timer(&mut self) {
        self.0.set_timer(None);
    }

    /// Writes a line to the server's log, which takes 4 KiB of it, and 64 lines each time that a function of the service is called.
    pub fn log(&mut self, line: &str) {
        self.0.log(line);
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::ClientInfo;

    #[test]
    fn a_client_is_told_of_in_lines() {
        let info =
            ClientInfo::new(b"/ws/a?b\nchat\n[::1]:9\nhost: we.example\nx-empty: \nx: \xff:\n");
        assert_eq!(info.target(), "/ws/a?b");
        assert_eq!(info.subprotocol(), Some("chat"));
        assert_eq!(info.address(), Some("[::1]:9"));
        let headers: Vec<_> = info.headers().collect();
        assert_eq!(
            headers,
            [
                ("host", &b"we.example"[..]),
                ("x-empty", b""),
                ("x", b"\xff:")
            ]
        );
        assert_eq!(info.header("x-empty"), Some(&b""[..]));
        assert_eq!(info.header("none"), None);

        let bare = ClientInfo::new(b"/ws\n\n\n");
        assert_eq!((bare.subprotocol(), bare.address()), (None, None));
        assert_eq!(bare.headers().count(), 0);
        // Never so from a host, and no panic either.
        let nothing = ClientInfo::new(b"");
        assert_eq!((nothing.target(), nothing.headers().count()), ("", 0));
    }
}

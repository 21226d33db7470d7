//! [`RoomEvent`], [`RoomCommand`]: what a server and the instance of a room say to each other, each in a message of bytes.
//!
//! The first byte says what it is, the next eight name a client, least significant byte first. What a message says lies
//! behind that, not copied where it is taken apart.

use we_net::http::Bytes;
use we_net::protocol::{CloseCode, CloseFrame, CloseReason, Message, Text};

use crate::serve::ConnectionInfo;

/// What happens in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEvent {
    /// A client has come.
    Connect(u64, ConnectionInfo),
    /// A client has sent a message.
    Message(u64, Message),
    /// A client has gone.
    Disconnect(u64),
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomRecipient {
    /// One client.
    Client(u64),
    /// All.
    Everyone,
    /// All but one.
    EveryoneExcept(u64),
}

/// What the service of a room wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomCommand {
    /// The client is known to the service from now on, and one of everyone.
    Admit(u64),
    /// A message is to be sent.
    Send(RoomRecipient, Message),
    /// A client's connection is to be ended, behind what was sent to it.
    Close(u64, Option<CloseFrame>),
}

const CONNECT: u8 = b'+';
const DISCONNECT: u8 = b'-';
const ADMIT: u8 = b'!';
const CLOSE: u8 = b'x';
/// Of messages, to which two bits are added.
const SEND: u8 = b'@';
const TEXT: u8 = 1;
/// Whom it is for.
const CLIENT: u8 = 0;
const EVERYONE: u8 = 2;
const EVERYONE_EXCEPT: u8 = 4;

fn head(kind: u8, client: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + len);
    bytes.push(kind);
    bytes.extend_from_slice(&client.to_le_bytes());
    bytes
}

fn put_message(kind: u8, client: u64, message: &Message) -> Vec<u8> {
    let text = match message {
        Message::Text(_) => TEXT,
        Message::Binary(_) => 0,
    };
    let mut bytes = head(kind + text, client, message.len());
    bytes.extend_from_slice(message.as_bytes());
    bytes
}

/// What it is, of whom, and the rest.
fn split(message: Message) -> Option<(u8, u64, Bytes)> {
    let mut bytes = Bytes::from(message.into_payload());
    let (kind, rest) = bytes.split_first()?;
    let (kind, client) = (*kind, u64::from_le_bytes(*rest.first_chunk::<8>()?));
    Some((kind, client, bytes.split_off(9)))
}

fn message(kind: u8, rest: Bytes) -> Option<Message> {
    Some(match kind & TEXT {
        TEXT => Message::Text(Text::try_from(rest).ok()?),
        _ => Message::binary(rest),
    })
}

impl RoomEvent {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Connect(client, info) => {
                let info = info.encode();
                let mut bytes = head(CONNECT, *client, info.len());
                bytes.extend_from_slice(&info);
                bytes
            }
            Self::Message(client, message) => put_message(SEND, *client, message),
            Self::Disconnect(client) => head(DISCONNECT, *client, 0),
        }
    }

    /// Takes the message apart; `None` if it is none.
    pub fn decode(bytes: Message) -> Option<Self> {
        let (kind, client, rest) = split(bytes)?;
        Some(match kind {
            CONNECT => Self::Connect(client, ConnectionInfo::decode(&rest)?),
            DISCONNECT => Self::Disconnect(client),
            SEND | 0x41 => Self::Message(client, message(kind, rest)?),
            _ => return None,
        })
    }
}

impl RoomCommand {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Admit(client) => head(ADMIT, *client, 0),
            Self::Send(recipient, message) => {
                let (kind, client) = match recipient {
                    RoomRecipient::Client(client) => (CLIENT, *client),
                    RoomRecipient::Everyone => (EVERYONE, 0),
                    RoomRecipient::EveryoneExcept(client) => (EVERYONE_EXCEPT, *client),
                };
                put_message(SEND + kind, client, message)
            }
            Self::Close(client, frame) => {
                let mut bytes = head(CLOSE, *client, 0);
                if let Some(frame) = frame {
                    bytes.extend_from_slice(&frame.code.get().to_le_bytes());
                    bytes.extend_from_slice(frame.reason.as_bytes());
                }
                bytes
            }
        }
    }

    /// Takes the message apart; `None` if it is none.
    pub fn decode(bytes: Message) -> Option<Self> {
        let (kind, client, rest) = split(bytes)?;
        Some(match kind {
            ADMIT => Self::Admit(client),
            CLOSE => Self::Close(client, frame(&rest)?),
            _ => {
                let recipient = match kind.checked_sub(SEND)? & !TEXT {
                    CLIENT => RoomRecipient::Client(client),
                    EVERYONE => RoomRecipient::Everyone,
                    EVERYONE_EXCEPT => RoomRecipient::EveryoneExcept(client),
                    _ => return None,
                };
                Self::Send(recipient, message(kind, rest)?)
            }
        })
    }
}

/// A Close frame's body, or none. The outer `None` if it is neither.
fn frame(bytes: &[u8]) -> Option<Option<CloseFrame>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let (code, reason) = bytes.split_first_chunk::<2>()?;
    let reason = std::str::from_utf8(reason).ok()?;
    Some(Some(CloseFrame {
        code: CloseCode::new(u16::from_le_bytes(*code))?,
        reason: CloseReason::new(reason).ok()?,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn events_and_commands_come_out_as_they_went_in() {
        let info = ConnectionInfo {
            url: "ws://h/ws".into(),
            ..ConnectionInfo::default()
        };
        for event in [
            RoomEvent::Connect(1, info),
            RoomEvent::Message(u64::MAX, Message::text("grün")),
            RoomEvent::Message(0x0102_0304, Message::binary(vec![0xFF])),
            RoomEvent::Message(2, Message::binary(vec![])),
            RoomEvent::Disconnect(3),
        ] {
            let bytes = Message::binary(event.encode());
            assert_eq!(RoomEvent::decode(bytes), Some(event));
        }
        let frame = CloseFrame {
            code: CloseCode::new(4000).unwrap(),
            reason: CloseReason::truncated("grün"),
        };
        for command in [
            RoomCommand::Admit(1),
            RoomCommand::Send(RoomRecipient::Client(2), Message::text("x")),
            RoomCommand::Send(RoomRecipient::Everyone, Message::binary(vec![1])),
            RoomCommand::Send(RoomRecipient::EveryoneExcept(3), Message::text("")),
            RoomCommand::Send(RoomRecipient::EveryoneExcept(3), Message::binary(vec![])),
            RoomCommand::Close(4, None),
            RoomCommand::Close(5, Some(frame)),
        ] {
            let bytes = Message::binary(command.encode());
            assert_eq!(RoomCommand::decode(bytes), Some(command));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let client = [0; 8];
        for (kind, rest) in [
            (b'A', &b"\xFF"[..]),
            (b'C', b"\xFF"),
            (b'F', b""),
            (b'a', b""),
            (b'x', b"\x01"),
            (b'x', b"\xE9\x03\xFF"),
            (b'x', b"\x00\x00"),
            (b'+', b"x"),
            (0, b""),
        ] {
            let bytes = [&[kind][..], &client, rest].concat();
            assert_eq!(RoomCommand::decode(bytes.clone().into()), None, "{bytes:?}");
            assert_eq!(RoomEvent::decode(bytes.into()), None);
        }
        for len in 0..9 {
            let short = Message::binary(vec![b'@'; len]);
            assert_eq!(RoomCommand::decode(short.clone()), None);
            assert_eq!(RoomEvent::decode(short), None);
        }
    }
}

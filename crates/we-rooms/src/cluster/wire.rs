//! What nodes say to each other: packets of records, as bytes.
//!
//! A packet is a version, the node that it is from, and records, each with its length in front. Numbers are little-endian. Whoever can
//! reach the broker can send anything: what cannot be read is an error, and never more memory than there are bytes.

use bytes::{Buf, Bytes};
use we_net::Message;
use we_net::protocol::{CloseCode, CloseFrame, CloseReason, Text};
use we_net::socket::Negotiated;

use super::record::{NodeId, Record, Stamp, What};
use crate::name::RoomName;

/// Of this format, and of what is done by it. Nodes with another one are not understood.
pub(crate) const VERSION: u8 = 1;

/// Something that is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no packet of a node")]
pub(crate) struct Malformed;

/// The beginning of a packet.
pub(crate) fn begin_packet(from: NodeId) -> Vec<u8> {
    let mut packet = vec![VERSION];
    packet.extend(from.0.to_le_bytes());
    packet
}

/// A record, as it stands in packets.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    // Its length, when it is known.
    let mut out = Writer(vec![0; 4]);
    match record {
        Record::Beat => out.byte(0),
        Record::Bye => out.byte(1),
        Record::Room { room, epoch, what } => {
            out.byte(2);
            out.bytes(room.as_str().as_bytes());
            out.number(*epoch);
            out.what(what);
        }
    }
    let Writer(mut bytes) = out;
    let len = length(bytes.len() - 4);
    if let Some(first) = bytes.first_chunk_mut() {
        *first = len;
    }
    bytes
}

/// Messages have 64 MiB at most, by the limits of connections.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend(length(bytes.len()));
        self.0.extend_from_slice(bytes);
    }

    fn stamp(&mut self, kind: u8, at: Stamp, client: u64) {
        self.byte(kind);
        self.number(at.generation);
        self.number(at.seq);
        self.number(client);
    }

    fn numbers(&mut self, kind: u8, numbers: &[u64]) {
        self.byte(kind);
        for number in numbers {
            self.number(*number);
        }
    }

    fn message(&mut self, message: &Message) {
        self.byte(u8::from(message.as_text().is_none()));
        self.bytes(message.as_bytes());
    }

    fn frame(&mut self, frame: Option<&CloseFrame>) {
        // No close code is 0.
        let code = frame.map_or(0, |frame| frame.code.get());
        self.0.extend(code.to_le_bytes());
        if let Some(frame) = frame {
            self.bytes(frame.reason.as_bytes());
        }
    }

    fn negotiated(&mut self, negotiated: &Negotiated) {
        self.bytes(negotiated.resource.as_bytes());
        self.bytes(negotiated.host.as_bytes());
        // A subprotocol is never empty.
        let subprotocol = negotiated.subprotocol.as_deref();
        self.bytes(subprotocol.unwrap_or_default().as_bytes());
        self.bytes(negotiated.extensions.as_bytes());
        let address = negotiated.peer_addr.map(|address| address.to_string());
        self.bytes(address.unwrap_or_default().as_bytes());
        for header in negotiated.headers.iter() {
            self.bytes(header.name().as_bytes());
            self.bytes(header.value());
        }
    }

    fn what(&mut self, what: &What) {
        match what {
            What::Join { generation } => self.numbers(0, &[*generation]),
            What::Leave { generation } => self.numbers(1, &[*generation]),
            What::Connect {
                at,
                client,
                negotiated,
            } => {
                self.stamp(2, *at, *client);
                self.negotiated(negotiated);
            }
            What::Message {
                at,
                client,
                message,
            } => {
                self.stamp(3, *at, *client);
                self.message(message);
            }
            What::Disconnect { at, client } => self.stamp(4, *at, *client),
            What::Welcome { generation, seq } => self.numbers(5, &[*generation, *seq]),
            What::Rejoin { generation } => self.numbers(6, &[*generation]),
            What::Taken { generation, seq } => self.numbers(7, &[*generation, *seq]),
            What::Admit { at, client } => self.stamp(8, *at, *client),
            What::Send {
                at,
                client,
                message,
            } => {
                self.stamp(9, *at, *client);
                self.message(message);
            }
            What::Close { at, client, frame } => {
                self.stamp(10, *at, *client);
                self.frame(frame.as_ref());
            }
            What::Owner { seq } => self.numbers(11, &[*seq]),
            What::Everyone {
                seq,
                except,
                message,
            } => {
                self.numbers(12, &[*seq]);
                self.byte(u8::from(except.is_some()));
                if let Some((node, client)) = except {
                    self.0.extend(node.0.to_le_bytes());
                    self.number(*client);
                }
                self.message(message);
            }
            What::Again { seq } => self.numbers(13, &[*seq]),
            What::End { seq, frame } => {
                self.numbers(14, &[*seq]);
                self.frame(frame.as_ref());
            }
            What::Over => self.byte(15),
        }
    }
}

/// Reads a packet. Gives each record to `each`, up to the first that is malformed.
pub(crate) fn decode(
    packet: Vec<u8>,
    mut each: impl FnMut(NodeId, Record),
) -> Result<(), Malformed> {
    let mut packet = Reader {
        whole: packet.len(),
        bytes: packet.into(),
    };
    if packet.byte()? != VERSION {
        return Err(Malformed);
    }
    let from = packet.node()?;
    while packet.bytes.has_remaining() {
        let mut record = Reader {
            whole: packet.whole,
            bytes: packet.bytes()?,
        };
        let read = record.record()?;
        if record.bytes.has_remaining() {
            return Err(Malformed);
        }
        each(from, read);
    }
    Ok(())
}

struct Reader {
    bytes: Bytes,
    /// The length of what these are a part of.
    whole: usize,
}

impl Reader {
    fn byte(&mut self) -> Result<u8, Malformed> {
        self.bytes.try_get_u8().map_err(|_| Malformed)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.bytes.try_get_u64_le().map_err(|_| Malformed)
    }

    fn node(&mut self) -> Result<NodeId, Malformed> {
        let id = self.bytes.try_get_u128_le();
        id.map(NodeId).map_err(|_| Malformed)
    }

    fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let len = self.bytes.try_get_u32_le().map_err(|_| Malformed)?;
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        if len > self.bytes.len() {
            return Err(Malformed);
        }
        Ok(self.bytes.split_to(len))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| Malformed)
    }

    fn stamp(&mut self) -> Result<(Stamp, u64), Malformed> {
        let at = Stamp {
            generation: self.number()?,
            seq: self.number()?,
        };
        Ok((at, self.number()?))
    }

    fn message(&mut self) -> Result<Message, Malformed> {
        let is_binary = self.flag()?;
        let mut bytes = self.bytes()?;
        // Whoever keeps a message keeps no more than eight times its length.
        if bytes.len() < self.whole / 8 {
            bytes = Bytes::copy_from_slice(&bytes);
        }
        if is_binary {
            return Ok(Message::Binary(bytes.into()));
        }
        Text::try_from(bytes)
            .map(Message::Text)
            .map_err(|_| Malformed)
    }

    fn frame(&mut self) -> Result<Option<CloseFrame>, Malformed> {
        let code = self.bytes.try_get_u16_le().map_err(|_| Malformed)?;
        if code == 0 {
            return Ok(None);
        }
        Ok(Some(CloseFrame {
            code: CloseCode::new(code).ok_or(Malformed)?,
            reason: CloseReason::new(self.text()?).map_err(|_| Malformed)?,
        }))
    }

    fn negotiated(&mut self) -> Result<Box<Negotiated>, Malformed> {
        let mut negotiated = Box::<Negotiated>::default();
        negotiated.resource = self.text()?;
        negotiated.host = self.text()?;
        negotiated.subprotocol = Some(self.text()?).filter(|name| !name.is_empty());
        negotiated.extensions = self.text()?;
        let address = self.text()?;
        if !address.is_empty() {
            negotiated.peer_addr = Some(address.parse().map_err(|_| Malformed)?);
        }
        while self.bytes.has_remaining() {
            let (name, value) = (self.text()?, self.bytes()?);
            let added = negotiated.headers.append(name, value);
            added.map_err(|_| Malformed)?;
        }
        Ok(negotiated)
    }

    fn record(&mut self) -> Result<Record, Malformed> {
        match self.byte()? {
            0 => Ok(Record::Beat),
            1 => Ok(Record::Bye),
            2 => Ok(Record::Room {
                room: RoomName::new(&self.text()?).map_err(|_| Malformed)?,
                epoch: self.number()?,
                what: self.what()?,
            }),
            _ => Err(Malformed),
        }
    }

    fn what(&mut self) -> Result<What, Malformed> {
        let kind = self.byte()?;
        if let 2..=4 | 8..=10 = kind {
            let (at, client) = self.stamp()?;
            return Ok(match kind {
                2 => What::Connect {
                    at,
                    client,
                    negotiated: self.negotiated()?,
                },
                3 => What::Message {
                    at,
                    client,
                    message: self.message()?,
                },
                4 => What::Disconnect { at, client },
                8 => What::Admit { at, client },
                9 => What::Send {
                    at,
                    client,
                    message: self.message()?,
                },
                _ => What::Close {
                    at,
                    client,
                    frame: self.frame()?,
                },
            });
        }
        if kind == 15 {
            return Ok(What::Over);
        }
        let number = self.number()?;
        Ok(match kind {
            0 => What::Join { generation: number },
            1 => What::Leave { generation: number },
            5 => What::Welcome {
                generation: number,
                seq: self.number()?,
            },
            6 => What::Rejoin { generation: number },
            7 => What::Taken {
                generation: number,
                seq: self.number()?,
            },
            11 => What::Owner { seq: number },
            12 => What::Everyone {
                seq: number,
                except: match self.flag()? {
                    true => Some((self.node()?, self.number()?)),
                    false => None,
                },
                message: self.message()?,
            },
            13 => What::Again { seq: number },
            14 => What::End {
                seq: number,
                frame: self.frame()?,
            },
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;

//! Frame headers: the base framing protocol of [RFC 6455 section 5.2], for the reader and the
//! writer of a connection and for tools that look at single frames.
//!
//! [`FrameHeader::parse`] makes every check that a header alone allows, whoever sent it. What
//! depends on the connection (the role, an open message, negotiated extensions) is checked by the
//! connection.
//!
//! [RFC 6455 section 5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2

use std::fmt;
use std::ops::{BitOr, Deref};

use super::error::ProtocolError;
use super::mask::MaskKey;

/// The largest payload of a control frame, in bytes
/// ([section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// What the payload of a frame is
/// ([section 11.8](https://www.rfc-editor.org/rfc/rfc6455#section-11.8)).
///
/// Opcodes 3 to 7 and 11 to 15 are reserved and have no value here: a frame that carries one fails
/// the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// A further fragment of the message that an earlier frame began.
    Continuation = 0x0,
    /// The first or only frame of a text message.
    Text = 0x1,
    /// The first or only frame of a binary message.
    Binary = 0x2,
    /// Starts or answers the closing handshake.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping, or is an unsolicited heartbeat.
    Pong = 0xA,
}

impl OpCode {
    /// The opcode of these four bits, or `None` if it is reserved.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a control frame: never fragmented, at most 125 bytes, allowed between the
    /// fragments of a message ([section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "Close",
            Self::Ping => "Ping",
            Self::Pong => "Pong",
        })
    }
}

/// The reserved bits RSV1 to RSV3 of a frame. They are zero unless a negotiated extension owns
/// them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rsv(u8);

impl Rsv {
    const MASK: u8 = 0x70;

    /// No bit set.
    pub const NONE: Self = Self(0);
    /// The bit that `permessage-deflate` uses
    /// ([RFC 7692 section 6](https://www.rfc-editor.org/rfc/rfc7692#section-6)).
    pub const RSV1: Self = Self(0x40);
    /// The second reserved bit.
    pub const RSV2: Self = Self(0x20);
    /// The third reserved bit.
    pub const RSV3: Self = Self(0x10);

    /// Whether no bit is set.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether every bit of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits set here that are not in `owned`.
    #[must_use]
    pub const fn without(self, owned: Self) -> Self {
        Self(self.0 & !owned.0)
    }
}

impl BitOr for Rsv {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Rsv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Rsv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("no RSV bit");
        }
        let mut separator = "";
        for (bit, name) in [
            (Self::RSV1, "RSV1"),
            (Self::RSV2, "RSV2"),
            (Self::RSV3, "RSV3"),
        ] {
            if self.contains(bit) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        Ok(())
    }
}

/// Everything of a frame but its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message (FIN).
    pub fin: bool,
    /// The reserved bits.
    pub rsv: Rsv,
    /// What the payload is.
    pub opcode: OpCode,
    /// The key that masks the payload: always there from a client, never from a server.
    pub mask: Option<MaskKey>,
    /// The declared length of the payload in bytes, below 2^63. A peer may declare what it likes:
    /// nothing is to be allocated by this number.
    pub payload_len: u64,
}

impl FrameHeader {
    /// The length of the longest header in bytes: 2, 8 for the length, 4 for the masking key.
    pub const MAX_LEN: usize = 14;

    /// Parses the header at the start of `bytes`; returns it with its length in bytes, or `None` if
    /// the bytes end within it.
    ///
    /// # Errors
    /// An offence is reported as soon as the bytes that show it are there: a reserved opcode, a
    /// fragmented or overlong control frame, a length with its top bit set, and a length that is
    /// not in the shortest of its three forms.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let opcode_bits = first & 0x0F;
        let opcode =
            OpCode::from_bits(opcode_bits).ok_or(ProtocolError::ReservedOpcode(opcode_bits))?;
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControlFrame(opcode));
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let short_len = second & 0x7F;
        if opcode.is_control() && usize::from(short_len) > MAX_CONTROL_PAYLOAD {
            return Err(ProtocolError::ControlFrameTooLong(opcode));
        }
        let (payload_len, rest) = match short_len {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from(u16::from_be_bytes(*len));
                if len < 126 {
                    return Err(ProtocolError::NonMinimalLength(len));
                }
                (len, rest)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(*len);
                if len >> 63 != 0 {
                    return Err(ProtocolError::LengthTopBitSet);
                }
                if len <= u64::from(u16::MAX) {
                    return Err(ProtocolError::NonMinimalLength(len));
                }
                (len, rest)
            }
            len => (u64::from(len), rest),
        };

        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(MaskKey::new(*key)), rest)
        };
        let header = Self {
            fin,
            rsv: Rsv(first & Rsv::MASK),
            opcode,
            mask,
            payload_len,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// The length of the header that a payload of this length gets, in bytes.
    pub(super) const fn len_for(payload_len: usize, masked: bool) -> usize {
        let length = match payload_len {
            0..=125 => 0,
            126..=0xFFFF => 2,
            _ => 8,
        };
        2 + length + if masked { 4 } else { 0 }
    }

    /// The bytes of this header, its length in the shortest form.
    #[must_use]
    pub fn encode(&self) -> EncodedHeader {
        let mut out = EncodedHeader {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        out.push([(u8::from(self.fin) << 7) | self.rsv.0 | self.opcode as u8]);
        let mask_bit = u8::from(self.mask.is_some()) << 7;
        match self.payload_len {
            len @ 0..=125 => out.push([mask_bit | len as u8]),
            len @ 126..=0xFFFF => {
                out.push([mask_bit | 126]);
                out.push((len as u16).to_be_bytes());
            }
            len => {
                out.push([mask_bit | 127]);
                out.push(len.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.push(key.to_bytes());
        }
        out
    }
}

/// A header as bytes, on the stack. Dereferences to them.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: u8,
}

impl EncodedHeader {
    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        let start = usize::from(self.len);
        self.bytes[start..start + N].copy_from_slice(&bytes);
        self.len += N as u8;
    }
}

impl Deref for EncodedHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The start of a header whose rest has not arrived, kept inline so that an idle connection holds
/// no buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: u8,
}

impl PartialHeader {
    /// Whether no bytes are held.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next header off `input`, or all of `input` if the header does not end in it.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<FrameHeader>, ProtocolError> {
        let held = usize::from(self.len);
        if held == 0
            && let Some((header, len)) = FrameHeader::parse(input)?
        {
            *input = &input[len..];
            return Ok(Some(header));
        }
        let taken = input.len().min(FrameHeader::MAX_LEN - held);
        self.bytes[held..held + taken].copy_from_slice(&input[..taken]);
        if let Some((header, len)) = FrameHeader::parse(&self.bytes[..held + taken])? {
            // The bytes held before were not a whole header, so it ends within the new ones.
            *input = &input[len - held..];
            self.len = 0;
            return Ok(Some(header));
        }
        self.len += taken as u8;
        *input = &input[taken..];
        Ok(None)
    }
}

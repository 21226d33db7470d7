//! Close codes and the bodies of Close frames ([RFC 6455 sections 5.5.1 and 7.4]), as types that
//! cannot hold what must not stand on the wire.
//!
//! [RFC 6455 sections 5.5.1 and 7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4

use std::fmt;
use std::ops::Deref;

use super::error::{ConnectionError, ProtocolError};
use super::frame::MAX_CONTROL_PAYLOAD;

/// The code that [`Closure::code`](super::Closure::code) shows when the peer's Close frame had none
/// ([section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)). Never on the wire.
pub const NO_STATUS: u16 = 1005;

/// The code that [`Closure::code`](super::Closure::code) shows when no Close frame arrived
/// ([section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)). Never on the wire.
pub const ABNORMAL_CLOSURE: u16 = 1006;

/// A close code that may stand in a Close frame: 1000 to 1003 and 1007 to 1014 as the
/// [IANA registry] has them, 3000 to 3999 (registered by libraries) and 4000 to 4999 (private use).
///
/// The others are for local use only (1005, 1006, 1015), undefined (1004) or unassigned.
///
/// [IANA registry]: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away, as a server that stops or a page that is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint does not accept.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: data that is not what its type says, as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a message against the endpoint's policy.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the server did not negotiate an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the endpoint met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code of this number, or `None` if it may not stand on the wire.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The code's number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, InvalidCloseCode> {
        Self::new(code).ok_or(InvalidCloseCode(code))
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// A number that is no [`CloseCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a close code that may be sent")]
pub struct InvalidCloseCode(pub u16);

/// Why a connection is closed, for people and logs: at most 123 bytes of UTF-8. Dereferences to
/// `str`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CloseReason(Box<str>);

impl CloseReason {
    /// The longest reason in bytes: what a control frame leaves beside the code.
    pub const MAX_LEN: usize = MAX_CONTROL_PAYLOAD - 2;

    /// The reason of this text.
    ///
    /// # Errors
    /// [`ReasonTooLong`] above [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn new(reason: impl Into<Box<str>>) -> Result<Self, ReasonTooLong> {
        let reason = reason.into();
        if reason.len() > Self::MAX_LEN {
            return Err(ReasonTooLong { len: reason.len() });
        }
        Ok(Self(reason))
    }

    /// The reason of this text, cut off at a character boundary if it is too long.
    #[must_use]
    pub fn truncated(reason: &str) -> Self {
        Self(reason[..reason.floor_char_boundary(Self::MAX_LEN)].into())
    }
}

impl Deref for CloseReason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<CloseReason> for String {
    fn from(reason: CloseReason) -> Self {
        reason.0.into_string()
    }
}

/// A reason above 123 bytes of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a close reason holds at most 123 bytes of UTF-8, this one has {len}")]
pub struct ReasonTooLong {
    /// The length of the refused reason in bytes.
    pub len: usize,
}

/// The body of a Close frame that has one ([section 5.5.1]): a code, and a reason that may be
/// empty.
///
/// [section 5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// The code.
    pub code: CloseCode,
    /// The reason, maybe empty.
    pub reason: CloseReason,
}

impl CloseFrame {
    /// The body with this code and reason.
    ///
    /// # Errors
    /// [`ReasonTooLong`] if the reason is above 123 bytes of UTF-8.
    pub fn new(code: CloseCode, reason: impl Into<Box<str>>) -> Result<Self, ReasonTooLong> {
        let reason = CloseReason::new(reason)?;
        Ok(Self { code, reason })
    }

    /// Parses the payload of a Close frame; `None` if it is empty.
    ///
    /// # Errors
    /// 1002 for a payload of one byte or a code that may not be sent, 1007 for a reason that is not
    /// UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, ConnectionError> {
        if payload.is_empty() {
            return Ok(None);
        }
        let Some((code, reason)) = payload.split_first_chunk() else {
            return Err(ProtocolError::CloseBodyTooShort.into());
        };
        let code = u16::from_be_bytes(*code);
        let code = CloseCode::new(code).ok_or(ProtocolError::InvalidCloseCode(code))?;
        let reason =
            std::str::from_utf8(reason).map_err(|_| ConnectionError::InvalidCloseReason)?;
        // A control frame holds at most 125 bytes, so no reason that arrives is too long.
        let reason = CloseReason::truncated(reason);
        Ok(Some(Self { code, reason }))
    }

    /// The payload of a Close frame with this body.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        [&self.code.get().to_be_bytes(), self.reason.as_bytes()].concat()
    }
}

impl From<CloseCode> for CloseFrame {
    fn from(code: CloseCode) -> Self {
        Self {
            code,
            reason: CloseReason::default(),
        }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " {:?}", &*self.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_the_registry_and_the_open_ranges_exist() {
        for code in 0..=u16::MAX {
            let sendable =
                matches!(code, 1000..=1003 | 1007..=1014) || (3000..5000).contains(&code);
            assert_eq!(CloseCode::new(code).is_some(), sendable, "{code}");
        }
    }

    #[test]
    fn reason_holds_123_bytes() {
        assert!(CloseReason::new("x".repeat(123)).is_ok());
        assert_eq!(
            CloseReason::new("x".repeat(124)),
            Err(ReasonTooLong { len: 124 })
        );
        // 41 characters of three bytes fill it; the 42nd does not fit.
        assert!(CloseReason::new("€".repeat(41)).is_ok());
        assert!(CloseReason::new("€".repeat(42)).is_err());
    }

    #[test]
    fn truncation_keeps_whole_characters() {
        assert_eq!(CloseReason::truncated(&"𝄞".repeat(31)).len(), 120);
    }

    #[test]
    fn body_survives_the_wire() {
        let frame = CloseFrame::new(CloseCode::NORMAL, "bye").unwrap();
        assert_eq!(frame.to_payload(), b"\x03\xE8bye");
        assert_eq!(CloseFrame::parse(b"\x03\xE8bye"), Ok(Some(frame)));
        assert_eq!(CloseFrame::parse(b""), Ok(None));
    }

    #[test]
    fn bad_bodies_are_refused() {
        assert_eq!(
            CloseFrame::parse(b"\x03"),
            Err(ProtocolError::CloseBodyTooShort.into())
        );
        assert_eq!(
            CloseFrame::parse(&1005u16.to_be_bytes()),
            Err(ProtocolError::InvalidCloseCode(1005).into())
        );
        assert_eq!(
            CloseFrame::parse(b"\x03\xE8\xFF"),
            Err(ConnectionError::InvalidCloseReason)
        );
    }
}

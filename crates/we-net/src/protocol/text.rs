//! Text: payloads that are valid UTF-8, and the assembler that checks it while fragments arrive
//! ([RFC 6455 sections 5.6 and 8.1]).
//!
//! # Why this module may use `unsafe`
//! What has been checked is not checked again. `Text::received` makes a `String` of bytes that the validator has just
//! accepted. `Text::shared` and `Text::try_from` keep bytes that they have just accepted, `Text::into_shared` those of a
//! `String`; nobody can change them (`Bytes` gives no way to,
//! while there is more than one owner, and this one is not given away but as bytes), and `Text::as_str` shows them as
//! text. `TextAssembler::finish` makes one of the assembled bytes as they are; it does so
//! only if `valid == bytes.len()`, and the bytes below `valid` are UTF-8:
//! - `valid` starts at 0 and is raised only by `TextAssembler::validate`, to the end of a prefix
//!   that the validator accepted beginning at a character boundary (the old `valid`); a
//!   concatenation of valid UTF-8 is valid UTF-8.
//! - The bytes below `valid` never change: they are private, and outside this module they can be
//!   reached only through [`PayloadSink`], which appends, and cuts off no more than what it has
//!   itself appended since `valid` was last raised.
//!
//! [RFC 6455 sections 5.6 and 8.1]: https://www.rfc-editor.org/rfc/rfc6455#section-8.1
#![allow(unsafe_code)]

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::{Bytes, BytesMut};

use super::mask::MaskKey;
use super::payload::{Expected, OwnedBytes, Payload, PayloadSink, unmasked};

/// A payload that is valid UTF-8. Dereferences to `str`, converts from and to `String`.
#[derive(Clone)]
pub struct Text(Storage);

#[derive(Clone)]
enum Storage {
    Own(String),
    /// A part of what was read, which other messages have parts of too. Valid UTF-8.
    Shared(Bytes),
}

impl Text {
    /// The empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self(Storage::Own(String::new()))
    }

    /// The text as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Storage::Own(text) => text,
            // SAFETY: the bytes are valid UTF-8, see the top of the module.
            Storage::Shared(bytes) => unsafe { std::str::from_utf8_unchecked(bytes) },
        }
    }

    /// The text as a string: by pointer, but for a message that is a part of what was read, as
    /// [`ReadBuffer`](super::ReadBuffer) says, which is copied.
    #[must_use]
    pub fn into_string(self) -> String {
        match self.0 {
            Storage::Own(text) => text,
            Storage::Shared(_) => self.as_str().to_owned(),
        }
    }

    /// The bytes of the text, by pointer.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        match self.0 {
            Storage::Own(text) => Payload::from(text.into_bytes()),
            Storage::Shared(bytes) => Payload::from(bytes),
        }
    }

    /// The same text, of which clones are made by pointer. Costs no copy, and one small allocation.
    #[must_use]
    pub fn into_shared(self) -> Self {
        match self.0 {
            Storage::Own(text) => Self(Storage::Shared(text.into_bytes().into())),
            Storage::Shared(_) => self,
        }
    }

    /// The text of a frame that has arrived whole: `data` unmasked.
    pub(super) fn received(data: &[u8], mask: Option<MaskKey>) -> Result<Self, InvalidUtf8> {
        if mask.is_none() {
            return Ok(Self::from(simdutf8::compat::from_utf8(data)?));
        }
        let bytes = unmasked(data, mask);
        simdutf8::compat::from_utf8(&bytes)?;
        // SAFETY: the bytes are valid UTF-8, as the validator has just said.
        Ok(Self::from(unsafe { String::from_utf8_unchecked(bytes) }))
    }

    /// The text of a part of what was read: `bytes` unmasked.
    pub(super) fn shared(mut bytes: BytesMut, mask: Option<MaskKey>) -> Result<Self, InvalidUtf8> {
        if let Some(key) = mask {
            let _ = key.apply(&mut bytes);
        }
        simdutf8::compat::from_utf8(&bytes)?;
        Ok(Self(Storage::Shared(bytes.freeze())))
    }
}

/// By pointer, if the bytes are valid UTF-8.
impl TryFrom<Bytes> for Text {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        simdutf8::compat::from_utf8(&bytes)?;
        Ok(Self(Storage::Shared(bytes)))
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Storage::Own(text))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.into_string()
    }
}

impl From<Text> for OwnedBytes {
    fn from(text: Text) -> Self {
        match text.0 {
            Storage::Own(text) => Self::Text(text.into_bytes()),
            Storage::Shared(bytes) => Self::Binary(bytes.into()),
        }
    }
}

impl TryFrom<Payload> for Text {
    type Error = InvalidUtf8;

    fn try_from(payload: Payload) -> Result<Self, InvalidUtf8> {
        Self::received(&payload, None)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        if self.len() <= SHOWN {
            return write!(f, "Text({:?})", self.as_str());
        }
        let head = &self[..self.floor_char_boundary(SHOWN)];
        write!(f, "Text({} bytes: {head:?}…)", self.len())
    }
}

/// Bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid UTF-8 from byte {position} on")]
pub struct InvalidUtf8 {
    /// Where the first character begins that is none, in bytes from the start of the message.
    pub position: usize,
}

impl From<simdutf8::compat::Utf8Error> for InvalidUtf8 {
    fn from(error: simdutf8::compat::Utf8Error) -> Self {
        Self {
            position: error.valid_up_to(),
        }
    }
}

/// A text message whose bytes are still arriving.
#[derive(Debug)]
pub(super) struct TextAssembler {
    bytes: Vec<u8>,
    /// The bytes before this index are valid UTF-8 and end at a character boundary.
    valid: usize,
}

impl TextAssembler {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            valid: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Where to append the bytes that have arrived.
    pub(super) fn sink(&mut self, limit: usize, expected: Expected) -> PayloadSink<'_> {
        PayloadSink::new(&mut self.bytes, limit, expected)
    }

    /// Checks what has been appended since the last call. A character cut off at the end is no
    /// error yet, as long as some continuation could complete it: so the first impossible byte is
    /// found when it arrives.
    pub(super) fn validate(&mut self) -> Result<(), InvalidUtf8> {
        // At most three bytes of a cut-off character are looked at again.
        match simdutf8::compat::from_utf8(&self.bytes[self.valid..]) {
            Ok(_) => self.valid = self.bytes.len(),
            Err(error) => {
                self.valid += error.valid_up_to();
                if error.error_len().is_some() {
                    return Err(self.invalid());
                }
            }
        }
        Ok(())
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> Result<Text, InvalidUtf8> {
        if self.valid < self.bytes.len() {
            self.validate()?;
        }
        if self.valid < self.bytes.len() {
            return Err(self.invalid());
        }
        // SAFETY: all bytes are valid UTF-8, see the top of the module.
        Ok(Text::from(unsafe {
            String::from_utf8_unchecked(self.bytes)
        }))
    }

    fn invalid(&self) -> InvalidUtf8 {
        InvalidUtf8 {
            position: self.valid,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn push(assembler: &mut TextAssembler, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        let mut sink = assembler.sink(usize::MAX, Expected::Unknown);
        sink.extend_from_slice(bytes).unwrap();
        assembler.validate()
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        let text = "κόσμε 𝄞 \u{feff} \0 end";
        for cut in 0..=text.len() {
            let mut assembler = TextAssembler::new();
            push(&mut assembler, &text.as_bytes()[..cut]).unwrap();
            push(&mut assembler, &text.as_bytes()[cut..]).unwrap();
            assert_eq!(assembler.finish().unwrap(), text);
        }
    }

    #[test]
    fn first_impossible_byte_is_found_when_it_arrives() {
        let cases: [(&[u8], usize); 8] = [
            (b"\x80", 0),     // a continuation byte first
            (b"\xC0", 0),     // overlong by its first byte
            (b"\xE0\x9F", 1), // overlong by its second byte
            (b"\xED\xA0", 1), // a surrogate
            (b"\xF4\x90", 1), // above U+10FFFF
            (b"\xF5", 0),     // above U+10FFFF by its first byte
            (b"\xCE\xBA\xE1\xBD\xB9a\xFF", 6),
            (b"\xF0\x9D\x84a", 3), // a character broken off
        ];
        for (bytes, impossible) in cases {
            let mut assembler = TextAssembler::new();
            for (at, byte) in bytes.iter().enumerate() {
                let result = push(&mut assembler, &[*byte]);
                assert_eq!(result.is_err(), at == impossible, "{bytes:x?} at {at}");
                if result.is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn character_cut_off_at_the_end_is_no_text() {
        let mut assembler = TextAssembler::new();
        push(&mut assembler, b"ab\xF0\x9D\x84").unwrap();
        assert_eq!(assembler.finish(), Err(InvalidUtf8 { position: 2 }));
    }

    #[test]
    fn payload_becomes_text_only_if_valid() {
        assert_eq!(Text::try_from(Payload::from(b"ok")).unwrap(), "ok");
        let error = Text::try_from(Payload::from(b"ok\xFF")).unwrap_err();
        assert_eq!(error.position, 2);
    }
}

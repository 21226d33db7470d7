//! Strings between the engine and the web: the engine keeps Latin-1 or UTF-16, the web's bytes are UTF-8.
//!
//! Both directions are hot (each text message passes through one of them) and take the engine's own
//! representation as it is instead of going through an iterator of characters.

use aligned_vec::{AVec, ConstAlign, TryReserveError};
use boa_engine::{JsString, string::JsStr, string::JsStrVariant};

/// The [scalar value string] of a string, in UTF-8: each lone surrogate becomes U+FFFD.
///
/// [scalar value string]: https://infra.spec.whatwg.org/#javascript-string-convert
pub(crate) fn to_usv_string(string: &JsString) -> String {
    match string.as_str().variant() {
        JsStrVariant::Latin1(bytes) => encoding_rs::mem::decode_latin1(bytes).into_owned(),
        JsStrVariant::Utf16(units) => {
            // The largest UTF-8 form of `n` code units is `3n` bytes; the buffer is cut to size afterwards.
            let mut utf8 = vec![0; units.len() * 3];
            let written = encoding_rs::mem::convert_utf16_to_utf8(units, &mut utf8);
            utf8.truncate(written);
            // Never lossy: the converter writes valid UTF-8 only.
            String::from_utf8(utf8)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        }
    }
}

/// Appends the UTF-8 of a string, each lone surrogate as U+FFFD, to `bytes`.
pub(crate) fn encode_utf8(
    string: &JsString,
    bytes: &mut AVec<u8, ConstAlign<64>>,
) -> Result<(), TryReserveError> {
    let start = bytes.len();
    match string.as_str().variant() {
        JsStrVariant::Latin1(latin1) if latin1.is_ascii() => {
            bytes.try_reserve_exact(latin1.len())?;
            bytes.extend_from_slice(latin1);
        }
        // Room for the longest form that so many code units can have, cut to size afterwards.
        JsStrVariant::Latin1(latin1) => {
            bytes.try_reserve_exact(latin1.len() * 2)?;
            bytes.resize(start + latin1.len() * 2, 0);
            let written = encoding_rs::mem::convert_latin1_to_utf8(latin1, tail(bytes, start));
            bytes.truncate(start + written);
        }
        JsStrVariant::Utf16(units) => {
            bytes.try_reserve_exact(units.len() * 3)?;
            bytes.resize(start + units.len() * 3, 0);
            let written = encoding_rs::mem::convert_utf16_to_utf8(units, tail(bytes, start));
            bytes.truncate(start + written);
        }
    }
    bytes.shrink_to_fit();
    Ok(())
}

fn tail(bytes: &mut AVec<u8, ConstAlign<64>>, start: usize) -> &mut [u8] {
    bytes.as_mut_slice().get_mut(start..).unwrap_or_default()
}

/// More memory than there is, or than may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The engine's string of bytes that are UTF-8, each malformed part as U+FFFD. Fails, instead of ending the process as
/// the engine would, where the string takes more than `limit` bytes or there is no memory for it.
pub(crate) fn decode_utf8(bytes: &[u8], limit: u64) -> Result<JsString, TooLong> {
    // The engine cannot be asked to allocate with care, so it is tried before.
    let affordable = |size: usize| {
        let tried = Vec::<u8>::new().try_reserve_exact(size);
        if size as u64 > limit || tried.is_err() {
            return Err(TooLong);
        }
        Ok(())
    };
    if bytes.is_ascii() {
        affordable(bytes.len())?;
        return Ok(JsString::from(JsStr::latin1(bytes)));
    }
    let mut units = Vec::<u16>::new();
    // As in `from_utf8`.
    let room = bytes.len() + 1;
    units.try_reserve_exact(room).map_err(|_| TooLong)?;
    units.resize(room, 0);
    let written = encoding_rs::mem::convert_utf8_to_utf16(bytes, &mut units);
    units.truncate(written);
    affordable(written * size_of::<u16>())?;
    Ok(JsString::from(JsStr::utf16(&units)))
}

/// The engine's string of UTF-8 text: Latin-1 where the text is ASCII, UTF-16 otherwise.
pub(crate) fn from_utf8(text: &str) -> JsString {
    if text.is_ascii() {
        return JsString::from(JsStr::latin1(text.as_bytes()));
    }
    // A code unit takes at least one byte of UTF-8; the converter asks for one unit more.
    let mut units = vec![0_u16; text.len() + 1];
    let written = encoding_rs::mem::convert_str_to_utf16(text, &mut units);
    units.truncate(written);
    JsString::from(JsStr::utf16(&units))
}

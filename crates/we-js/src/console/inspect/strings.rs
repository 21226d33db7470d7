//! Primitives as literals.

use boa_engine::JsString;

/// Longer strings are cut, unless they are what is printed.
const MAX_LENGTH: usize = 10_000;

/// A string literal: in those quotes that it does not contain, with escapes for what cannot be seen.
pub(crate) fn quote(string: &JsString) -> String {
    let mark = ['\'', '"', '`']
        .into_iter()
        .find(|mark| !string.contains(*mark as u8))
        .unwrap_or('\'');
    let mut text = String::with_capacity(string.len() + 2);
    text.push(mark);
    let units = string.iter().take(MAX_LENGTH);
    for unit in char::decode_utf16(units) {
        match unit {
            Ok('\n') => text.push_str("\\n"),
            Ok('\r') => text.push_str("\\r"),
            Ok('\t') => text.push_str("\\t"),
            Ok('\\') => text.push_str("\\\\"),
            Ok(character) if character == mark => {
                text.push('\\');
                text.push(character);
            }
            Ok(character @ ('\0'..='\x1F' | '\x7F'..='\u{9F}')) => {
                text.push_str(&format!("\\x{:02X}", u32::from(character)));
            }
            Ok(character) => text.push(character),
            Err(surrogate) => text.push_str(&format!("\\u{:04X}", surrogate.unpaired_surrogate())),
        }
    }
    text.push(mark);
    let rest = string.len().saturating_sub(MAX_LENGTH);
    if rest > 0 {
        text.push_str(&format!("... {rest} more characters"));
    }
    text
}

/// A number as the language writes it, but for the sign of zero.
pub(crate) fn number_to_string(number: f64) -> String {
    if number == 0.0 && number.is_sign_negative() {
        return String::from("-0");
    }
    JsString::from(boa_engine::JsValue::from(number).display().to_string()).to_std_string_lossy()
}

//! `atob()` and `btoa()`: <https://html.spec.whatwg.org/multipage/webappapis.html#atob>

use ::base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use boa_engine::{
    Context, JsArgs, JsResult, JsString,
    string::{JsStr, JsStrVariant},
};

use crate::{
    binding::define_function,
    dom::{DomException, ErrorName},
};

/// Forgiving: padding is dropped beforehand, and the bits after the last byte may be anything.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Defines both functions.
pub(crate) fn install(context: &mut Context) -> JsResult<()> {
    define_function(
        "atob",
        1,
        |args, context| {
            let data = args.get_or_undefined(0).to_string(context)?;
            match forgiving_decode(&data) {
                Some(bytes) => Ok(JsString::from(JsStr::latin1(&bytes))),
                None => Err(invalid_character("the string is not base64", context)),
            }
        },
        context,
    )?;
    define_function(
        "btoa",
        1,
        |args, context| {
            let data = args.get_or_undefined(0).to_string(context)?;
            match latin1(&data) {
                Some(bytes) => Ok(JsString::from(
                    ::base64::engine::general_purpose::STANDARD
                        .encode(bytes)
                        .as_str(),
                )),
                None => Err(invalid_character(
                    "the string has characters beyond U+00FF",
                    context,
                )),
            }
        },
        context,
    )
}

/// [Forgiving-base64 decode](https://infra.spec.whatwg.org/#forgiving-base64-decode)
fn forgiving_decode(data: &JsString) -> Option<Vec<u8>> {
    let mut data = latin1(data)?;
    // 1.
    data.retain(|byte| !matches!(byte, b'\t' | b'\n' | b'\x0C' | b'\r' | b' '));
    // 2.
    if data.len().is_multiple_of(4) {
        let unpadded = match data.as_slice() {
            [.., b'=', b'='] => data.len() - 2,
            [.., b'='] => data.len() - 1,
            _ => data.len(),
        };
        data.truncate(unpadded);
    }
    // 3. to 10.
    FORGIVING.decode(data).ok()
}

/// The code points as bytes, if none is above U+00FF.
fn latin1(string: &JsString) -> Option<Vec<u8>> {
    match string.as_str().variant() {
        JsStrVariant::Latin1(bytes) => Some(bytes.to_vec()),
        JsStrVariant::Utf16(units) => units.iter().map(|unit| u8::try_from(*unit).ok()).collect(),
    }
}

fn invalid_character(message: &str, context: &mut Context) -> boa_engine::JsError {
    DomException::error(ErrorName::InvalidCharacter, message, context)
}

#[cfg(test)]
mod tests {
    use crate::testing::cases;

    #[test]
    fn btoa_encodes_latin1_and_nothing_else() {
        cases(&[
            (
                "['', 'a', 'ab', 'abc', '\\xff\\0', null, undefined, 12].map(s => btoa(s)).join()",
                ",YQ==,YWI=,YWJj,/wA=,bnVsbA==,dW5kZWZpbmVk,MTI=",
            ),
            // A string that is stored in UTF-16 may hold Latin-1 alone.
            ("btoa('\\u0100é'.slice(1))", "6Q=="),
            ("error(() => btoa('\\u0100'))", "InvalidCharacterError 5"),
            ("error(() => btoa('😀'))", "InvalidCharacterError 5"),
            ("error(() => btoa())", "TypeError"),
            (
                "btoa.call(globalThis, 'a') + btoa.call(null, 'a') + error(() => btoa.call({}, 'a'))",
                "YQ==YQ==TypeError",
            ),
            ("error(() => btoa(Symbol()))", "TypeError"),
        ]);
    }

    #[test]
    fn atob_forgives_what_infra_says() {
        cases(&[
            ("['', 'YQ==', 'YQ', 'YWI=', 'YWI', ' Y\\tQ\\n=\\f=\\r ', 'YR', 'YWJj'].map(s => atob(s)).join()", ",a,a,ab,ab,a,a,abc"),
            ("[...atob('/+8=')].map(c => c.charCodeAt()).join()", "255,239"),
            ("atob(null).length", "3"),
            ("['a', 'abcde', 'YQ=', '=', '==', '===', '====', 'YQ===', 'ab=c', 'a=bc', '-_-_', 'YW\\u00a0I', 'YWI\\u0100', 'YQ==YQ==']
                .map(s => error(() => atob(s))).filter(e => e !== 'InvalidCharacterError 5').length", "0"),
            ("[atob.length, atob.name, Object.keys(globalThis).includes('atob')].join()", "1,atob,true"),
        ]);
    }
}

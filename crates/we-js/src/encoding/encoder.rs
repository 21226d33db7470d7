//! `TextEncoder`: <https://encoding.spec.whatwg.org/#interface-textencoder>

use aligned_vec::AVec;
use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, js_string,
    object::{
        JsObject, ObjectInitializer,
        builtins::{JsArrayBuffer, JsUint8Array},
    },
    property::Attribute,
    string::JsStrVariant,
};
use boa_gc::{Finalize, Trace};

use crate::{
    binding::{BufferSource, Definition, Interface, PlatformObject, This, ViewKind, encode_utf8},
    event_loop,
};

/// A `TextEncoder` has no state: its encoding is always UTF-8.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct TextEncoder;

impl PlatformObject for TextEncoder {}

impl Interface for TextEncoder {
    const NAME: &'static str = "TextEncoder";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, |new_target, _, context| new_target.create(Self, context));
        idl.readonly("encoding", |_, _| Ok(js_string!("utf-8")));
        idl.operation("encode", 0, encode);
        idl.operation("encodeInto", 2, encode_into);
        Ok(())
    }
}

/// <https://encoding.spec.whatwg.org/#dom-textencoder-encode>
fn encode(
    _: &This<TextEncoder>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsUint8Array> {
    let input = match args.get_or_undefined(0) {
        value if value.is_undefined() => js_string!(),
        value => value.to_string(context)?,
    };
    encoded(&input, context)
}

/// The UTF-8 of a text as a new `Uint8Array`.
pub(super) fn encoded(input: &JsString, context: &mut Context) -> JsResult<JsUint8Array> {
    let limit = context.host_hooks().max_buffer_size(context);
    let mut bytes = AVec::new(0);
    if input.len() as u64 > limit
        || encode_utf8(input, &mut bytes).is_err()
        || bytes.len() as u64 > limit
    {
        return Err(JsNativeError::range()
            .with_message("the encoded text is too long for an ArrayBuffer")
            .into());
    }
    event_loop::account_external(bytes.len(), context);
    let buffer = JsArrayBuffer::from_byte_block(bytes, context)?;
    JsUint8Array::from_array_buffer(buffer, context)
}

/// <https://encoding.spec.whatwg.org/#dom-textencoder-encodeinto>
fn encode_into(
    _: &This<TextEncoder>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let source = args.get_or_undefined(0).to_string(context)?;
    let destination = BufferSource::from_value(args.get_or_undefined(1), context)
        .filter(|destination| destination.view_kind() == Some(ViewKind::Uint8Array))
        .ok_or_else(|| {
            JsNativeError::typ()
                .with_message("TextEncoder.encodeInto: argument 2 is not a Uint8Array")
        })?;
    let mut read = 0;
    let written = destination.write_with(
        // The most bytes that the text can need, for a destination that must be written through a copy.
        source.len().saturating_mul(3),
        |bytes| {
            let written;
            (read, written) = encode_partially(&source, bytes);
            written
        },
        context,
    )?;
    let result = ObjectInitializer::new(context)
        .property(js_string!("read"), read as f64, Attribute::all())
        .property(js_string!("written"), written as f64, Attribute::all())
        .build();
    Ok(result)
}

/// Encodes as many whole characters as fit: how many code units were read, how many bytes written.
fn encode_partially(source: &JsString, bytes: &mut [u8]) -> (usize, usize) {
    match source.as_str().variant() {
        JsStrVariant::Latin1(latin1) => {
            encoding_rs::mem::convert_latin1_to_utf8_partial(latin1, bytes)
        }
        JsStrVariant::Utf16(units) => encoding_rs::mem::convert_utf16_to_utf8_partial(units, bytes),
    }
}

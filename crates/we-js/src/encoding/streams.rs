//! `TextDecoderStream` and `TextEncoderStream`: <https://encoding.spec.whatwg.org/#interface-textdecoderstream>

use std::cell::Cell;

use boa_engine::{Context, JsData, JsResult, JsString, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Gc, Trace};

use super::{TextDecoder, encoder::encoded};
use crate::{
    binding::{
        BufferSource, Definition, Interface, NewTarget, PlatformObject, Promise,
        not_a_buffer_source,
    },
    streams::{TransformStream, Transformer},
};

/// The state of a `TextDecoderStream`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct TextDecoderStream {
    decoder: Gc<TextDecoder>,
    transform: TransformStream,
}

impl PlatformObject for TextDecoderStream {}

impl Interface for TextDecoderStream {
    const NAME: &'static str = "TextDecoderStream";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        // https://encoding.spec.whatwg.org/#dom-textdecoderstream
        idl.constructor(0, |new_target: &NewTarget<Self>, args, context| {
            let decoder = Gc::new(TextDecoder::from_arguments(args, context)?);
            let object = new_target.prepare(context)?;
            let transform = TransformStream::new(Decoding(decoder.clone()), context)?;
            object.create(Self { decoder, transform }, context)
        });
        // TextDecoderCommon
        idl.readonly("encoding", |this, _| {
            Ok(this.state().decoder.encoding_name())
        });
        idl.readonly("fatal", |this, _| Ok(this.state().decoder.is_fatal()));
        idl.readonly("ignoreBOM", |this, _| {
            Ok(this.state().decoder.ignores_bom())
        });
        // GenericTransformStream
        idl.readonly("readable", |this, context| {
            let transform = this.state().transform.clone();
            transform.readable()?.object(context)
        });
        idl.readonly("writable", |this, context| {
            let transform = this.state().transform.clone();
            transform.writable()?.object(context)
        });
        Ok(())
    }
}

/// Bytes to text.
#[derive(Trace, Finalize)]
struct Decoding(Gc<TextDecoder>);

impl Decoding {
    fn enqueue(
        text: JsString,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        if !text.is_empty() {
            stream.enqueue(text.into(), context)?;
        }
        Ok(Promise::fulfilled())
    }
}

impl Transformer for Decoding {
    /// <https://encoding.spec.whatwg.org/#decode-and-enqueue-a-chunk>
    fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let bytes = BufferSource::from_value(&chunk, context).ok_or_else(not_a_buffer_source)?;
        let text = bytes.with_bytes(|bytes| self.0.decode_next(bytes))?;
        Self::enqueue(text, stream, context)
    }

    /// <https://encoding.spec.whatwg.org/#flush-and-enqueue>
    fn flush(&self, stream: &TransformStream, context: &mut Context) -> JsResult<Promise> {
        let text = self.0.decode_end()?;
        Self::enqueue(text, stream, context)
    }
}

/// The state of a `TextEncoderStream`: <https://encoding.spec.whatwg.org/#interface-textencoderstream>
#[derive(Trace, Finalize, JsData)]
pub(crate) struct TextEncoderStream {
    transform: TransformStream,
}

impl PlatformObject for TextEncoderStream {}

impl Interface for TextEncoderStream {
    const NAME: &'static str = "TextEncoderStream";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        // https://encoding.spec.whatwg.org/#dom-textencoderstream
        idl.constructor(0, |new_target: &NewTarget<Self>, _, context| {
            let object = new_target.prepare(context)?;
            let transform = TransformStream::new(Encoding::default(), context)?;
            object.create(Self { transform }, context)
        });
        // TextEncoderCommon
        idl.readonly("encoding", |_, _| Ok(js_string!("utf-8")));
        // GenericTransformStream
        idl.readonly("readable", |this, context| {
            let transform = this.state().transform.clone();
            transform.readable()?.object(context)
        });
        idl.readonly("writable", |this, context| {
            let transform = this.state().transform.clone();
            transform.writable()?.object(context)
        });
        Ok(())
    }
}

/// Text to UTF-8.
#[derive(Default, Trace, Finalize)]
struct Encoding {
    /// The [leading surrogate](https://encoding.spec.whatwg.org/#textencoderstream-pending-high-surrogate) that the last
    /// chunk has ended with.
    #[unsafe_ignore_trace]
    pending: Cell<Option<u16>>,
}

impl Transformer for Encoding {
    /// <https://encoding.spec.whatwg.org/#encode-and-enqueue-a-chunk>
    fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let mut text = chunk.to_string(context)?;
        if text.is_empty() {
            return Ok(Promise::fulfilled());
        }
        if let Some(pending) = self.pending.take() {
            text = js_string!(&JsString::from(&[pending][..]), &text);
        }
        let last = text.code_unit_at(text.len() - 1);
        if let Some(leading @ 0xD800..=0xDBFF) = last {
            self.pending.set(Some(leading));
            text = text.get(..text.len() - 1).unwrap_or_default();
        }
        enqueue_bytes(&text, stream, context)
    }

    /// <https://encoding.spec.whatwg.org/#encode-and-flush>
    fn flush(&self, stream: &TransformStream, context: &mut Context) -> JsResult<Promise> {
        match self.pending.take() {
            Some(_) => enqueue_bytes(&js_string!("\u{fffd}"), stream, context),
            None => Ok(Promise::fulfilled()),
        }
    }
}

fn enqueue_bytes(
    text: &JsString,
    stream: &TransformStream,
    context: &mut Context,
) -> JsResult<Promise> {
    if !text.is_empty() {
        let bytes: JsObject = encoded(text, context)?.into();
        stream.enqueue(bytes.into(), context)?;
    }
    Ok(Promise::fulfilled())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::testing::cases;

    const COLLECT: &str = "const through = async (chunks, stream) => {
        const all = []; const from = ReadableStream.from(chunks);
        for await (const chunk of from.pipeThrough(stream)) all.push(chunk);
        return all;
    };";

    #[test]
    fn text_is_decoded_across_chunks() {
        let scripts = [
            (
                "through([new Uint8Array([0xEF, 0xBB]), new Uint8Array([0xBF, 0xF0, 0x9F]), new Uint8Array([0x99, 0x82, 65]).buffer, new Uint8Array()], new TextDecoderStream()).then(a => JSON.stringify(a))",
                "[\"\u{1f642}A\"]",
            ),
            (
                "through([new Uint8Array([65, 0xF0, 0x9F])], new TextDecoderStream()).then(a => JSON.stringify(a))",
                "[\"A\",\"\u{fffd}\"]",
            ),
            (
                "rejection(through([new Uint8Array([0xF0])], new TextDecoderStream('utf-8', { fatal: true })))",
                "TypeError",
            ),
            (
                "rejection(through(['text'], new TextDecoderStream()))",
                "TypeError",
            ),
            ("error(() => new TextDecoderStream('x'))", "RangeError"),
            (
                "const s = new TextDecoderStream('UTF-16', { fatal: 1, ignoreBOM: 1 }); [s.encoding, s.fatal, s.ignoreBOM, s.readable === s.readable, s.writable instanceof WritableStream].join()",
                "utf-16le,true,true,true,true",
            ),
        ];
        for (script, expected) in scripts {
            cases(&[(&format!("{COLLECT} {script}"), expected)]);
        }
    }

    #[test]
    fn text_is_encoded_across_chunks() {
        let scripts = [
            (
                "through(['a\\ud83d', '', '\\ude42', '\\ud83d', 'b', '\\ude42', 5, '\\ud83d'], new TextEncoderStream()).then(a => a.map(b => [...b].map(x => x.toString(16)).join('')).join())",
                "61,f09f9982,efbfbd62,efbfbd,35,efbfbd",
            ),
            (
                "rejection(through([Symbol()], new TextEncoderStream()))",
                "TypeError",
            ),
            (
                "const s = new TextEncoderStream(); [s.encoding, s.readable instanceof ReadableStream, String(s)].join()",
                "utf-8,true,[object TextEncoderStream]",
            ),
        ];
        for (script, expected) in scripts {
            cases(&[(&format!("{COLLECT} {script}"), expected)]);
        }
    }
}

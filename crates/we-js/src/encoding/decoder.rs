//! `TextDecoder`: <https://encoding.spec.whatwg.org/#interface-textdecoder>

use std::borrow::Cow;
use std::cell::RefCell;

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsString, JsValue, js_string,
    object::JsObject,
};
use boa_gc::{Finalize, Trace};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use crate::binding::{
    BufferSource, Definition, Dictionary, Interface, NewTarget, PlatformObject, This, from_utf8,
    not_a_buffer_source, to_usv_string,
};

/// The state of a `TextDecoder`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct TextDecoder {
    #[unsafe_ignore_trace]
    encoding: &'static Encoding,
    #[unsafe_ignore_trace]
    errors: ErrorMode,
    #[unsafe_ignore_trace]
    bom: ByteOrderMark,
    /// What is left of a call with `stream: true`. The "do not flush" flag is that there is something here.
    #[unsafe_ignore_trace]
    stream: RefCell<Option<Stream>>,
}

/// The [error mode](https://encoding.spec.whatwg.org/#textdecoder-error-mode)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorMode {
    Replacement,
    Fatal,
}

/// What becomes of a byte order mark: `ignoreBOM` ignores it in that it is no mark but a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteOrderMark {
    Removed,
    Kept,
}

/// A text that goes on in the next call.
struct Stream {
    decoder: Decoder,
    /// The [I/O queue](https://encoding.spec.whatwg.org/#textdecoder-i-o-queue): bytes after an error that was
    /// fatal to the call before.
    queue: Vec<u8>,
}

/// Why there is no text.
enum DecodeError {
    Malformed,
    TooLong,
}

impl From<DecodeError> for JsError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed => {
                JsNativeError::typ().with_message("the bytes are not valid in the encoding")
            }
            DecodeError::TooLong => {
                JsNativeError::range().with_message("the decoded text is too long")
            }
        }
        .into()
    }
}

impl PlatformObject for TextDecoder {}

impl Interface for TextDecoder {
    const NAME: &'static str = "TextDecoder";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.readonly("encoding", |this, _| Ok(this.state().encoding_name()));
        idl.readonly("fatal", |this, _| Ok(this.state().is_fatal()));
        idl.readonly("ignoreBOM", |this, _| Ok(this.state().ignores_bom()));
        idl.operation("decode", 0, decode);
        Ok(())
    }
}

/// <https://encoding.spec.whatwg.org/#dom-textdecoder>
fn construct(
    new_target: &NewTarget<TextDecoder>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let decoder = TextDecoder::from_arguments(args, context)?;
    new_target.create(decoder, context)
}

/// The constructor steps that decoders and their streams share.
fn from_arguments(args: &[JsValue], context: &mut Context) -> JsResult<TextDecoder> {
    let label = match args.get_or_undefined(0) {
        value if value.is_undefined() => js_string!("utf-8"),
        value => value.to_string(context)?,
    };
    let options = Dictionary::new(args.get_or_undefined(1))?;
    let errors = if options.boolean("fatal", false, context)? {
        ErrorMode::Fatal
    } else {
        ErrorMode::Replacement
    };
    let bom = if options.boolean("ignoreBOM", false, context)? {
        ByteOrderMark::Kept
    } else {
        ByteOrderMark::Removed
    };
    // 1., 2.
    let label = to_usv_string(&label);
    let encoding = Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
        JsNativeError::range().with_message(format!("'{label}' is not the label of an encoding"))
    })?;
    // 3. to 5.
    Ok(TextDecoder {
        encoding,
        errors,
        bom,
        stream: RefCell::new(None),
    })
}

/// <https://encoding.spec.whatwg.org/#dom-textdecoder-decode>
fn decode(this: &This<TextDecoder>, args: &[JsValue], context: &mut Context) -> JsResult<JsString> {
    let input = match args.get_or_undefined(0) {
        value if value.is_undefined() => None,
        value => Some(BufferSource::from_value(value, context).ok_or_else(not_a_buffer_source)?),
    };
    let stream = Dictionary::new(args.get_or_undefined(1))?.boolean("stream", false, context)?;
    let state = this.state();
    let text = match &input {
        Some(input) => input.with_bytes(|bytes| state.decode(bytes, stream)),
        None => state.decode(&[], stream),
    };
    Ok(text?)
}

impl TextDecoder {
    pub(super) fn from_arguments(args: &[JsValue], context: &mut Context) -> JsResult<Self> {
        from_arguments(args, context)
    }

    pub(super) fn encoding_name(&self) -> JsString {
        from_utf8(&self.encoding.name().to_ascii_lowercase())
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.errors == ErrorMode::Fatal
    }

    pub(super) fn ignores_bom(&self) -> bool {
        self.bom == ByteOrderMark::Kept
    }

    /// Decodes bytes that others will follow.
    pub(super) fn decode_next(&self, bytes: &[u8]) -> JsResult<JsString> {
        Ok(self.decode(bytes, true)?)
    }

    /// Decodes what is left.
    pub(super) fn decode_end(&self) -> JsResult<JsString> {
        Ok(self.decode(&[], false)?)
    }

    fn decode(&self, bytes: &[u8], stream: bool) -> Result<JsString, DecodeError> {
        match (self.stream.take(), stream) {
            // Nothing before and nothing after: the text in one piece.
            (None, false) => self.decode_whole(bytes),
            (Some(before), false) => self.decode_part(before, bytes, Last::Yes),
            (Some(before), true) => self.decode_part(before, bytes, Last::No),
            (None, true) => {
                let decoder = match self.bom {
                    ByteOrderMark::Removed => self.encoding.new_decoder_with_bom_removal(),
                    ByteOrderMark::Kept => self.encoding.new_decoder_without_bom_handling(),
                };
                self.decode_part(
                    Stream {
                        decoder,
                        queue: Vec::new(),
                    },
                    bytes,
                    Last::No,
                )
            }
        }
    }

    fn decode_whole(&self, bytes: &[u8]) -> Result<JsString, DecodeError> {
        let bytes = match self.bom {
            ByteOrderMark::Removed => self.without_bom(bytes),
            ByteOrderMark::Kept => bytes,
        };
        let text = match self.errors {
            // The same, but faster than the decoder on text that is valid.
            ErrorMode::Fatal if self.encoding == UTF_8 => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| DecodeError::Malformed)?,
            ErrorMode::Fatal => self
                .encoding
                .decode_without_bom_handling_and_without_replacement(bytes)
                .ok_or(DecodeError::Malformed)?,
            ErrorMode::Replacement => self.encoding.decode_without_bom_handling(bytes).0,
        };
        Ok(from_utf8(&text))
    }

    /// A byte order mark of another encoding is none of this one's.
    fn without_bom<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        match Encoding::for_bom(bytes) {
            Some((encoding, length)) if encoding == self.encoding => {
                bytes.get(length..).unwrap_or_default()
            }
            _ => bytes,
        }
    }

    fn decode_part(
        &self,
        mut before: Stream,
        bytes: &[u8],
        last: Last,
    ) -> Result<JsString, DecodeError> {
        let mut queue = std::mem::take(&mut before.queue);
        let bytes = if queue.is_empty() {
            bytes
        } else {
            queue.extend_from_slice(bytes);
            &queue
        };
        let (result, read) = decode_into_string(&mut before.decoder, bytes, self.errors, last);
        if last == Last::No {
            before.queue = bytes.get(read..).unwrap_or_default().to_vec();
            self.stream.replace(Some(before));
        }
        result.map(|text| from_utf8(&text))
    }
}

/// Whether the text ends with the bytes of this call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

/// Decodes up to the first fatal error; tells how many bytes were read.
fn decode_into_string(
    decoder: &mut Decoder,
    bytes: &[u8],
    errors: ErrorMode,
    last: Last,
) -> (Result<String, DecodeError>, usize) {
    let last = last == Last::Yes;
    let mut text = String::new();
    // Room for the longest text there can be, so that the decoder never stops for want of it.
    let room = match errors {
        ErrorMode::Replacement => decoder.max_utf8_buffer_length(bytes.len()),
        ErrorMode::Fatal => decoder.max_utf8_buffer_length_without_replacement(bytes.len()),
    };
    match room {
        Some(room) if text.try_reserve(room).is_ok() => {}
        _ => return (Err(DecodeError::TooLong), bytes.len()),
    }
    match errors {
        ErrorMode::Replacement => {
            let (_, read, _) = decoder.decode_to_string(bytes, &mut text, last);
            (Ok(text), read)
        }
        ErrorMode::Fatal => {
            match decoder.decode_to_string_without_replacement(bytes, &mut text, last) {
                (DecoderResult::Malformed(..), read) => (Err(DecodeError::Malformed), read),
                (DecoderResult::InputEmpty | DecoderResult::OutputFull, read) => (Ok(text), read),
            }
        }
    }
}

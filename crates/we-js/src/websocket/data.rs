//! What `send()` is given: `(BufferSource or Blob or USVString) data`.

use boa_engine::{Context, JsNativeError, JsResult, JsValue};
use we_net::protocol::{Message, Payload};

use crate::{
    binding::{BufferSource, This, usv_string},
    file::Blob,
};

/// Data that a script sends, converted as WebIDL says.
pub(crate) enum Data {
    Blob(This<Blob>),
    Buffer(BufferSource),
    Text(String),
}

impl Data {
    /// <https://webidl.spec.whatwg.org/#js-union>
    pub(crate) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        if let Some(blob) = This::<Blob>::from_value(value) {
            return Ok(Self::Blob(blob));
        }
        match BufferSource::from_value(value, context) {
            Some(buffer) => Ok(Self::Buffer(buffer)),
            None => Ok(Self::Text(usv_string(value, context)?)),
        }
    }

    /// How many bytes of payload it is.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Blob(blob) => blob.state().data().len(),
            Self::Buffer(buffer) => buffer.len() as u64,
            Self::Text(text) => text.len() as u64,
        }
    }

    /// The message that it is.
    ///
    /// # Errors
    /// A `RangeError` if a Blob is larger than what one piece of memory may hold.
    pub(crate) fn into_message(self) -> JsResult<Message> {
        Ok(match self {
            Self::Blob(blob) => match blob.state().data().to_aligned(u64::MAX) {
                Ok(bytes) => Message::Binary(Payload::from_inner(bytes)),
                Err(error) => {
                    return Err(JsNativeError::range()
                        .with_message(error.to_string())
                        .into());
                }
            },
            Self::Buffer(buffer) => {
                Message::Binary(buffer.with_bytes(|bytes| Payload::from(bytes)))
            }
            Self::Text(text) => Message::text(text),
        })
    }
}

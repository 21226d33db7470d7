//! `BufferSource`: ArrayBuffer, SharedArrayBuffer and the views on them, as bytes.
//! <https://webidl.spec.whatwg.org/#js-buffer-source-types>

use boa_engine::{
    Context, JsNativeError, JsResult, JsValue,
    object::{
        JsObject,
        builtins::{JsArrayBuffer, JsDataView, JsSharedArrayBuffer, JsTypedArray},
    },
};

use super::Primordials;

/// A buffer or a view on one, with the range of bytes that it showed when it was converted.
pub(crate) struct BufferSource {
    buffer: Buffer,
    offset: usize,
    length: usize,
    is_view: bool,
}

enum Buffer {
    Owned(JsArrayBuffer),
    Shared(JsSharedArrayBuffer),
}

impl BufferSource {
    /// The buffer source that `value` is, or `None` if it is something else.
    ///
    /// A detached buffer and a view that lies outside its shrunk buffer have no bytes. Shared and
    /// resizable buffers are accepted (`[AllowShared]`, `[AllowResizable]`): a caller whose IDL does not
    /// allow them refuses them by [`BufferSource::is_shared`].
    pub(crate) fn from_value(value: &JsValue, context: &mut Context) -> Option<Self> {
        let object = value.as_object()?;
        if let Ok(view) = JsTypedArray::from_object(object.clone()) {
            let buffer = Buffer::from_value(&view.buffer(context).ok()?)?;
            // The engine throws for a view that is out of bounds; the web sees an empty one.
            let offset = view.byte_offset(context).unwrap_or(0);
            let length = view.byte_length(context).unwrap_or(0);
            return Some(Self { buffer, offset, length, is_view: true });
        }
        if let Ok(view) = JsDataView::from_object(object.clone()) {
            let buffer = Buffer::from_value(&view.buffer(context).ok()?)?;
            let offset = view.byte_offset(context).unwrap_or(0) as usize;
            let length = view.byte_length(context).unwrap_or(0) as usize;
            return Some(Self { buffer, offset, length, is_view: true });
        }
        let buffer = Buffer::from_object(object)?;
        let length = buffer.len();
        Some(Self { buffer, offset: 0, length, is_view: false })
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether other agents may write to the bytes at any time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.buffer, Buffer::Shared(_))
    }

    /// Whether this is a view, and not a buffer itself.
    pub(crate) fn is_view(&self) -> bool {
        self.is_view
    }

    /// The TypeError for a buffer source that may be neither shared nor resizable, its IDL having neither
    /// `[AllowShared]` nor `[AllowResizable]`.
    pub(crate) fn require_plain(&self, context: &mut Context) -> JsResult<()> {
        if self.is_shared() {
            return Err(JsNativeError::typ().with_message("a view on a SharedArrayBuffer is not allowed here").into());
        }
        if self.is_resizable(context)? {
            return Err(JsNativeError::typ().with_message("a resizable ArrayBuffer is not allowed here").into());
        }
        Ok(())
    }

    /// Whether the buffer was made with a `maxByteLength`.
    pub(crate) fn is_resizable(&self, context: &mut Context) -> JsResult<bool> {
        let (getter, buffer) = match &self.buffer {
            Buffer::Owned(buffer) => {
                (Primordials::get(context, |it| &it.array_buffer_resizable)?, JsValue::from(buffer.clone()))
            }
            Buffer::Shared(buffer) => {
                (Primordials::get(context, |it| &it.shared_array_buffer_growable)?, JsValue::from(buffer.clone()))
            }
        };
        Ok(getter.call(&buffer, &[], context)?.to_boolean())
    }

    /// Calls `read` with the bytes. A shared buffer is copied first: it may change at any time.
    ///
    /// <https://webidl.spec.whatwg.org/#dfn-get-buffer-source-copy>
    pub(crate) fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        let range = self.offset..self.offset.saturating_add(self.length);
        match &self.buffer {
            Buffer::Owned(buffer) => {
                let bytes = buffer.data();
                read(bytes.as_deref().and_then(|bytes| bytes.get(range)).unwrap_or_default())
            }
            Buffer::Shared(buffer) => read(buffer.to_vec().get(range).unwrap_or_default()),
        }
    }

    /// Writes `bytes` to the start of the buffer source, as far as they fit; tells how many did.
    /// Shared buffers are written to through the engine's own stores.
    ///
    /// <https://webidl.spec.whatwg.org/#arraybufferview-write>
    pub(crate) fn write(&self, bytes: &[u8], context: &mut Context) -> JsResult<usize> {
        let count = bytes.len().min(self.length);
        let bytes = bytes.get(..count).unwrap_or_default();
        match &self.buffer {
            Buffer::Owned(buffer) => {
                let Some(mut target) = buffer.data_mut() else { return Ok(0) };
                let range = self.offset..self.offset.saturating_add(count);
                match target.get_mut(range) {
                    Some(target) => {
                        target.copy_from_slice(bytes);
                        Ok(count)
                    }
                    None => Ok(0),
                }
            }
            Buffer::Shared(buffer) => {
                let view =
                    boa_engine::object::builtins::JsUint8Array::from_shared_array_buffer(buffer.clone(), context)?;
                for (index, byte) in bytes.iter().enumerate() {
                    view.set(self.offset + index, *byte, false, context)?;
                }
                Ok(count)
            }
        }
    }
}

impl Buffer {
    fn from_value(value: &JsValue) -> Option<Self> {
        value.as_object().and_then(Self::from_object)
    }

    fn from_object(object: JsObject) -> Option<Self> {
        JsArrayBuffer::from_object(object.clone())
            .map(Self::Owned)
            .or_else(|_| JsSharedArrayBuffer::from_object(object).map(Self::Shared))
            .ok()
    }

    fn len(&self) -> usize {
        match self {
            // Zero once detached.
            Self::Owned(buffer) => buffer.data().map_or(0, |bytes| bytes.len()),
            Self::Shared(buffer) => buffer.byte_length(),
        }
    }
}

/// The error for a value that should have been a buffer source.
pub(crate) fn not_a_buffer_source() -> JsNativeError {
    JsNativeError::typ().with_message("an ArrayBuffer, or a view on one, is required")
}

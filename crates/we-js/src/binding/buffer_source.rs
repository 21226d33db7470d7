//! `BufferSource`: ArrayBuffer, SharedArrayBuffer and the views on them, as bytes.
//! <https://webidl.spec.whatwg.org/#js-buffer-source-types>

use boa_engine::{
    Context, JsNativeError, JsResult, JsValue,
    builtins::typed_array::TypedArrayKind,
    object::{
        JsObject,
        builtins::{JsArrayBuffer, JsDataView, JsSharedArrayBuffer, JsTypedArray, JsUint8Array},
    },
};

use super::Primordials;

/// A buffer or a view on one, with the range of bytes that it showed when it was converted.
pub(crate) struct BufferSource {
    buffer: Buffer,
    offset: usize,
    length: usize,
    view: Option<ViewKind>,
}

/// The views of the language, as far as an IDL tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewKind {
    Uint8Array,
    OtherTypedArray,
    DataView,
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
            let kind = match view.kind() {
                Some(TypedArrayKind::Uint8) => ViewKind::Uint8Array,
                _ => ViewKind::OtherTypedArray,
            };
            // The engine throws for a view that is out of bounds; the web sees an empty one.
            let offset = view.byte_offset(context).unwrap_or(0);
            let length = view.byte_length(context).unwrap_or(0);
            return Some(Self {
                buffer,
                offset,
                length,
                view: Some(kind),
            });
        }
        if let Ok(view) = JsDataView::from_object(object.clone()) {
            let buffer = Buffer::from_value(&view.buffer(context).ok()?)?;
            let offset = view.byte_offset(context).unwrap_or(0) as usize;
            let length = view.byte_length(context).unwrap_or(0) as usize;
            return Some(Self {
                buffer,
                offset,
                length,
                view: Some(ViewKind::DataView),
            });
        }
        let buffer = Buffer::from_object(object)?;
        let length = buffer.len();
        Some(Self {
            buffer,
            offset: 0,
            length,
            view: None,
        })
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether other agents may write to the bytes at any time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.buffer, Buffer::Shared(_))
    }

    /// Which view on its buffer this is, or `None` if it is a buffer itself.
    pub(crate) fn view_kind(&self) -> Option<ViewKind> {
        self.view
    }

    /// The TypeError for a buffer source that may be neither shared nor resizable, its IDL having neither
    /// `[AllowShared]` nor `[AllowResizable]`.
    pub(crate) fn require_plain(&self, context: &mut Context) -> JsResult<()> {
        if self.is_shared() {
            return Err(JsNativeError::typ()
                .with_message("a view on a SharedArrayBuffer is not allowed here")
                .into());
        }
        if self.is_resizable(context)? {
            return Err(JsNativeError::typ()
                .with_message("a resizable ArrayBuffer is not allowed here")
                .into());
        }
        Ok(())
    }

    /// Whether the buffer was made with a `maxByteLength`.
    pub(crate) fn is_resizable(&self, context: &mut Context) -> JsResult<bool> {
        let (getter, buffer) = match &self.buffer {
            Buffer::Owned(buffer) => (
                Primordials::get(context, |it| &it.array_buffer_resizable)?,
                JsValue::from(buffer.clone()),
            ),
            Buffer::Shared(buffer) => (
                Primordials::get(context, |it| &it.shared_array_buffer_growable)?,
                JsValue::from(buffer.clone()),
            ),
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
                read(
                    bytes
                        .as_deref()
                        .and_then(|bytes| bytes.get(range))
                        .unwrap_or_default(),
                )
            }
            Buffer::Shared(buffer) => read(buffer.to_vec().get(range).unwrap_or_default()),
        }
    }

    /// Has `fill` write to the bytes, from the first on; it tells how many it wrote. A shared buffer is written
    /// to by the engine's own stores, from a copy that is at most `most` bytes long.
    ///
    /// <https://webidl.spec.whatwg.org/#arraybufferview-write>
    pub(crate) fn write_with(
        &self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
        context: &mut Context,
    ) -> JsResult<usize> {
        match &self.buffer {
            Buffer::Owned(buffer) => {
                let range = self.offset..self.offset.saturating_add(self.length);
                let mut bytes = buffer.data_mut();
                Ok(fill(
                    bytes
                        .as_deref_mut()
                        .and_then(|bytes| bytes.get_mut(range))
                        .unwrap_or_default(),
                ))
            }
            Buffer::Shared(buffer) => {
                let mut bytes = vec![0; self.length.min(most)];
                let written = fill(&mut bytes);
                let view = JsUint8Array::from_shared_array_buffer(buffer.clone(), context)?;
                for (index, byte) in bytes.iter().take(written).enumerate() {
                    view.set(self.offset + index, *byte, false, context)?;
                }
                Ok(written)
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

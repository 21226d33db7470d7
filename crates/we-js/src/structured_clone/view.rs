//! Views on buffers: what a script cannot be asked, whether a view follows its buffer's length.

use boa_engine::{
    Context, JsResult, JsValue,
    builtins::{array_buffer::ArrayBuffer, typed_array::TypedArray},
    object::{
        JsObject,
        builtins::{JsArrayBuffer, JsDataView, JsSharedArrayBuffer, JsTypedArray},
    },
};

use super::record::ViewKind;
use crate::binding::Primordials;

/// The internal slots of a view.
pub(super) struct View {
    pub(super) buffer: JsObject,
    pub(super) kind: ViewKind,
    pub(super) offset: u64,
    /// `None` if the view follows the length of its buffer.
    pub(super) length: Option<u64>,
    /// Whether it lies outside of its buffer, which has shrunk or is detached.
    pub(super) out_of_bounds: bool,
}

/// More bytes than any buffer has, to ask a typed array how long it would be then.
const BEYOND_ALL_BUFFERS: usize = 1 << 53;

impl View {
    /// The view that `object` is, if it is one.
    pub(super) fn of(object: &JsObject, context: &mut Context) -> JsResult<Option<Self>> {
        if let Ok(array) = JsTypedArray::from_object(object.clone()) {
            let Some(buffer) = array.buffer(context)?.as_object() else {
                return Ok(None);
            };
            let Some(array) = object.downcast_ref::<TypedArray>() else {
                return Ok(None);
            };
            return Ok(Some(Self::of_typed_array(&array, buffer)));
        }
        if let Ok(view) = JsDataView::from_object(object.clone()) {
            let Some(buffer) = view.buffer(context)?.as_object() else {
                return Ok(None);
            };
            return Self::of_data_view(&view, buffer, context).map(Some);
        }
        Ok(None)
    }

    fn of_typed_array(array: &TypedArray, buffer: JsObject) -> Self {
        let offset = array.byte_offset();
        let follows = array.array_length(BEYOND_ALL_BUFFERS)
            != array.array_length(BEYOND_ALL_BUFFERS + size_of::<f64>());
        let end = if follows {
            offset
        } else {
            offset + array.byte_length(BEYOND_ALL_BUFFERS)
        };
        let out_of_bounds = byte_length(&buffer).is_none_or(|length| end > length);
        let length = (!follows).then(|| array.array_length(BEYOND_ALL_BUFFERS));
        Self {
            buffer,
            kind: ViewKind::TypedArray(array.kind()),
            offset,
            length,
            out_of_bounds,
        }
    }

    fn of_data_view(view: &JsDataView, buffer: JsObject, context: &mut Context) -> JsResult<Self> {
        let kind = ViewKind::DataView;
        // The getters throw for a view that is out of bounds.
        let (Ok(offset), Ok(length)) = (view.byte_offset(context), view.byte_length(context))
        else {
            return Ok(Self {
                buffer,
                kind,
                offset: 0,
                length: None,
                out_of_bounds: true,
            });
        };
        let at_end = byte_length(&buffer) == Some(offset + length);
        let follows = at_end && data_view_follows(view, &buffer, context)?;
        Ok(Self {
            buffer,
            kind,
            offset,
            length: (!follows).then_some(length),
            out_of_bounds: false,
        })
    }
}

/// The length of a buffer, `None` if it is detached.
fn byte_length(buffer: &JsObject) -> Option<u64> {
    if let Ok(buffer) = JsArrayBuffer::from_object(buffer.clone()) {
        return buffer.data().map(|bytes| bytes.len() as u64);
    }
    let buffer = JsSharedArrayBuffer::from_object(buffer.clone()).ok()?;
    Some(buffer.byte_length() as u64)
}

/// Whether a DataView that reaches to the end of its buffer does so because it has no length of its own.
///
/// The engine does not tell. So the buffer is made a little longer or shorter for a moment, in which no
/// script runs, to see whether the view follows. A growable shared buffer cannot be made shorter again: a view
/// that reaches to its end is taken for one that follows.
fn data_view_follows(
    view: &JsDataView,
    buffer: &JsObject,
    context: &mut Context,
) -> JsResult<bool> {
    let Ok(array_buffer) = JsArrayBuffer::from_object(buffer.clone()) else {
        let growable = Primordials::get(context, |it| &it.shared_array_buffer_growable)?;
        return Ok(growable
            .call(&JsValue::from(buffer.clone()), &[], context)?
            .to_boolean());
    };
    let resizable = Primordials::get(context, |it| &it.array_buffer_resizable)?;
    if !resizable
        .call(&JsValue::from(buffer.clone()), &[], context)?
        .to_boolean()
    {
        return Ok(false);
    }
    let length = array_buffer.byte_length() as u64;
    let before = view.byte_length(context)?;
    if resize(buffer, length + 1) {
        let after = view.byte_length(context);
        resize(buffer, length);
        return Ok(after? != before);
    }
    let Some(last) = array_buffer.data().and_then(|bytes| bytes.last().copied()) else {
        return Ok(true);
    };
    resize(buffer, length - 1);
    let follows = view.byte_length(context).is_ok();
    resize(buffer, length);
    if let Some(byte) = array_buffer
        .data_mut()
        .as_deref_mut()
        .and_then(<[u8]>::last_mut)
    {
        *byte = last;
    }
    Ok(follows)
}

fn resize(buffer: &JsObject, length: u64) -> bool {
    buffer
        .downcast_mut::<ArrayBuffer>()
        .is_some_and(|mut buffer| buffer.resize(length).is_ok())
}

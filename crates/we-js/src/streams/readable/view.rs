//! Views on ArrayBuffers, as byte streams take them apart and put them together.

use aligned_vec::AVec;
use boa_engine::{
    Context, JsNativeError, JsResult, JsValue,
    builtins::typed_array::TypedArrayKind,
    object::{
        JsObject,
        builtins::{AlignedVec, JsArrayBuffer, JsDataView, JsTypedArray},
    },
};
use boa_gc::{Finalize, Trace};

use crate::{
    binding::{BufferSource, not_a_buffer_source},
    event_loop,
};

/// An `ArrayBufferView` on a buffer that is neither shared nor resizable.
#[derive(Clone, Trace, Finalize)]
pub(super) struct View {
    pub(super) buffer: JsArrayBuffer,
    pub(super) offset: usize,
    pub(super) length: usize,
    #[unsafe_ignore_trace]
    pub(super) kind: ViewKind,
}

/// The constructor of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ViewKind(Option<TypedArrayKind>);

impl View {
    /// The conversion of a value to the IDL type.
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let source = BufferSource::from_value(value, context)
            .filter(|source| source.view_kind().is_some())
            .ok_or_else(|| JsNativeError::typ().with_message("an ArrayBufferView is required"))?;
        source.require_plain(context)?;
        let object = value.as_object().ok_or_else(not_a_buffer_source)?;
        let (buffer, offset, length, kind) = match JsTypedArray::from_object(object.clone()) {
            // A view on a detached buffer is out of bounds: the engine throws where the web sees zero.
            Ok(array) => (
                array.buffer(context)?,
                array.byte_offset(context).unwrap_or(0),
                array.byte_length(context).unwrap_or(0),
                array.kind(),
            ),
            Err(_) => {
                let view = JsDataView::from_object(object)?;
                (
                    view.buffer(context)?,
                    view.byte_offset(context).unwrap_or(0) as usize,
                    view.byte_length(context).unwrap_or(0) as usize,
                    None,
                )
            }
        };
        let buffer = buffer.as_object().ok_or_else(not_a_buffer_source)?;
        Ok(Self {
            buffer: JsArrayBuffer::from_object(buffer)?,
            offset,
            length,
            kind: ViewKind(kind),
        })
    }
}

impl ViewKind {
    pub(super) const UINT8_ARRAY: Self = Self(Some(TypedArrayKind::Uint8));

    /// The bytes of an element, one for a DataView.
    pub(super) fn element_size(self) -> usize {
        use TypedArrayKind as Kind;
        match self.0 {
            None | Some(Kind::Int8 | Kind::Uint8 | Kind::Uint8Clamped) => 1,
            Some(Kind::Int16 | Kind::Uint16) => 2,
            Some(Kind::Int32 | Kind::Uint32 | Kind::Float32) => 4,
            Some(_) => 8,
        }
    }

    /// `Construct(constructor, « buffer, offset, length »)`, the length counted in elements.
    pub(super) fn construct(
        self,
        buffer: &JsArrayBuffer,
        offset: usize,
        length: usize,
        context: &mut Context,
    ) -> JsResult<JsObject> {
        use TypedArrayKind as Kind;
        let constructors = context.intrinsics().constructors();
        let constructor = match self.0 {
            None => constructors.data_view(),
            Some(Kind::Int8) => constructors.typed_int8_array(),
            Some(Kind::Uint8) => constructors.typed_uint8_array(),
            Some(Kind::Uint8Clamped) => constructors.typed_uint8clamped_array(),
            Some(Kind::Int16) => constructors.typed_int16_array(),
            Some(Kind::Uint16) => constructors.typed_uint16_array(),
            Some(Kind::Int32) => constructors.typed_int32_array(),
            Some(Kind::Uint32) => constructors.typed_uint32_array(),
            Some(Kind::BigInt64) => constructors.typed_bigint64_array(),
            Some(Kind::BigUint64) => constructors.typed_biguint64_array(),
            Some(Kind::Float32) => constructors.typed_float32_array(),
            Some(_) => constructors.typed_float64_array(),
        };
        let constructor = constructor.constructor();
        let arguments = [
            buffer.clone().into(),
            JsValue::from(offset),
            JsValue::from(length),
        ];
        constructor.construct(&arguments, None, context)
    }
}

/// `IsDetachedBuffer`
pub(super) fn is_detached(buffer: &JsArrayBuffer) -> bool {
    buffer.data().is_none()
}

/// <https://streams.spec.whatwg.org/#transfer-array-buffer>
pub(super) fn transfer(buffer: &JsArrayBuffer, context: &mut Context) -> JsResult<JsArrayBuffer> {
    let bytes = buffer.detach(&JsValue::undefined())?;
    JsArrayBuffer::from_byte_block(bytes, context)
}

/// A buffer of zeros, or a RangeError if it would be too large.
pub(super) fn allocate(length: u64, context: &mut Context) -> JsResult<JsArrayBuffer> {
    let too_large = || JsNativeError::range().with_message("the buffer would be too large");
    let limit = {
        let hooks = context.host_hooks();
        hooks.max_buffer_size(context)
    };
    if length > limit {
        return Err(too_large().into());
    }
    let length = usize::try_from(length).map_err(|_| too_large())?;
    let mut bytes: AlignedVec<u8> = AVec::new(0);
    bytes.try_reserve_exact(length).map_err(|_| too_large())?;
    bytes.resize(length, 0);
    event_loop::account_external(length, context);
    JsArrayBuffer::from_byte_block(bytes, context)
}

/// `CloneArrayBuffer(buffer, offset, length, %ArrayBuffer%)`
pub(super) fn clone(
    buffer: &JsArrayBuffer,
    offset: usize,
    length: usize,
    context: &mut Context,
) -> JsResult<JsArrayBuffer> {
    let copy = allocate(length as u64, context)?;
    copy_bytes(&copy, 0, buffer, offset, length)?;
    Ok(copy)
}

/// `CopyDataBlockBytes`, with the checks of
/// <https://streams.spec.whatwg.org/#abstract-opdef-cancopydatablockbytes>
pub(super) fn copy_bytes(
    to: &JsArrayBuffer,
    to_index: usize,
    from: &JsArrayBuffer,
    from_index: usize,
    count: usize,
) -> JsResult<()> {
    let impossible = || JsNativeError::typ().with_message("bytes of a stream cannot be copied");
    if JsObject::equals(to, from) {
        return Err(impossible().into());
    }
    let (mut to, from) = (to.data_mut(), from.data());
    let source = from
        .as_deref()
        .and_then(|bytes| bytes.get(from_index..from_index.checked_add(count)?));
    let target = to
        .as_deref_mut()
        .and_then(|bytes| bytes.get_mut(to_index..to_index.checked_add(count)?));
    match (target, source) {
        (Some(target), Some(source)) => {
            target.copy_from_slice(source);
            Ok(())
        }
        _ => Err(impossible().into()),
    }
}

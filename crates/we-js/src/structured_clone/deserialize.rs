//! [StructuredDeserialize]: first all objects are made, empty, then they are filled.
//!
//! [StructuredDeserialize]: https://html.spec.whatwg.org/multipage/structured-data.html#structureddeserialize

use boa_engine::{
    Context, JsNativeError, JsResult, JsString, JsValue,
    builtins::typed_array::TypedArrayKind,
    context::intrinsics::StandardConstructor,
    js_string,
    object::{
        JsObject,
        builtins::{JsArray, JsArrayBuffer, JsMap, JsRegExp, JsSet, JsSharedArrayBuffer},
    },
    property::{PropertyDescriptor, PropertyKey},
};

use super::record::{ErrorType, Key, Node, Record, Text, Value, ViewKind};
use crate::{event_loop, file::AlignedBytes};

/// What a record becomes: the result of [StructuredDeserializeWithTransfer].
///
/// [StructuredDeserializeWithTransfer]: https://html.spec.whatwg.org/multipage/structured-data.html#structureddeserializewithtransfer
pub(crate) struct Deserialized {
    pub(crate) value: JsValue,
    /// `[[TransferredValues]]`, in the order in which they were asked to be transferred.
    pub(crate) transferred: Vec<JsObject>,
}

/// Makes the value of a record anew in the current realm.
pub(crate) fn deserialize(record: Record, context: &mut Context) -> JsResult<Deserialized> {
    let Record {
        root,
        nodes,
        transferred,
    } = record;
    let mut objects = Objects(Vec::with_capacity(nodes.len()));
    let mut contents = Vec::new();
    for node in nodes {
        let (object, content) = objects.create(node, context)?;
        if let Some(content) = content {
            contents.push((object.clone(), content));
        }
        objects.0.push(object);
    }
    for (object, content) in contents {
        objects.fill(object, content, context)?;
    }
    let value = objects.value(&root)?;
    objects.0.truncate(transferred);
    Ok(Deserialized {
        value,
        transferred: objects.0,
    })
}

/// What an object is filled with when all objects are there.
enum Content {
    Properties(Vec<(Key, Value)>),
    Map(Vec<Value>),
    Set(Vec<Value>),
    Cause(Value),
}

/// The objects made so far, by their place in the list.
struct Objects(Vec<JsObject>);

impl Objects {
    fn get(&self, index: usize) -> JsResult<JsObject> {
        let object = self.0.get(index).cloned();
        object.ok_or_else(|| {
            JsNativeError::typ()
                .with_message("a serialized value refers to nothing")
                .into()
        })
    }

    fn value(&self, value: &Value) -> JsResult<JsValue> {
        Ok(match value {
            Value::Undefined => JsValue::undefined(),
            Value::Null => JsValue::null(),
            Value::Boolean(boolean) => (*boolean).into(),
            Value::Number(number) => (*number).into(),
            Value::BigInt(integer) => integer.into(),
            Value::String(text) => JsString::from(text).into(),
            Value::Object(index) => self.get(*index)?.into(),
        })
    }

    /// Steps 4 to 23.
    fn create(&self, node: Node, context: &mut Context) -> JsResult<(JsObject, Option<Content>)> {
        let object = match node {
            Node::Boolean(boolean) => JsValue::from(boolean).to_object(context)?,
            Node::Number(number) => JsValue::from(number).to_object(context)?,
            Node::BigInt(integer) => JsValue::from(&integer).to_object(context)?,
            Node::String(text) => JsValue::from(JsString::from(&text)).to_object(context)?,
            Node::Date(time) => {
                let date = context.intrinsics().constructors().date().clone();
                construct(&date, &[time.into()], context)?
            }
            Node::RegExp { source, flags } => {
                JsRegExp::new(JsString::from(&source), JsString::from(&flags), context)?.into()
            }
            Node::ArrayBuffer { bytes, max_length } => array_buffer(bytes, max_length, context)?,
            Node::SharedArrayBuffer(buffer) => {
                JsSharedArrayBuffer::from_buffer(buffer, context).into()
            }
            Node::View {
                buffer,
                kind,
                offset,
                length,
            } => {
                let mut arguments = vec![JsValue::from(self.get(buffer)?), (offset as f64).into()];
                arguments.extend(length.map(|length| JsValue::from(length as f64)));
                construct(&view_constructor(kind, context), &arguments, context)?
            }
            Node::Map(values) => {
                return Ok((JsMap::new(context).into(), Some(Content::Map(values))));
            }
            Node::Set(values) => {
                return Ok((JsSet::new(context).into(), Some(Content::Set(values))));
            }
            Node::Error {
                name,
                message,
                stack,
                cause,
            } => {
                let object = error(name, message.as_ref(), stack.as_ref(), context)?;
                return Ok((object, cause.map(Content::Cause)));
            }
            Node::Array { length, properties } => {
                let array = JsArray::new(context)?;
                array.set(js_string!("length"), length, true, context)?;
                return Ok((array.into(), Some(Content::Properties(properties))));
            }
            Node::Object(properties) => {
                let object = JsObject::with_object_proto(context.intrinsics());
                return Ok((object, Some(Content::Properties(properties))));
            }
            Node::Serialized(serialized) => serialized.deserialize(context)?,
            Node::Transferred(transferred) => transferred.receive(context)?,
            Node::ToBeTransferred => {
                return Err(JsNativeError::typ()
                    .with_message("an object was not transferred")
                    .into());
            }
        };
        Ok((object, None))
    }

    /// Step 24.
    fn fill(&self, object: JsObject, content: Content, context: &mut Context) -> JsResult<()> {
        match content {
            Content::Properties(properties) => {
                for (key, value) in properties {
                    let value = self.value(&value)?;
                    object.create_data_property_or_throw(
                        PropertyKey::from(&key),
                        value,
                        context,
                    )?;
                }
            }
            Content::Map(values) => {
                let map = JsMap::from_object(object)?;
                for pair in values.chunks_exact(2) {
                    if let [key, value] = pair {
                        map.set(self.value(key)?, self.value(value)?, context)?;
                    }
                }
            }
            Content::Set(values) => {
                if let Ok(set) = JsSet::from_object(object) {
                    for value in values {
                        set.add(self.value(&value)?, context)?;
                    }
                }
            }
            Content::Cause(cause) => {
                object.insert_property(js_string!("cause"), hidden(self.value(&cause)?));
            }
        }
        Ok(())
    }
}

fn construct(
    of: &StandardConstructor,
    arguments: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    of.constructor().construct(arguments, None, context)
}

fn array_buffer(
    bytes: AlignedBytes,
    max_length: Option<u64>,
    context: &mut Context,
) -> JsResult<JsObject> {
    if bytes.len() as u64 > context.host_hooks().max_buffer_size(context) {
        return Err(JsNativeError::range()
            .with_message("the ArrayBuffer is too large")
            .into());
    }
    event_loop::account_external(bytes.len(), context);
    let buffer = JsArrayBuffer::from_byte_block(bytes, context)?;
    Ok(match max_length {
        Some(max_length) => buffer.with_max_byte_length(max_length).into(),
        None => buffer.into(),
    })
}

fn view_constructor(kind: ViewKind, context: &Context) -> StandardConstructor {
    let constructors = context.intrinsics().constructors();
    let constructor = match kind {
        ViewKind::DataView => constructors.data_view(),
        ViewKind::TypedArray(kind) => match kind {
            TypedArrayKind::Int8 => constructors.typed_int8_array(),
            TypedArrayKind::Uint8 => constructors.typed_uint8_array(),
            TypedArrayKind::Uint8Clamped => constructors.typed_uint8clamped_array(),
            TypedArrayKind::Int16 => constructors.typed_int16_array(),
            TypedArrayKind::Uint16 => constructors.typed_uint16_array(),
            TypedArrayKind::Int32 => constructors.typed_int32_array(),
            TypedArrayKind::Uint32 => constructors.typed_uint32_array(),
            TypedArrayKind::BigInt64 => constructors.typed_bigint64_array(),
            TypedArrayKind::BigUint64 => constructors.typed_biguint64_array(),
            TypedArrayKind::Float16 => constructors.typed_float16_array(),
            TypedArrayKind::Float32 => constructors.typed_float32_array(),
            TypedArrayKind::Float64 => constructors.typed_float64_array(),
        },
    };
    constructor.clone()
}

fn error(
    name: ErrorType,
    message: Option<&Text>,
    stack: Option<&Text>,
    context: &mut Context,
) -> JsResult<JsObject> {
    let constructors = context.intrinsics().constructors();
    let constructor = match name {
        ErrorType::Error => constructors.error(),
        ErrorType::Eval => constructors.eval_error(),
        ErrorType::Range => constructors.range_error(),
        ErrorType::Reference => constructors.reference_error(),
        ErrorType::Syntax => constructors.syntax_error(),
        ErrorType::Type => constructors.type_error(),
        ErrorType::Uri => constructors.uri_error(),
    }
    .clone();
    let object = construct(&constructor, &[], context)?;
    if let Some(message) = message {
        object.insert_property(js_string!("message"), hidden(JsString::from(message)));
    }
    define_stack(&object, stack);
    Ok(object)
}

/// The stack of where the original was made, not of where it is made anew.
pub(crate) fn define_stack(object: &JsObject, stack: Option<&Text>) {
    if let Some(stack) = stack {
        object.insert_property(js_string!("stack"), hidden(JsString::from(stack)));
    }
}

/// A property as the language gives to errors: all but enumerable.
fn hidden(value: impl Into<JsValue>) -> PropertyDescriptor {
    PropertyDescriptor::builder()
        .value(value)
        .writable(true)
        .enumerable(false)
        .configurable(true)
        .build()
}

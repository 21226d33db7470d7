//! [StructuredSerializeInternal][spec] and [StructuredSerializeWithTransfer].
//!
//! [spec]: https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializeinternal
//! [StructuredSerializeWithTransfer]: https://html.spec.whatwg.org/multipage/structured-data.html#structuredserializewithtransfer

use std::{collections::HashMap, vec};

use boa_engine::{
    Context, JsBigInt, JsNativeError, JsResult, JsString, JsValue, JsVariant,
    builtins::error::Error,
    js_string,
    object::{
        JsObject,
        builtins::{JsArrayBuffer, JsDate, JsMap, JsRegExp, JsSet, JsSharedArrayBuffer},
    },
    property::{PropertyDescriptor, PropertyKey},
};

use super::{
    data_clone_error,
    platform::{self, Kind},
    record::{ErrorType, Key, Node, Record, Text, Value, copy},
    view::View,
};
use crate::binding::Primordials;

/// Serializes `value`; the objects of `transfer` are moved into the record and are detached.
pub(crate) fn serialize(
    value: &JsValue,
    transfer: &[JsObject],
    context: &mut Context,
) -> JsResult<Record> {
    let mut serializer = Serializer::default();
    // StructuredSerializeWithTransfer, steps 1, 2
    for object in transfer {
        if JsArrayBuffer::from_object(object.clone()).is_err() && Kind::find(object).is_none() {
            return Err(data_clone_error(
                "an object of this kind cannot be transferred",
                context,
            ));
        }
        if serializer.memory.contains_key(object) {
            return Err(data_clone_error(
                "the same object cannot be transferred twice",
                context,
            ));
        }
        serializer.add(object, Node::ToBeTransferred);
    }
    // 3.
    let root = serializer.value(value, context)?;
    serializer.run(context)?;
    // 4., 5. What has been transferred before one that cannot be stays transferred.
    let mut nodes = serializer.nodes;
    for (node, object) in nodes.iter_mut().zip(transfer) {
        *node = match self::transfer(object, context)? {
            Some(node) => node,
            None => {
                let message = "a detached object cannot be transferred";
                return Err(data_clone_error(message, context));
            }
        };
    }
    Ok(Record {
        root,
        nodes,
        transferred: transfer.len(),
    })
}

/// Step 5: moves what an object has into a record; `None` if it is detached.
fn transfer(object: &JsObject, context: &mut Context) -> JsResult<Option<Node>> {
    if let Some(kind) = Kind::find(object) {
        let transferred = kind.transfer(object, context)?;
        return Ok(transferred.map(Node::Transferred));
    }
    let buffer = JsArrayBuffer::from_object(object.clone())?;
    let max_length = max_byte_length(object, context)?;
    let bytes = buffer.detach(&JsValue::undefined()).ok();
    Ok(bytes.map(|bytes| Node::ArrayBuffer { bytes, max_length }))
}

#[derive(Default)]
struct Serializer {
    /// The standard's memory: where in the list an object is.
    memory: HashMap<JsObject, usize>,
    nodes: Vec<Node>,
    /// Objects whose contents are being serialized, each within the one before.
    stack: Vec<Frame>,
}

/// The contents of an object that are still to be serialized.
enum Frame {
    /// Properties of a plain object or an array, the values yet to be read.
    Properties {
        node: usize,
        object: JsObject,
        keys: vec::IntoIter<PropertyKey>,
    },
    /// Entries of a map or set, or the cause of an error.
    Values {
        node: usize,
        values: vec::IntoIter<JsValue>,
    },
}

impl Serializer {
    /// Adds an object's record to the list and remembers it.
    fn add(&mut self, object: &JsObject, node: Node) -> usize {
        let index = self.nodes.len();
        self.nodes.push(node);
        self.memory.insert(object.clone(), index);
        index
    }

    /// Serializes the contents of all objects that were met, depth first, as the standard's recursion does.
    fn run(&mut self, context: &mut Context) -> JsResult<()> {
        while let Some(frame) = self.stack.last_mut() {
            match frame {
                Frame::Properties { node, object, keys } => {
                    let Some(key) = keys.next() else {
                        self.stack.pop();
                        continue;
                    };
                    let (node, object) = (*node, object.clone());
                    self.property(node, &object, key, context)?;
                }
                Frame::Values { node, values } => {
                    let Some(value) = values.next() else {
                        self.stack.pop();
                        continue;
                    };
                    let node = *node;
                    let value = self.value(&value, context)?;
                    match self.nodes.get_mut(node) {
                        Some(Node::Map(values) | Node::Set(values)) => values.push(value),
                        Some(Node::Error { cause, .. }) => *cause = Some(value),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Step 26.4: one property, if it is still there.
    fn property(
        &mut self,
        node: usize,
        object: &JsObject,
        key: PropertyKey,
        context: &mut Context,
    ) -> JsResult<()> {
        if !object.has_own_property(key.clone(), context)? {
            return Ok(());
        }
        let value = object.get(key.clone(), context)?;
        let value = self.value(&value, context)?;
        if let Some(Node::Array { properties, .. } | Node::Object(properties)) =
            self.nodes.get_mut(node)
            && let Some(key) = Key::new(&key)
        {
            properties.push((key, value));
        }
        Ok(())
    }

    /// Steps 1 to 6: primitives.
    fn value(&mut self, value: &JsValue, context: &mut Context) -> JsResult<Value> {
        Ok(match value.variant() {
            JsVariant::Undefined => Value::Undefined,
            JsVariant::Null => Value::Null,
            JsVariant::Boolean(boolean) => Value::Boolean(boolean),
            JsVariant::Integer32(number) => Value::Number(number.into()),
            JsVariant::Float64(number) => Value::Number(number),
            JsVariant::BigInt(integer) => Value::BigInt((&integer).into()),
            JsVariant::String(string) => Value::String((&string).into()),
            JsVariant::Symbol(_) => {
                return Err(data_clone_error("a symbol cannot be cloned", context));
            }
            JsVariant::Object(object) => Value::Object(self.object(&object, context)?),
        })
    }

    /// The remaining steps: an object. Its contents are left to [`Serializer::run`].
    fn object(&mut self, object: &JsObject, context: &mut Context) -> JsResult<usize> {
        // 2.
        if let Some(index) = self.memory.get(object) {
            return Ok(*index);
        }
        // 7. to 12., 18. and platform objects
        if let Some(node) = leaf(object, context)? {
            return Ok(self.add(object, node));
        }
        // 13.
        if let Some(node) = buffer(object, context)? {
            return Ok(self.add(object, node));
        }
        // 14.
        if let Some(view) = View::of(object, context)? {
            return self.view(object, view, context);
        }
        // 15.
        if let Ok(map) = JsMap::from_object(object.clone()) {
            let mut values = Vec::new();
            map.for_each_native(|key, value| {
                values.extend([key, value]);
                Ok(())
            })?;
            let node = self.add(object, Node::Map(Vec::with_capacity(values.len())));
            self.stack.push(Frame::Values {
                node,
                values: values.into_iter(),
            });
            return Ok(node);
        }
        // 16.
        if let Ok(set) = JsSet::from_object(object.clone()) {
            let mut values = Vec::new();
            set.for_each_native(|value| {
                values.push(value);
                Ok(())
            })?;
            let node = self.add(object, Node::Set(Vec::with_capacity(values.len())));
            self.stack.push(Frame::Values {
                node,
                values: values.into_iter(),
            });
            return Ok(node);
        }
        // 17.
        if object.is::<Error>() {
            return self.error(object, context);
        }
        // 20. to 25.
        let node = if object.is_array() {
            let length = object.get(js_string!("length"), context)?.to_u32(context)?;
            Node::Array {
                length,
                properties: Vec::new(),
            }
        } else if object.is_ordinary() && !object.is_callable() {
            Node::Object(Vec::new())
        } else {
            let what = if object.is_callable() {
                "a function"
            } else {
                "an object of this kind"
            };
            return Err(data_clone_error(
                &format!("{what} cannot be cloned"),
                context,
            ));
        };
        let node = self.add(object, node);
        // 26.
        let keys = enumerable_own_keys(object, context)?.into_iter();
        self.stack.push(Frame::Properties {
            node,
            object: object.clone(),
            keys,
        });
        Ok(node)
    }

    /// Step 14. The view comes after its buffer in the list.
    fn view(&mut self, object: &JsObject, view: View, context: &mut Context) -> JsResult<usize> {
        if view.out_of_bounds {
            return Err(data_clone_error(
                "a view on a detached or shrunk buffer cannot be cloned",
                context,
            ));
        }
        let buffer = self.object(&view.buffer, context)?;
        let View {
            kind,
            offset,
            length,
            ..
        } = view;
        Ok(self.add(
            object,
            Node::View {
                buffer,
                kind,
                offset,
                length,
            },
        ))
    }

    /// Step 17. The standard leaves it to us to add the stack, and browsers add the cause.
    fn error(&mut self, object: &JsObject, context: &mut Context) -> JsResult<usize> {
        let name = object
            .get(js_string!("name"), context)?
            .to_string(context)?;
        let name = ErrorType::from_name(&name.to_std_string_lossy());
        let message = match own_value(object, "message") {
            Some(message) => Some(Text::from(&message.to_string(context)?)),
            None => None,
        };
        let stack = stack_of(object, context)?;
        let node = self.add(
            object,
            Node::Error {
                name,
                message,
                stack,
                cause: None,
            },
        );
        if let Some(cause) = own_value(object, "cause") {
            self.stack.push(Frame::Values {
                node,
                values: vec![cause].into_iter(),
            });
        }
        Ok(node)
    }
}

/// The record of an object without contents.
fn leaf(object: &JsObject, context: &mut Context) -> JsResult<Option<Node>> {
    if let Some(boolean) = object.downcast_ref::<bool>() {
        return Ok(Some(Node::Boolean(*boolean)));
    }
    if let Some(number) = object.downcast_ref::<f64>() {
        return Ok(Some(Node::Number(*number)));
    }
    if let Some(integer) = object.downcast_ref::<JsBigInt>() {
        return Ok(Some(Node::BigInt((&*integer).into())));
    }
    if let Some(string) = object.downcast_ref::<JsString>() {
        return Ok(Some(Node::String((&*string).into())));
    }
    if let Ok(date) = JsDate::from_object(object.clone()) {
        return Ok(Some(Node::Date(
            date.get_time(context)?.to_number(context)?,
        )));
    }
    if JsRegExp::from_object(object.clone()).is_ok() {
        let source = Primordials::reg_exp_source(object, context)?;
        let flags = Primordials::reg_exp_flags(object, context)?;
        return Ok(Some(Node::RegExp {
            source: (&source).into(),
            flags: (&JsString::from(flags.as_str())).into(),
        }));
    }
    Ok(platform::serialize(object, context)?.map(Node::Serialized))
}

/// Step 13: a buffer that is not transferred.
fn buffer(object: &JsObject, context: &mut Context) -> JsResult<Option<Node>> {
    if let Ok(buffer) = JsSharedArrayBuffer::from_object(object.clone()) {
        return Ok(Some(Node::SharedArrayBuffer(buffer.inner())));
    }
    let Ok(buffer) = JsArrayBuffer::from_object(object.clone()) else {
        return Ok(None);
    };
    let bytes = match buffer.data().as_deref() {
        Some(bytes) => {
            copy(bytes).ok_or_else(|| JsNativeError::range().with_message("out of memory"))?
        }
        None => {
            return Err(data_clone_error(
                "a detached ArrayBuffer cannot be cloned",
                context,
            ));
        }
    };
    let max_length = max_byte_length(object, context)?;
    Ok(Some(Node::ArrayBuffer { bytes, max_length }))
}

/// The `maxByteLength` of a resizable buffer.
fn max_byte_length(buffer: &JsObject, context: &mut Context) -> JsResult<Option<u64>> {
    let this = JsValue::from(buffer.clone());
    let resizable = Primordials::get(context, |it| &it.array_buffer_resizable)?;
    if !resizable.call(&this, &[], context)?.to_boolean() {
        return Ok(None);
    }
    let max_byte_length = Primordials::get(context, |it| &it.array_buffer_max_byte_length)?;
    let max_byte_length = max_byte_length
        .call(&this, &[], context)?
        .to_number(context)?;
    Ok(Some(max_byte_length as u64))
}

/// [EnumerableOwnProperties](https://tc39.es/ecma262/#sec-enumerableownproperties) of an object that is no proxy.
fn enumerable_own_keys(object: &JsObject, context: &mut Context) -> JsResult<Vec<PropertyKey>> {
    let mut keys = object.own_property_keys(context)?;
    let object = object.borrow();
    keys.retain(|key| {
        let enumerable = object
            .properties()
            .get(key)
            .and_then(|property| property.enumerable());
        !matches!(key, PropertyKey::Symbol(_)) && enumerable == Some(true)
    });
    Ok(keys)
}

/// The value of an own data property, which no script is asked for.
fn own_value(object: &JsObject, name: &'static str) -> Option<JsValue> {
    let property: PropertyDescriptor =
        object.borrow().properties().get(&js_string!(name).into())?;
    property.value().cloned()
}

/// The value of an own data property, if it is a string.
pub(crate) fn own_string(object: &JsObject, name: &'static str) -> Option<Text> {
    own_value(object, name)?
        .as_string()
        .map(|string| Text::from(&string))
}

/// The stack of an error: its own property, or what the engine has recorded.
fn stack_of(object: &JsObject, context: &mut Context) -> JsResult<Option<Text>> {
    if let Some(stack) = own_string(object, "stack") {
        return Ok(Some(stack));
    }
    let stack = Primordials::get(context, |it| &it.error_stack)?;
    let stack = stack.call(&JsValue::from(object.clone()), &[], context)?;
    Ok(stack.as_string().map(|stack| Text::from(&stack)))
}

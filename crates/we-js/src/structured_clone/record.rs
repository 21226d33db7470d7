//! What a serialized value looks like: the standard's records, in one flat list.

use std::sync::Arc;

use aligned_vec::AVec;
use boa_engine::{
    JsBigInt, JsString, JsValue,
    builtins::{array_buffer::SharedArrayBuffer, typed_array::TypedArrayKind},
    property::PropertyKey,
    string::{JsStr, JsStrVariant},
};

use super::platform::{Serialized, Transferred};
use crate::file::AlignedBytes;

/// A serialized value.
#[derive(Debug)]
pub(crate) struct Record {
    pub(super) root: Value,
    /// All objects: first those that are transferred, then the others in the order in which they were met; a view after
    /// its buffer.
    pub(super) nodes: Vec<Node>,
    /// How many are transferred.
    pub(super) transferred: usize,
}

impl Record {
    /// The same once more, for another agent. `None` if there is no memory for it, or something was moved into it, which
    /// cannot be in two places.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            root: self.root.clone(),
            nodes: self
                .nodes
                .iter()
                .map(Node::duplicate)
                .collect::<Option<_>>()?,
            transferred: self.transferred,
        })
    }
}

/// A value: a primitive, or an object by its place in the list.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Undefined,
    Null,
    Boolean(bool),
    Number(f64),
    BigInt(BigInt),
    String(Text),
    Object(usize),
}

/// A serialized object.
#[derive(Debug)]
pub(super) enum Node {
    /// An object that is to be transferred, before it has been.
    ToBeTransferred,
    Boolean(bool),
    Number(f64),
    BigInt(BigInt),
    String(Text),
    Date(f64),
    RegExp {
        source: Text,
        flags: Text,
    },
    ArrayBuffer {
        bytes: AlignedBytes,
        max_length: Option<u64>,
    },
    SharedArrayBuffer(SharedArrayBuffer),
    View {
        buffer: usize,
        kind: ViewKind,
        offset: u64,
        length: Option<u64>,
    },
    /// Keys and values by turns.
    Map(Vec<Value>),
    Set(Vec<Value>),
    Error {
        name: ErrorType,
        message: Option<Text>,
        stack: Option<Text>,
        cause: Option<Value>,
    },
    Array {
        length: u32,
        properties: Vec<(Key, Value)>,
    },
    Object(Vec<(Key, Value)>),
    /// A platform object that was cloned.
    Serialized(Arc<dyn Serialized>),
    /// A platform object that was moved.
    Transferred(Box<dyn Transferred>),
}

impl Node {
    fn duplicate(&self) -> Option<Self> {
        Some(match self {
            Self::ToBeTransferred | Self::Transferred(_) => return None,
            Self::Boolean(boolean) => Self::Boolean(*boolean),
            Self::Number(number) => Self::Number(*number),
            Self::BigInt(integer) => Self::BigInt(integer.clone()),
            Self::String(text) => Self::String(text.clone()),
            Self::Date(time) => Self::Date(*time),
            Self::RegExp { source, flags } => Self::RegExp {
                source: source.clone(),
                flags: flags.clone(),
            },
            Self::ArrayBuffer { bytes, max_length } => Self::ArrayBuffer {
                bytes: copy(bytes)?,
                max_length: *max_length,
            },
            Self::SharedArrayBuffer(buffer) => Self::SharedArrayBuffer(buffer.clone()),
            Self::View {
                buffer,
                kind,
                offset,
                length,
            } => Self::View {
                buffer: *buffer,
                kind: *kind,
                offset: *offset,
                length: *length,
            },
            Self::Map(values) => Self::Map(values.clone()),
            Self::Set(values) => Self::Set(values.clone()),
            Self::Error {
                name,
                message,
                stack,
                cause,
            } => Self::Error {
                name: *name,
                message: message.clone(),
                stack: stack.clone(),
                cause: cause.clone(),
            },
            Self::Array { length, properties } => Self::Array {
                length: *length,
                properties: properties.clone(),
            },
            Self::Object(properties) => Self::Object(properties.clone()),
            Self::Serialized(serialized) => Self::Serialized(serialized.clone()),
        })
    }
}

/// Copies bytes, if there is memory for them.
pub(super) fn copy(bytes: &[u8]) -> Option<AlignedBytes> {
    let mut copy = AVec::new(0);
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

/// Which constructor a view is of. The length of a typed array is in elements, a DataView's in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum ViewKind {
    TypedArray(TypedArrayKind),
    DataView,
}

/// The names of errors that survive; all others become "Error".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorType {
    Error,
    Eval,
    Range,
    Reference,
    Syntax,
    Type,
    Uri,
}

impl ErrorType {
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "EvalError" => Self::Eval,
            "RangeError" => Self::Range,
            "ReferenceError" => Self::Reference,
            "SyntaxError" => Self::Syntax,
            "TypeError" => Self::Type,
            "URIError" => Self::Uri,
            _ => Self::Error,
        }
    }
}

/// A string, as the engine stores it.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Latin1(Box<[u8]>),
    Utf16(Box<[u16]>),
}

impl From<&JsString> for Text {
    fn from(string: &JsString) -> Self {
        match string.as_str().variant() {
            JsStrVariant::Latin1(bytes) => Self::Latin1(bytes.into()),
            JsStrVariant::Utf16(units) => Self::Utf16(units.into()),
        }
    }
}

impl From<&Text> for JsString {
    fn from(text: &Text) -> Self {
        match text {
            Text::Latin1(bytes) => Self::from(JsStr::latin1(bytes)),
            Text::Utf16(units) => Self::from(JsStr::utf16(units)),
        }
    }
}

/// The name of a property, which is never a symbol.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Index(u32),
    Text(Text),
}

impl Key {
    pub(super) fn new(key: &PropertyKey) -> Option<Self> {
        match key {
            PropertyKey::String(name) => Some(Self::Text(name.into())),
            PropertyKey::Index(index) => Some(Self::Index(index.get())),
            PropertyKey::Symbol(_) => None,
        }
    }
}

impl From<&Key> for PropertyKey {
    fn from(key: &Key) -> Self {
        match key {
            Key::Index(index) => Self::from(*index),
            Key::Text(text) => Self::from(JsString::from(text)),
        }
    }
}

/// An integer, in base 16: the conversion takes time in proportion to its length.
#[derive(Clone, Debug)]
pub(super) struct BigInt(String);

impl From<&JsBigInt> for BigInt {
    fn from(integer: &JsBigInt) -> Self {
        Self(integer.to_string_radix(16))
    }
}

impl From<&BigInt> for JsValue {
    fn from(integer: &BigInt) -> Self {
        // Never zero for a lack of digits: they are the engine's own.
        JsBigInt::from_string_radix(&integer.0, 16)
            .unwrap_or_else(JsBigInt::zero)
            .into()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_record_can_be_sent_to_another_thread() {
        fn is_send_and_sync<T: Send + Sync>() {}
        is_send_and_sync::<super::Record>();
    }
}

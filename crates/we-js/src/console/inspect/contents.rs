//! Objects with contents: arrays, maps and sets, promises, buffers and views.

use boa_engine::{
    Context, JsResult,
    builtins::promise::PromiseState,
    object::{
        JsObject,
        builtins::{JsDataView, JsMap, JsPromise, JsSet, JsTypedArray},
    },
    property::PropertyKey,
};

use super::{
    Inspector,
    layout::{Braces, Shape},
    lookup, plural,
};
use crate::binding::BufferSource;

/// How many elements of an array, a map or a set are shown.
const MAX_ELEMENTS: usize = 100;

/// How many bytes of a buffer are shown.
const MAX_BYTES: usize = 50;

impl Inspector {
    pub(super) fn array(&mut self, object: &JsObject, context: &mut Context) -> JsResult<Shape> {
        let length =
            lookup::own_value(object, "length").map_or(Ok(0), |length| length.to_u32(context))?;
        let name = lookup::class_name(object).filter(|name| name != "Array");
        let prefix = match name {
            Some(name) => format!("{name}({length}) "),
            None => String::new(),
        };
        let mut shape = Shape::new(prefix, Braces::Square);
        shape.has_elements = true;
        let mut keys = object
            .own_property_keys(context)?
            .into_iter()
            .filter_map(|key| match key {
                PropertyKey::Index(index) => Some(index.get()),
                _ => None,
            });
        let mut next = 0;
        let mut shown = 0;
        while next < length && shown < MAX_ELEMENTS {
            let index = keys
                .next()
                .filter(|index| *index < length)
                .unwrap_or(length);
            if index > next {
                let holes = index - next;
                shape
                    .entries
                    .push(format!("<{holes} empty item{}>", plural(u64::from(holes))));
                shown += 1;
            }
            if index < length && shown < MAX_ELEMENTS {
                match lookup::own(object, &index.into()) {
                    Some(property) => shape.entries.push(self.property(&property, context)?),
                    None => shape.entries.push(String::from("undefined")),
                }
                shown += 1;
            }
            next = index.saturating_add(1);
        }
        shape.more(u64::from(length.saturating_sub(next)));
        Ok(shape)
    }

    pub(super) fn typed_array(
        &mut self,
        object: &JsObject,
        array: &JsTypedArray,
        context: &mut Context,
    ) -> JsResult<Shape> {
        let length = array.length(context)?;
        let mut shape = Shape::new(lookup::prefix(object, Some(length)), Braces::Square);
        shape.has_elements = true;
        for index in 0..length.min(MAX_ELEMENTS) {
            let value = array.get(index as u64, context)?;
            shape.entries.push(self.value(&value, context)?);
        }
        shape.more(length.saturating_sub(MAX_ELEMENTS) as u64);
        Ok(shape)
    }

    pub(super) fn map(
        &mut self,
        object: &JsObject,
        map: &JsMap,
        context: &mut Context,
    ) -> JsResult<Shape> {
        let mut entries = Vec::new();
        map.for_each_native(|key, value| {
            entries.push((key, value));
            Ok(())
        })?;
        let mut shape = Shape::new(lookup::prefix(object, Some(entries.len())), Braces::Curly);
        for (key, value) in entries.iter().take(MAX_ELEMENTS) {
            let key = self.value(key, context)?;
            let value = self.value(value, context)?;
            shape.entries.push(format!("{key} => {value}"));
        }
        shape.more(entries.len().saturating_sub(MAX_ELEMENTS) as u64);
        Ok(shape)
    }

    pub(super) fn set(
        &mut self,
        object: &JsObject,
        set: &JsSet,
        context: &mut Context,
    ) -> JsResult<Shape> {
        let mut values = Vec::new();
        set.for_each_native(|value| {
            values.push(value);
            Ok(())
        })?;
        let mut shape = Shape::new(lookup::prefix(object, Some(values.len())), Braces::Curly);
        for value in values.iter().take(MAX_ELEMENTS) {
            shape.entries.push(self.value(value, context)?);
        }
        shape.more(values.len().saturating_sub(MAX_ELEMENTS) as u64);
        Ok(shape)
    }

    pub(super) fn promise(
        &mut self,
        object: &JsObject,
        promise: &JsPromise,
        context: &mut Context,
    ) -> JsResult<Shape> {
        let mut shape = Shape::new(lookup::prefix(object, None), Braces::Curly);
        shape.entries.push(match promise.state() {
            PromiseState::Pending => String::from("<pending>"),
            PromiseState::Fulfilled(value) => self.value(&value, context)?,
            PromiseState::Rejected(reason) => {
                format!("<rejected> {}", self.value(&reason, context)?)
            }
        });
        Ok(shape)
    }

    pub(super) fn data_view(
        &mut self,
        object: &JsObject,
        view: &JsDataView,
        context: &mut Context,
    ) -> JsResult<Shape> {
        let mut shape = Shape::new(lookup::prefix(object, None), Braces::Curly);
        let length = view.byte_length(context).unwrap_or(0);
        let offset = view.byte_offset(context).unwrap_or(0);
        let buffer = view.buffer(context)?;
        shape.entries.push(format!("byteLength: {length}"));
        shape.entries.push(format!("byteOffset: {offset}"));
        shape
            .entries
            .push(format!("buffer: {}", self.value(&buffer, context)?));
        Ok(shape)
    }
}

pub(super) fn array_buffer(object: &JsObject, buffer: &BufferSource) -> Shape {
    let mut shape = Shape::new(lookup::prefix(object, None), Braces::Curly);
    let contents = buffer.with_bytes(|bytes| {
        let shown: Vec<String> = bytes
            .iter()
            .take(MAX_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let more = bytes.len().saturating_sub(MAX_BYTES);
        let more = if more > 0 {
            format!(" ... {more} more byte{}", plural(more as u64))
        } else {
            String::new()
        };
        format!("[Uint8Contents]: <{}{more}>", shown.join(" "))
    });
    shape.entries.push(contents);
    shape.entries.push(format!("byteLength: {}", buffer.len()));
    shape
}

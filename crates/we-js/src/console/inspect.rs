//! How values look, in the manner of Node.js's `util.inspect`.
//!
//! Looking at a value runs none of the script's code: getters of the script are shown as such and proxies are
//! not entered. The platform's own attributes are read, as their getters are ours.

mod contents;
mod layout;
mod lookup;
mod strings;

use boa_engine::{
    Context, JsBigInt, JsResult, JsString, JsSymbol, JsValue, JsVariant,
    builtins::{error::Error, function::OrdinaryFunction},
    js_string,
    object::{
        JsObject,
        builtins::{JsDataView, JsDate, JsMap, JsPromise, JsProxy, JsRegExp, JsSet, JsTypedArray},
    },
    property::{PropertyDescriptor, PropertyKey},
};

use self::layout::{Braces, Shape, lay_out};
use crate::{
    binding::{BufferSource, Interfaces, Primordials, This, to_usv_string},
    dom::DomException,
};

pub(super) use self::strings::{number_to_string, quote};

/// How deeply objects are shown by default.
const DEFAULT_DEPTH: usize = 2;

/// The most that a script can ask for: each level is one of the native stack.
const MAX_DEPTH: usize = 64;

/// How many values are shown in all. Objects that share others can be small and take for ever to print.
const MAX_VALUES: usize = 50_000;

/// One act of looking at a value.
pub(super) struct Inspector {
    max_depth: usize,
    /// The objects that contain the one that is being shown.
    path: Vec<JsObject>,
    /// Those of them that were met again, in the order of their numbers.
    circular: Vec<JsObject>,
    values_left: usize,
}

impl Default for Inspector {
    fn default() -> Self {
        Self {
            max_depth: DEFAULT_DEPTH,
            path: Vec::new(),
            circular: Vec::new(),
            values_left: MAX_VALUES,
        }
    }
}

impl Inspector {
    /// Shows objects `depth` levels deep, as far as that is sane.
    pub(super) fn with_depth(depth: f64) -> Self {
        // Saturates, and NaN becomes 0.
        Self {
            max_depth: (depth as usize).min(MAX_DEPTH),
            ..Self::default()
        }
    }

    pub(super) fn inspect(mut self, value: &JsValue, context: &mut Context) -> JsResult<String> {
        self.value(value, context)
    }

    fn value(&mut self, value: &JsValue, context: &mut Context) -> JsResult<String> {
        if self.values_left == 0 {
            return Ok(String::from("..."));
        }
        self.values_left -= 1;
        Ok(match value.variant() {
            JsVariant::Undefined => String::from("undefined"),
            JsVariant::Null => String::from("null"),
            JsVariant::Boolean(boolean) => boolean.to_string(),
            JsVariant::Integer32(number) => number.to_string(),
            JsVariant::Float64(number) => number_to_string(number),
            JsVariant::BigInt(integer) => format!("{integer}n"),
            JsVariant::String(string) => quote(&string),
            JsVariant::Symbol(symbol) => symbol_to_string(&symbol),
            JsVariant::Object(object) => self.object(&object, context)?,
        })
    }

    fn object(&mut self, object: &JsObject, context: &mut Context) -> JsResult<String> {
        if JsProxy::from_object(object.clone()).is_ok() {
            return Ok(String::from("[Proxy]"));
        }
        if self.path.contains(object) {
            return Ok(format!("[Circular *{}]", self.circular_number(object)));
        }
        if self.path.len() > self.max_depth {
            return Ok(if object.is_callable() {
                function_to_string(object)
            } else {
                abbreviation(object)
            });
        }
        self.path.push(object.clone());
        let shape = self.shape(object, context);
        self.path.pop();
        let text = lay_out(shape?, self.path.len());
        Ok(
            match self.circular.iter().position(|other| other == object) {
                Some(index) => format!("<ref *{}> {text}", index + 1),
                None => text,
            },
        )
    }

    fn circular_number(&mut self, object: &JsObject) -> usize {
        let known = self.circular.iter().position(|other| other == object);
        known.unwrap_or_else(|| {
            self.circular.push(object.clone());
            self.circular.len() - 1
        }) + 1
    }

    /// What there is to see of an object.
    fn shape(&mut self, object: &JsObject, context: &mut Context) -> JsResult<Shape> {
        let mut shape = match self.special(object, context)? {
            Some(shape) => shape,
            None => Shape::new(lookup::prefix(object, None), Braces::Curly),
        };
        let skip_elements = shape.has_elements;
        for key in object.own_property_keys(context)? {
            let property = object.borrow().properties().get(&key);
            let Some(property) = property.filter(|property| property.enumerable() == Some(true))
            else {
                continue;
            };
            if skip_elements && matches!(key, PropertyKey::Index(_)) {
                continue;
            }
            let value = self.property(&property, context)?;
            shape
                .entries
                .push(format!("{}: {value}", key_to_string(&key)));
        }
        self.attributes(object, &mut shape, context)?;
        Ok(shape)
    }

    fn property(
        &mut self,
        property: &PropertyDescriptor,
        context: &mut Context,
    ) -> JsResult<String> {
        let is_function =
            |value: Option<&JsValue>| value.is_some_and(|value| !value.is_undefined());
        match (
            property.value(),
            is_function(property.get()),
            is_function(property.set()),
        ) {
            (Some(value), ..) => self.value(value, context),
            (None, true, true) => Ok(String::from("[Getter/Setter]")),
            (None, false, true) => Ok(String::from("[Setter]")),
            (None, ..) => Ok(String::from("[Getter]")),
        }
    }

    /// The attributes of a platform object.
    fn attributes(
        &mut self,
        object: &JsObject,
        shape: &mut Shape,
        context: &mut Context,
    ) -> JsResult<()> {
        let mut next = object.prototype();
        while let Some(prototype) = next {
            if Interfaces::has_prototype(&prototype, context) && !object.is::<DomException>() {
                for key in prototype.own_property_keys(context)? {
                    let getter = lookup::own(&prototype, &key)
                        .and_then(|it| it.get().and_then(JsValue::as_object));
                    // A script may have put a function of its own there.
                    let Some(getter) = getter.filter(|getter| !getter.is::<OrdinaryFunction>())
                    else {
                        continue;
                    };
                    if let Ok(value) = getter.call(&JsValue::from(object.clone()), &[], context) {
                        let value = self.value(&value, context)?;
                        shape
                            .entries
                            .push(format!("{}: {value}", key_to_string(&key)));
                    }
                }
            }
            next = if lookup::is_proxy(&prototype) {
                None
            } else {
                prototype.prototype()
            };
        }
        Ok(())
    }

    /// Objects that have more to show than properties.
    fn special(&mut self, object: &JsObject, context: &mut Context) -> JsResult<Option<Shape>> {
        if object.is_callable() {
            return Ok(Some(Shape::of_text(function_to_string(object))));
        }
        if object.is_array() {
            return self.array(object, context).map(Some);
        }
        if let Ok(array) = JsTypedArray::from_object(object.clone()) {
            return self.typed_array(object, &array, context).map(Some);
        }
        if let Ok(map) = JsMap::from_object(object.clone()) {
            return self.map(object, &map, context).map(Some);
        }
        if let Ok(set) = JsSet::from_object(object.clone()) {
            return self.set(object, &set, context).map(Some);
        }
        if let Ok(promise) = JsPromise::from_object(object.clone()) {
            return self.promise(object, &promise, context).map(Some);
        }
        if let Ok(view) = JsDataView::from_object(object.clone()) {
            return self.data_view(object, &view, context).map(Some);
        }
        if let Some(buffer) = BufferSource::from_value(&JsValue::from(object.clone()), context) {
            return Ok(Some(contents::array_buffer(object, &buffer)));
        }
        if object.is::<Error>() || object.is::<DomException>() {
            return self.error(object, context).map(Some);
        }
        if let Ok(date) = JsDate::from_object(object.clone()) {
            let text = match date.to_iso_string(context) {
                Ok(text) => to_usv_string(&text.to_string(context)?),
                Err(_) => String::from("Invalid Date"),
            };
            return Ok(Some(Shape::of_text(text)));
        }
        if JsRegExp::from_object(object.clone()).is_ok() {
            let source = to_usv_string(&Primordials::reg_exp_source(object, context)?);
            let flags = Primordials::reg_exp_flags(object, context)?;
            let text = format!("/{}/{flags}", with_escaped_slashes(&source));
            return Ok(Some(Shape::of_text(text)));
        }
        self.wrapper(object, context)
    }

    /// `[Number: 1]` and its like.
    fn wrapper(&mut self, object: &JsObject, context: &mut Context) -> JsResult<Option<Shape>> {
        let (kind, value) = if let Some(boolean) = object.downcast_ref::<bool>() {
            ("Boolean", JsValue::from(*boolean))
        } else if let Some(number) = object.downcast_ref::<f64>() {
            ("Number", JsValue::from(*number))
        } else if let Some(integer) = object.downcast_ref::<JsBigInt>() {
            ("BigInt", JsValue::from(integer.clone()))
        } else if let Some(string) = object.downcast_ref::<JsString>() {
            ("String", JsValue::from(string.clone()))
        } else if let Some(symbol) = object.downcast_ref::<JsSymbol>() {
            ("Symbol", JsValue::from(symbol.clone()))
        } else {
            return Ok(None);
        };
        let mut shape = Shape::of_text(format!("[{kind}: {}]", self.value(&value, context)?));
        // The characters of a string are properties that say nothing more.
        shape.has_elements = true;
        Ok(Some(shape))
    }

    /// Name, message and stack, then the cause, which is not enumerable.
    fn error(&mut self, object: &JsObject, context: &mut Context) -> JsResult<Shape> {
        let mut shape = Shape::of_text(error_to_string(object, context)?);
        for name in ["cause", "errors"] {
            if let Some(property) = lookup::own(object, &js_string!(name).into())
                && property.enumerable() == Some(false)
            {
                let value = self.property(&property, context)?;
                shape.entries.push(format!("[{name}]: {value}"));
            }
        }
        Ok(shape)
    }
}

/// The stack of the calls that led here.
pub(super) fn stack_here(context: &mut Context) -> JsResult<String> {
    let error = context.intrinsics().constructors().error().constructor();
    let error = error.construct(&[], None, context)?;
    let stack = Primordials::get(context, |it| &it.error_stack)?;
    let stack = stack
        .call(&error.into(), &[], context)?
        .to_string(context)?;
    Ok(to_usv_string(&stack).trim_end().to_owned())
}

fn error_to_string(object: &JsObject, context: &mut Context) -> JsResult<String> {
    let (name, message) = match This::<DomException>::from_object(object.clone()) {
        Some(exception) => {
            let exception = exception.state();
            (
                format!("DOMException [{}]", to_usv_string(exception.name())),
                to_usv_string(exception.message()),
            )
        }
        None => {
            let string = |name| lookup::inherited_string(object, name).unwrap_or_default();
            (string("name"), string("message"))
        }
    };
    let name = if name.is_empty() {
        String::from("Error")
    } else {
        name
    };
    let header = if message.is_empty() {
        name
    } else {
        format!("{name}: {message}")
    };
    let stack = match lookup::own_value(object, "stack") {
        Some(stack) => stack.as_string(),
        None => {
            let stack = Primordials::get(context, |it| &it.error_stack)?;
            stack
                .call(&JsValue::from(object.clone()), &[], context)?
                .as_string()
        }
    };
    let stack = stack.map(|stack| to_usv_string(&stack)).unwrap_or_default();
    let stack = stack.trim_end();
    Ok(if stack.is_empty() {
        format!("[{header}]")
    } else if stack.trim_start().starts_with("at ") {
        format!("{header}\n{stack}")
    } else {
        // A script has set it to something that speaks for itself.
        stack.to_owned()
    })
}

/// `[Function: name]` or `[class Name extends Other]`.
fn function_to_string(object: &JsObject) -> String {
    let name_of = |object: &JsObject| {
        let name = lookup::own_value(object, "name")?.as_string()?;
        Some(to_usv_string(&name)).filter(|name| !name.is_empty())
    };
    let name = name_of(object);
    // Of the script's functions, those whose `prototype` cannot be changed are classes.
    let prototype = lookup::own(object, &js_string!("prototype").into());
    if object.is::<OrdinaryFunction>()
        && prototype.is_some_and(|property| property.writable() == Some(false))
    {
        let name = name.as_deref().unwrap_or("(anonymous)");
        let parent = object
            .prototype()
            .filter(|parent| !lookup::is_proxy(parent));
        return match parent.as_ref().and_then(name_of) {
            Some(parent) => format!("[class {name} extends {parent}]"),
            None => format!("[class {name}]"),
        };
    }
    let kind = lookup::tag(object).unwrap_or_else(|| String::from("Function"));
    match name {
        Some(name) => format!("[{kind}: {name}]"),
        None => format!("[{kind} (anonymous)]"),
    }
}

/// A pattern as a literal has it.
fn with_escaped_slashes(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut escaped = false;
    for character in source.chars() {
        if character == '/' && !escaped {
            text.push('\\');
        }
        escaped = character == '\\' && !escaped;
        text.push(character);
    }
    text
}

/// An object that is too deep to be shown.
fn abbreviation(object: &JsObject) -> String {
    let name = lookup::class_name(object).unwrap_or_else(|| String::from("Object: null prototype"));
    format!("[{name}]")
}

fn key_to_string(key: &PropertyKey) -> String {
    match key {
        PropertyKey::Index(index) => format!("'{}'", index.get()),
        PropertyKey::Symbol(symbol) => format!("[{}]", symbol_to_string(symbol)),
        PropertyKey::String(name) => {
            let text = to_usv_string(name);
            let starts_well = text.starts_with(|first: char| {
                first.is_ascii_alphabetic() || matches!(first, '_' | '$')
            });
            let is_word = text
                .chars()
                .all(|each| each.is_ascii_alphanumeric() || matches!(each, '_' | '$'));
            if starts_well && is_word {
                text
            } else {
                quote(name)
            }
        }
    }
}

fn symbol_to_string(symbol: &JsSymbol) -> String {
    to_usv_string(&symbol.descriptive_string())
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

//! Properties, read without running script: data properties only, and never through a proxy.

use boa_engine::{
    JsString, JsSymbol, JsValue,
    object::{JsObject, builtins::JsProxy},
    property::{PropertyDescriptor, PropertyKey},
};

use crate::binding::to_usv_string;

/// Longer chains are cut: a script can make one of any length.
const MAX_CHAIN: usize = 100;

pub(super) fn is_proxy(object: &JsObject) -> bool {
    JsProxy::from_object(object.clone()).is_ok()
}

/// An own property.
pub(super) fn own(object: &JsObject, key: &PropertyKey) -> Option<PropertyDescriptor> {
    object.borrow().properties().get(key)
}

/// The value of an own data property.
pub(super) fn own_value(object: &JsObject, name: &'static str) -> Option<JsValue> {
    own(object, &JsString::from(name).into())?.value().cloned()
}

/// The objects of the prototype chain, from the object itself to the last one that is no proxy.
fn chain(object: &JsObject) -> impl Iterator<Item = JsObject> {
    let first = Some(object.clone());
    std::iter::successors(first, |object| {
        object.prototype().filter(|prototype| !is_proxy(prototype))
    })
    .take(MAX_CHAIN)
}

fn inherited(object: &JsObject, key: &PropertyKey) -> Option<JsValue> {
    chain(object)
        .find_map(|object| own(&object, key))
        .and_then(|property| property.value().cloned())
}

/// A data property of the object or its prototypes, if it is a string.
pub(super) fn inherited_string(object: &JsObject, name: &'static str) -> Option<String> {
    inherited(object, &JsString::from(name).into())?
        .as_string()
        .map(|string| to_usv_string(&string))
}

/// The name of the constructor; `None` if the chain knows none.
pub(super) fn class_name(object: &JsObject) -> Option<String> {
    chain(object).skip(1).find_map(|prototype| {
        let constructor = own_value(&prototype, "constructor")?
            .as_object()
            .filter(|it| !is_proxy(it))?;
        let name = own_value(&constructor, "name")?.as_string()?;
        Some(to_usv_string(&name)).filter(|name| !name.is_empty())
    })
}

/// `[Symbol.toStringTag]`
pub(super) fn tag(object: &JsObject) -> Option<String> {
    let tag = inherited(object, &JsSymbol::to_string_tag().into())?.as_string()?;
    Some(to_usv_string(&tag)).filter(|tag| !tag.is_empty())
}

/// What stands before the braces: class, size and tag as far as they say something.
pub(super) fn prefix(object: &JsObject, size: Option<usize>) -> String {
    let name = class_name(object);
    let tag = tag(object).filter(|tag| Some(tag) != name.as_ref());
    let size_text = size.map(|size| format!("({size})")).unwrap_or_default();
    match (name, tag) {
        (Some(name), None) if name == "Object" && size.is_none() => String::new(),
        (Some(name), None) => format!("{name}{size_text} "),
        (Some(name), Some(tag)) => format!("{name}{size_text} [{tag}] "),
        (None, None) => format!("[Object{size_text}: null prototype] "),
        (None, Some(tag)) => format!("[Object{size_text}: null prototype] [{tag}] "),
    }
}

//! `iterable<K, V>`: <https://webidl.spec.whatwg.org/#js-iterable>

use std::{any::TypeId, cell::Cell};

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsSymbol, JsValue, NativeFunction,
    builtins::{iterable::create_iter_result_object, object::OrdinaryObject},
    js_string,
    object::{JsObject, builtins::JsArray},
    property::Attribute,
};
use boa_gc::{Finalize, Trace};

use super::{
    Definition, Interface, This,
    definition::{function, property},
};

/// An interface with an iterable declaration of two types.
pub(crate) trait PairIterable: Interface {
    /// The name of the class of its iterators.
    const ITERATOR_NAME: &'static str;

    /// The [value pair](https://webidl.spec.whatwg.org/#dfn-value-pairs-to-iterate-over) at `index` of those that
    /// there are now.
    fn pair(&self, index: usize) -> Option<(JsValue, JsValue)>;
}

/// What an iterator yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Key,
    Value,
    KeyAndValue,
}

/// A [default iterator object](https://webidl.spec.whatwg.org/#js-default-iterator-object).
#[derive(Trace, Finalize, JsData)]
struct PairIterator {
    /// The interface that it is an iterator of.
    #[unsafe_ignore_trace]
    interface: TypeId,
    target: JsObject,
    #[unsafe_ignore_trace]
    kind: Kind,
    #[unsafe_ignore_trace]
    index: Cell<usize>,
}

/// The [iterator prototype objects](https://webidl.spec.whatwg.org/#js-iterator-prototype-object) of a realm.
#[derive(Default, Trace, Finalize, JsData)]
struct IteratorPrototypes(Vec<IteratorPrototype>);

#[derive(Trace, Finalize)]
struct IteratorPrototype {
    #[unsafe_ignore_trace]
    interface: TypeId,
    prototype: JsObject,
}

impl<T: PairIterable> Definition<'_, T> {
    /// `iterable<K, V>`: `entries`, `keys`, `values`, `forEach` and `[Symbol.iterator]`.
    pub(crate) fn iterable(&mut self) {
        let prototype = iterator_prototype::<T>(self.context());
        let realm = self.context().realm().clone();
        {
            let mut slot = realm.host_defined_mut();
            if slot.get::<IteratorPrototypes>().is_none() {
                slot.insert_default::<IteratorPrototypes>();
            }
            if let Some(prototypes) = slot.get_mut::<IteratorPrototypes>() {
                let interface = TypeId::of::<T>();
                prototypes.0.push(IteratorPrototype {
                    interface,
                    prototype,
                });
            }
        }
        let entries = self.method_function("entries", 0, |this, _, context| {
            iterator(this, Kind::KeyAndValue, context)
        });
        self.property(js_string!("entries"), entries.clone(), Attribute::all());
        let hidden = Attribute::WRITABLE | Attribute::CONFIGURABLE;
        self.property(JsSymbol::iterator(), entries, hidden);
        self.operation("keys", 0, |this, _, context| {
            iterator(this, Kind::Key, context)
        });
        self.operation("values", 0, |this, _, context| {
            iterator(this, Kind::Value, context)
        });
        self.operation("forEach", 1, for_each);
    }
}

fn iterator<T: PairIterable>(
    this: &This<T>,
    kind: Kind,
    context: &mut Context,
) -> JsResult<JsObject> {
    let interface = TypeId::of::<T>();
    let prototype = {
        let slot = context.realm().host_defined();
        slot.get::<IteratorPrototypes>()
            .and_then(|prototypes| {
                prototypes
                    .0
                    .iter()
                    .find(|entry| entry.interface == interface)
            })
            .map(|entry| entry.prototype.clone())
            .ok_or_else(|| {
                JsNativeError::typ()
                    .with_message(format!("{} is not installed in this realm", T::NAME))
            })?
    };
    let target = this.object().clone();
    let iterator = PairIterator {
        interface,
        target,
        kind,
        index: Cell::new(0),
    };
    Ok(JsObject::new(context.root_shape(), prototype, iterator).upcast())
}

/// <https://webidl.spec.whatwg.org/#js-forEach>
fn for_each<T: PairIterable>(
    this: &This<T>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let callback = args.get_or_undefined(0).as_callable().ok_or_else(|| {
        JsNativeError::typ().with_message("forEach: argument 1 is not a function")
    })?;
    let this_arg = args.get_or_undefined(1);
    for index in 0.. {
        let pair = this.state().pair(index);
        let Some((key, value)) = pair else { break };
        callback.call(
            this_arg,
            &[value, key, this.object().clone().into()],
            context,
        )?;
    }
    Ok(JsValue::undefined())
}

fn iterator_prototype<T: PairIterable>(context: &Context) -> JsObject {
    let parent = context.intrinsics().constructors().iterator().prototype();
    let prototype = JsObject::from_proto_and_data(parent, OrdinaryObject);
    let next = NativeFunction::from_copy_closure(|this, _, context| next::<T>(this, context));
    let next = function("next", 0, next, context);
    prototype.insert_property(js_string!("next"), property(next, Attribute::all()));
    let tag = property(JsString::from(T::ITERATOR_NAME), Attribute::CONFIGURABLE);
    prototype.insert_property(JsSymbol::to_string_tag(), tag);
    prototype
}

/// The [`next` method](https://webidl.spec.whatwg.org/#js-iterator-prototype-object) of the iterators of `T`.
fn next<T: PairIterable>(this: &JsValue, context: &mut Context) -> JsResult<JsValue> {
    let object = this.as_object();
    // 1. to 5.
    let iterator = object
        .as_ref()
        .and_then(|object| object.downcast_ref::<PairIterator>())
        .filter(|iterator| iterator.interface == TypeId::of::<T>());
    let Some(iterator) = iterator else {
        let message = format!(
            "next was called on an object that is not a {}",
            T::ITERATOR_NAME
        );
        return Err(JsNativeError::typ().with_message(message).into());
    };
    // 6. to 9.
    let index = iterator.index.get();
    let pair = This::<T>::from_object(iterator.target.clone())
        .and_then(|target| target.state().pair(index));
    // 10.
    let Some((key, value)) = pair else {
        return Ok(create_iter_result_object(
            JsValue::undefined(),
            true,
            context,
        ));
    };
    // 11., 12.
    iterator.index.set(index + 1);
    let result = match iterator.kind {
        Kind::Key => key,
        Kind::Value => value,
        Kind::KeyAndValue => JsArray::from_iter([key, value], context).into(),
    };
    Ok(create_iter_result_object(result, false, context))
}

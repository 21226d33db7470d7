//! The interfaces of one realm: which prototype belongs to which interface.
//!
//! Kept in the realm's host-defined slot, so that each realm of a context has its own set, as the
//! standard asks of interface objects.

use std::any::TypeId;

use boa_engine::{
    Context, JsData, JsNativeError, JsResult, context::intrinsics::StandardConstructor,
    object::JsObject,
};
use boa_gc::{Finalize, Trace};

use super::Interface;

/// The interface objects and prototypes that are registered in a realm.
#[derive(Default, Trace, Finalize, JsData)]
pub(crate) struct Interfaces {
    /// Few enough (some thirty) that a scan beats hashing; hot interfaces are registered first.
    entries: Vec<Entry>,
}

#[derive(Trace, Finalize)]
struct Entry {
    #[unsafe_ignore_trace]
    key: TypeId,
    constructor: StandardConstructor,
}

impl Interfaces {
    pub(super) fn insert<T: Interface>(context: &Context, constructor: StandardConstructor) {
        let realm = context.realm().clone();
        let mut slot = realm.host_defined_mut();
        if slot.get::<Self>().is_none() {
            slot.insert_default::<Self>();
        }
        if let Some(interfaces) = slot.get_mut::<Self>() {
            interfaces.entries.push(Entry {
                key: TypeId::of::<T>(),
                constructor,
            });
        }
    }

    /// Whether `object` is the interface prototype object of some interface of the current realm.
    pub(crate) fn has_prototype(object: &JsObject, context: &Context) -> bool {
        let slot = context.realm().host_defined();
        slot.get::<Self>().is_some_and(|interfaces| {
            let mut entries = interfaces.entries.iter();
            entries.any(|entry| entry.constructor.prototype() == *object)
        })
    }

    /// The interface object and prototype of `T` in the current realm.
    ///
    /// Fails with a TypeError when the realm does not have the interface: it was made by a script or an
    /// embedder and the platform was never installed in it.
    pub(crate) fn get<T: Interface>(context: &Context) -> JsResult<StandardConstructor> {
        let key = TypeId::of::<T>();
        let slot = context.realm().host_defined();
        slot.get::<Self>()
            .and_then(|interfaces| interfaces.entries.iter().find(|entry| entry.key == key))
            .map(|entry| entry.constructor.clone())
            .ok_or_else(|| {
                JsNativeError::typ()
                    .with_message(format!("{} is not installed in this realm", T::NAME))
                    .into()
            })
    }
}

/// The interface prototype object of `T` in the current realm.
pub(crate) fn prototype_of<T: Interface>(context: &Context) -> JsResult<JsObject> {
    Interfaces::get::<T>(context).map(|constructor| constructor.prototype())
}

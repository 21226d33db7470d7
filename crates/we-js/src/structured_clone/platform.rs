//! Platform objects in structured clone: the one seam by which interfaces take part.
//!
//! An interface whose objects can be [cloned] implements [`Serializable`], one whose objects can be [moved] implements
//! [`Transferable`], and each is named once in a list below. What an object becomes on its way, [`Serialized`] or
//! [`Transferred`], is the interface's own business, refers to no JavaScript and can go to another thread.
//!
//! [cloned]: https://html.spec.whatwg.org/multipage/structured-data.html#serializable-objects
//! [moved]: https://html.spec.whatwg.org/multipage/structured-data.html#transferable-objects

use std::{fmt::Debug, sync::Arc};

use boa_engine::{Context, JsResult, object::JsObject};

use crate::{
    binding::{Interface, This},
    dom::DomException,
    file::Blob,
    messaging::MessagePort,
    streams::{ReadableStream, TransformStream, WritableStream},
};

/// A [serializable object](https://html.spec.whatwg.org/multipage/structured-data.html#serializable-objects).
pub(crate) trait Serializable: Interface {
    /// The [serialization steps](https://html.spec.whatwg.org/multipage/structured-data.html#serialization-steps).
    fn serialize(this: &This<Self>, context: &mut Context) -> JsResult<Arc<dyn Serialized>>;
}

/// A platform object in a record. Several agents may make objects of the same one.
pub(crate) trait Serialized: Debug + Send + Sync {
    /// Makes the object anew in the current realm: the
    /// [deserialization steps](https://html.spec.whatwg.org/multipage/structured-data.html#deserialization-steps).
    fn deserialize(&self, context: &mut Context) -> JsResult<JsObject>;
}

/// A [transferable object](https://html.spec.whatwg.org/multipage/structured-data.html#transferable-objects).
pub(crate) trait Transferable: Interface {
    /// The `[[Detached]]` internal slot.
    fn is_detached(this: &This<Self>) -> bool;

    /// The [transfer steps](https://html.spec.whatwg.org/multipage/structured-data.html#transfer-steps). They leave the
    /// object detached.
    fn transfer(this: &This<Self>, context: &mut Context) -> JsResult<Box<dyn Transferred>>;
}

/// What a transferred object was, between its old object and its new one. One that is dropped on the way is lost, and
/// says so to whom it may concern by its `Drop`.
pub(crate) trait Transferred: Debug + Send + Sync {
    /// Makes the new object in the current realm: the [transfer-receiving steps][spec].
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/structured-data.html#transfer-receiving-steps
    fn receive(self: Box<Self>, context: &mut Context) -> JsResult<JsObject>;
}

/// The serializable interfaces.
const SERIALIZABLE: [Serialize; 2] = [serialize_as::<Blob>, serialize_as::<DomException>];

/// The transferable interfaces.
const TRANSFERABLE: [Kind; 4] = [
    Kind::of::<MessagePort>(),
    Kind::of::<ReadableStream>(),
    Kind::of::<WritableStream>(),
    Kind::of::<TransformStream>(),
];

/// Serializes an object, if it is of one kind.
type Serialize = fn(&JsObject, &mut Context) -> Option<JsResult<Arc<dyn Serialized>>>;

/// Transfers an object, if it is of one kind.
type Transfer = fn(&JsObject, &mut Context) -> Option<JsResult<Box<dyn Transferred>>>;

fn serialize_as<T: Serializable>(
    object: &JsObject,
    context: &mut Context,
) -> Option<JsResult<Arc<dyn Serialized>>> {
    This::<T>::from_object(object.clone()).map(|this| T::serialize(&this, context))
}

/// Serializes a platform object, if it is of a serializable kind.
pub(super) fn serialize(
    object: &JsObject,
    context: &mut Context,
) -> JsResult<Option<Arc<dyn Serialized>>> {
    let mut kinds = SERIALIZABLE.iter();
    kinds
        .find_map(|serialize| serialize(object, context))
        .transpose()
}

/// A transferable interface.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    implemented_by: fn(&JsObject) -> bool,
    is_detached: fn(&JsObject) -> bool,
    transfer: Transfer,
}

impl Kind {
    const fn of<T: Transferable>() -> Self {
        Self {
            implemented_by: |object| This::<T>::from_object(object.clone()).is_some(),
            is_detached: |object| {
                This::<T>::from_object(object.clone()).is_none_or(|this| T::is_detached(&this))
            },
            transfer: |object, context| {
                This::<T>::from_object(object.clone()).map(|this| T::transfer(&this, context))
            },
        }
    }

    /// The kind of a platform object, if it is a transferable one.
    pub(super) fn find(object: &JsObject) -> Option<Self> {
        let mut kinds = TRANSFERABLE.iter();
        kinds.find(|kind| (kind.implemented_by)(object)).copied()
    }

    /// Moves the object's contents out of it; `None` if it is detached.
    pub(super) fn transfer(
        self,
        object: &JsObject,
        context: &mut Context,
    ) -> JsResult<Option<Box<dyn Transferred>>> {
        if (self.is_detached)(object) {
            return Ok(None);
        }
        (self.transfer)(object, context).transpose()
    }
}

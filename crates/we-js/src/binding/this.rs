//! Receivers: the object that an operation was called on, its brand already checked, and the object
//! that a constructor is about to make.

use std::{marker::PhantomData, ops::Deref};

use boa_engine::{Context, JsNativeError, JsResult, JsValue, js_string, object::JsObject};
use boa_gc::GcRef;

use super::{Interface, PlatformObject, prototype_of};

/// `this`, known to implement `T`.
///
/// A `This` can be had in two ways only: the binding layer checks the brand of a receiver before it
/// calls a member, and [`This::from_value`] checks any other value.
pub(crate) struct This<T: Interface> {
    object: JsObject,
    interface: PhantomData<T>,
}

impl<T: Interface> Clone for This<T> {
    fn clone(&self) -> Self {
        Self {
            object: self.object.clone(),
            interface: PhantomData,
        }
    }
}

impl<T: Interface> This<T> {
    /// The brand check: `object` if it [implements] `T`.
    ///
    /// [implements]: https://webidl.spec.whatwg.org/#implements
    pub(crate) fn from_object(object: JsObject) -> Option<Self> {
        let implements = object
            .downcast_ref::<T::Root>()
            .is_some_and(|root| T::project(&root).is_some());
        implements.then_some(Self {
            object,
            interface: PhantomData,
        })
    }

    /// The same for any value.
    pub(crate) fn from_value(value: &JsValue) -> Option<Self> {
        value.as_object().and_then(Self::from_object)
    }

    /// The receiver of the member `member`. A missing `this` stands for the global object.
    pub(super) fn receiver(this: &JsValue, member: &str, context: &Context) -> JsResult<Self> {
        let object = if this.is_null_or_undefined() {
            Some(context.global_object())
        } else {
            this.as_object()
        };
        object.and_then(Self::from_object).ok_or_else(|| {
            JsNativeError::typ()
                .with_message(format!(
                    "Illegal invocation: '{member}' was called on an object that does not implement interface {}",
                    T::NAME
                ))
                .into()
        })
    }

    /// The object itself.
    pub(crate) fn object(&self) -> &JsObject {
        &self.object
    }

    /// The state of this interface. Must be dropped before JavaScript runs.
    pub(crate) fn state(&self) -> State<'_, T> {
        let root = self.object.downcast_ref::<T::Root>();
        State {
            root,
            interface: PhantomData,
        }
    }
}

/// A borrow of the state of an object that implements `T`.
pub(crate) struct State<'a, T: Interface> {
    root: Option<GcRef<'a, T::Root>>,
    interface: PhantomData<T>,
}

impl<T: Interface> Deref for State<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self.root.as_deref().and_then(T::project) {
            Some(state) => state,
            // The brand was checked when the `This` was made, and an object's native data never changes its kind.
            None => unreachable!("an object lost its brand"),
        }
    }
}

/// `new.target` of a constructor call: knows the prototype of the object to be made.
pub(crate) struct NewTarget<T: Interface> {
    object: JsObject,
    interface: PhantomData<T>,
}

impl<T: Interface> NewTarget<T> {
    /// Interface objects can only be constructed, not called.
    /// <https://webidl.spec.whatwg.org/#create-an-interface-object> step 1.1
    pub(super) fn from_value(new_target: &JsValue) -> JsResult<Self> {
        let object = new_target.as_object().ok_or_else(|| {
            JsNativeError::typ().with_message(format!("Constructor {} requires 'new'", T::NAME))
        })?;
        Ok(Self {
            object,
            interface: PhantomData,
        })
    }

    /// [Internally creates a new object implementing the interface][spec], around its native state.
    ///
    /// The engine does not tell the realm of a foreign `new.target`: where its `prototype` is not an
    /// object, the current realm's interface prototype object is taken.
    ///
    /// [spec]: https://webidl.spec.whatwg.org/#internally-create-a-new-object-implementing-the-interface
    pub(crate) fn create(&self, root: T::Root, context: &mut Context) -> JsResult<JsObject> {
        self.prepare(context)?.create(root, context)
    }

    /// The first half of [`create`](Self::create), which may run script: for constructor steps that can fail, which come
    /// between the two.
    pub(crate) fn prepare(&self, context: &mut Context) -> JsResult<NewObject<T>> {
        let prototype = match self
            .object
            .get(js_string!("prototype"), context)?
            .as_object()
        {
            Some(prototype) => prototype,
            None => prototype_of::<T>(context)?,
        };
        Ok(NewObject {
            prototype,
            interface: PhantomData,
        })
    }
}

/// An object about to be made, its prototype known.
pub(crate) struct NewObject<T: Interface> {
    prototype: JsObject,
    interface: PhantomData<T>,
}

impl<T: Interface> NewObject<T> {
    /// Makes it.
    pub(crate) fn create(self, root: T::Root, context: &mut Context) -> JsResult<JsObject> {
        instantiate::<T>(self.prototype, root, context)
    }
}

/// Makes an object that implements `T` in the current realm, not on a script's behalf.
pub(crate) fn create<T: Interface>(root: T::Root, context: &mut Context) -> JsResult<This<T>> {
    let prototype = prototype_of::<T>(context)?;
    let object = instantiate::<T>(prototype, root, context)?;
    Ok(This {
        object,
        interface: PhantomData,
    })
}

fn instantiate<T: Interface>(
    prototype: JsObject,
    root: T::Root,
    context: &mut Context,
) -> JsResult<JsObject> {
    let object = JsObject::new(context.root_shape(), prototype, root).upcast();
    T::Root::initialize(&object, context)?;
    Ok(object)
}

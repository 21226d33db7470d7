//! Asynchronous iteration: <https://streams.spec.whatwg.org/#rs-asynciterator>, with the objects of
//! <https://webidl.spec.whatwg.org/#js-asynchronous-iterable>

use std::cell::Cell;

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsSymbol, JsValue, NativeFunction,
    builtins::{iterable::create_iter_result_object, object::OrdinaryObject},
    js_string,
    object::{FunctionObjectBuilder, JsObject, builtins::JsPromise},
    property::Attribute,
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::reader::{ReadRequest, Reader};
use crate::binding::{Next, Outcome, Promise, property};

/// The class string of the iterators.
const CLASS: &str = "ReadableStream AsyncIterator";

/// An asynchronous iterator of a stream. Clones are the same one.
#[derive(Clone, Trace, Finalize, JsData)]
struct AsyncIterator(Gc<State>);

#[derive(Trace, Finalize)]
struct State {
    reader: Reader,
    prevent_cancel: bool,
    ongoing: GcRefCell<Option<Promise>>,
    #[unsafe_ignore_trace]
    is_finished: Cell<bool>,
}

/// The prototype of the iterators of a realm.
#[derive(Trace, Finalize, JsData)]
struct IteratorPrototype(JsObject);

/// <https://webidl.spec.whatwg.org/#js-asynchronous-iterator-prototype-object>
pub(super) fn install(context: &mut Context) {
    let objects = context.intrinsics().objects();
    let parent = objects.iterator_prototypes().async_iterator();
    let prototype = JsObject::from_proto_and_data(parent, OrdinaryObject);
    for (name, length, steps) in [
        (
            "next",
            0,
            next as fn(&AsyncIterator, &JsValue, &mut Context) -> JsResult<Promise>,
        ),
        ("return", 1, finish),
    ] {
        let native = NativeFunction::from_copy_closure(move |this, args, context| {
            let object = this.as_object();
            let iterator = object
                .and_then(|object| object.downcast_ref::<AsyncIterator>().map(|it| it.clone()));
            let promise = match iterator {
                Some(iterator) => steps(&iterator, args.get_or_undefined(0), context)
                    .and_then(|promise| promise.object(context)),
                None => Err(JsNativeError::typ()
                    .with_message(format!(
                        "{name} was called on an object that is not a {CLASS}"
                    ))
                    .into()),
            };
            match promise {
                Ok(promise) => Ok(promise.into()),
                Err(error) => Ok(JsPromise::reject(error, context)?.into()),
            }
        });
        let function = FunctionObjectBuilder::new(context.realm(), native)
            .name(js_string!(name))
            .length(length)
            .constructor(false)
            .build();
        prototype.insert_property(js_string!(name), property(function, Attribute::all()));
    }
    let tag = property(js_string!(CLASS), Attribute::CONFIGURABLE);
    prototype.insert_property(JsSymbol::to_string_tag(), tag);
    let realm = context.realm().clone();
    realm
        .host_defined_mut()
        .insert(IteratorPrototype(prototype));
}

/// An iterator that reads from `reader`.
pub(super) fn create(
    reader: Reader,
    prevent_cancel: bool,
    context: &mut Context,
) -> JsResult<JsObject> {
    let prototype = {
        let slot = context.realm().host_defined();
        let prototype = slot.get::<IteratorPrototype>();
        prototype.map(|prototype| prototype.0.clone())
    };
    let prototype = prototype.ok_or_else(|| {
        JsNativeError::typ().with_message("streams are not installed in this realm")
    })?;
    let iterator = AsyncIterator(Gc::new(State {
        reader,
        prevent_cancel,
        ongoing: GcRefCell::default(),
        is_finished: Cell::new(false),
    }));
    Ok(JsObject::new(context.root_shape(), prototype, iterator).upcast())
}

/// `next`
fn next(iterator: &AsyncIterator, _: &JsValue, context: &mut Context) -> JsResult<Promise> {
    let ongoing = iterator.ongoing();
    let result = match ongoing {
        Some(ongoing) => ongoing.then(
            iterator.clone(),
            |iterator, _, context| iterator.next_steps(context).map(Next::Promise),
            context,
        )?,
        None => iterator.next_steps(context)?,
    };
    *iterator.0.ongoing.borrow_mut() = Some(result.clone());
    Ok(result)
}

/// `return`
fn finish(iterator: &AsyncIterator, value: &JsValue, context: &mut Context) -> JsResult<Promise> {
    let ongoing = iterator.ongoing();
    let result = match ongoing {
        Some(ongoing) => ongoing.then(
            (iterator.clone(), value.clone()),
            |(iterator, value), _, context| {
                iterator.return_steps(value, context).map(Next::Promise)
            },
            context,
        )?,
        None => iterator.return_steps(value, context)?,
    };
    *iterator.0.ongoing.borrow_mut() = Some(result.clone());
    result.then(
        value.clone(),
        |value, outcome, context| match outcome {
            Ok(_) => Ok(done(value.clone(), context)),
            Err(reason) => Err(JsError::from_opaque(reason)),
        },
        context,
    )
}

fn done(value: JsValue, context: &mut Context) -> Next {
    Next::Value(create_iter_result_object(value, true, context))
}

impl AsyncIterator {
    fn ongoing(&self) -> Option<Promise> {
        self.0.ongoing.borrow().clone()
    }

    /// The nextSteps of <https://webidl.spec.whatwg.org/#js-asynchronous-iterator-prototype-object>
    fn next_steps(&self, context: &mut Context) -> JsResult<Promise> {
        let promise = Promise::new();
        let ended = Gc::new(Cell::new(false));
        if self.0.is_finished.get() {
            ended.set(true);
            promise.resolve(JsValue::undefined(), context)?;
            return promise.then((self.clone(), ended), Self::next_settled, context);
        }
        let request = IteratorRequest {
            reader: self.0.reader.clone(),
            promise: promise.clone(),
            ended: ended.clone(),
        };
        let result = promise.then((self.clone(), ended), Self::next_settled, context)?;
        self.0.reader.read(Box::new(request), context)?;
        Ok(result)
    }

    fn next_settled(
        (iterator, ended): &(Self, Gc<Cell<bool>>),
        outcome: Outcome,
        context: &mut Context,
    ) -> JsResult<Next> {
        *iterator.0.ongoing.borrow_mut() = None;
        match outcome {
            Ok(_) if ended.get() => {
                iterator.0.is_finished.set(true);
                Ok(done(JsValue::undefined(), context))
            }
            Ok(value) => Ok(Next::Value(create_iter_result_object(
                value, false, context,
            ))),
            Err(reason) => {
                iterator.0.is_finished.set(true);
                Err(JsError::from_opaque(reason))
            }
        }
    }

    /// The returnSteps, with the stream's own:
    /// <https://streams.spec.whatwg.org/#ref-for-asynchronous-iterator-return>
    fn return_steps(&self, value: &JsValue, context: &mut Context) -> JsResult<Promise> {
        if self.0.is_finished.replace(true) {
            return Ok(Promise::fulfilled());
        }
        let result = if self.0.prevent_cancel {
            Promise::fulfilled()
        } else {
            self.0.reader.cancel(value.clone(), context)?
        };
        self.0.reader.release(context)?;
        Ok(result)
    }
}

#[derive(Trace, Finalize)]
struct IteratorRequest {
    reader: Reader,
    promise: Promise,
    ended: Gc<Cell<bool>>,
}

impl ReadRequest for IteratorRequest {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        self.promise.resolve(chunk, context)
    }

    fn close(&self, _: JsValue, context: &mut Context) -> JsResult<()> {
        self.reader.release(context)?;
        self.ended.set(true);
        self.promise.resolve(JsValue::undefined(), context)
    }

    fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        self.reader.release(context)?;
        self.promise.reject(error, context)
    }
}

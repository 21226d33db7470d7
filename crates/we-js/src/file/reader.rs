//! `FileReader`: <https://w3c.github.io/FileAPI/#APIASynch>

use std::cell::Cell;

use boa_engine::{Context, JsData, JsResult, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, GcRefCell, Trace};

use super::package::{Package, Reading};
use crate::{
    binding::{Definition, Interface, NewTarget, This},
    dom::{DomException, ErrorName, EventTarget, EventTargetObject, ProgressEvent, event_handler},
    event_loop::{self, TaskSource},
};

/// The state of a `FileReader`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct FileReader {
    #[unsafe_ignore_trace]
    state: Cell<ReadyState>,
    /// A string, an `ArrayBuffer` or null.
    result: GcRefCell<JsValue>,
    /// An exception or null.
    error: GcRefCell<JsValue>,
    /// Counts the reads that were begun or aborted: the tasks of an earlier one do nothing any more.
    #[unsafe_ignore_trace]
    read: Cell<u64>,
    /// What the next event tells of the bytes: those read, and all.
    #[unsafe_ignore_trace]
    progress: Cell<(u64, u64)>,
}

/// <https://w3c.github.io/FileAPI/#filereader-state>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadyState {
    Empty = 0,
    Loading = 1,
    Done = 2,
}

impl Interface for FileReader {
    const NAME: &'static str = "FileReader";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.constructor(0, construct);
        // async read methods
        idl.operation("readAsArrayBuffer", 1, |this, args, context| {
            read(this, Package::ArrayBuffer, args, context)
        });
        idl.operation("readAsBinaryString", 1, |this, args, context| {
            read(this, Package::BinaryString, args, context)
        });
        idl.operation("readAsText", 1, |this, args, context| {
            read(this, Package::Text(None), args, context)
        });
        idl.operation("readAsDataURL", 1, |this, args, context| {
            read(this, Package::DataUrl, args, context)
        });

        idl.operation("abort", 0, |this, _, context| abort(this, context));

        // states
        idl.constant("EMPTY", ReadyState::Empty as i32);
        idl.constant("LOADING", ReadyState::Loading as i32);
        idl.constant("DONE", ReadyState::Done as i32);
        idl.readonly("readyState", |this, _| Ok(this.state().state.get() as i32));

        // File or Blob data
        idl.readonly("result", |this, _| Ok(this.state().result.borrow().clone()));
        idl.readonly("error", |this, _| Ok(this.state().error.borrow().clone()));

        event_handler::define(idl, "onloadstart");
        event_handler::define(idl, "onprogress");
        event_handler::define(idl, "onload");
        event_handler::define(idl, "onabort");
        event_handler::define(idl, "onerror");
        event_handler::define(idl, "onloadend");
        Ok(())
    }
}

/// <https://w3c.github.io/FileAPI/#dom-filereader-filereader>
fn construct(
    new_target: &NewTarget<FileReader>,
    _: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let reader = FileReader {
        state: Cell::new(ReadyState::Empty),
        result: GcRefCell::new(JsValue::null()),
        error: GcRefCell::new(JsValue::null()),
        read: Cell::new(0),
        progress: Cell::new((0, 0)),
    };
    new_target.create(EventTargetObject::new(reader), context)
}

/// [Read operation](https://w3c.github.io/FileAPI/#readOperation)
fn read(
    this: &This<FileReader>,
    package: Package,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let reading = Reading::from_arguments(package, args, context)?;
    // 1.
    if this.state().is_loading() {
        return Err(DomException::error(
            ErrorName::InvalidState,
            "the FileReader is reading already",
            context,
        ));
    }
    let size = reading.size();
    let number = {
        let state = this.state();
        // 2. to 4.
        state.state.set(ReadyState::Loading);
        *state.result.borrow_mut() = JsValue::null();
        *state.error.borrow_mut() = JsValue::null();
        state.progress.set((0, size));
        state.next_read()
    };
    // 5. to 10. The bytes are in memory: they come as one chunk.
    queue(this, number, context, |reader, context| {
        fire(&reader, "loadstart", context)
    })?;
    if size > 0 {
        queue(this, number, context, move |reader, context| {
            reader.state().progress.set((size, size));
            fire(&reader, "progress", context)
        })?;
    }
    queue(this, number, context, move |reader, context| {
        finish(&reader, &reading, context)
    })?;
    Ok(JsValue::undefined())
}

/// Step 10.5: all bytes are there.
fn finish(reader: &This<FileReader>, reading: &Reading, context: &mut Context) -> JsResult<()> {
    // 5.1
    reader.state().state.set(ReadyState::Done);
    // 5.2 to 5.4
    match reading.package(context) {
        Ok(result) => {
            *reader.state().result.borrow_mut() = result;
            fire(reader, "load", context)?;
        }
        Err(error) => {
            let error = error.into_opaque(context)?;
            *reader.state().error.borrow_mut() = error;
            fire(reader, "error", context)?;
        }
    }
    // 5.5
    fire_end(reader, context)
}

/// <https://w3c.github.io/FileAPI/#dfn-abort>
fn abort(this: &This<FileReader>, context: &mut Context) -> JsResult<JsValue> {
    {
        let state = this.state();
        // 1., 2.
        *state.result.borrow_mut() = JsValue::null();
        if !state.is_loading() {
            return Ok(JsValue::undefined());
        }
        state.state.set(ReadyState::Done);
        // 3., 4.
        state.next_read();
    }
    // 5.
    fire(this, "abort", context)?;
    // 6.
    fire_end(this, context)?;
    Ok(JsValue::undefined())
}

impl FileReader {
    fn is_loading(&self) -> bool {
        self.state.get() == ReadyState::Loading
    }

    /// Puts an end to the tasks of the read before and numbers the next one.
    fn next_read(&self) -> u64 {
        let number = self.read.get() + 1;
        self.read.set(number);
        number
    }
}

/// Queues a task of the read with this number, which does nothing if the read was aborted.
fn queue(
    reader: &This<FileReader>,
    number: u64,
    context: &Context,
    steps: impl FnOnce(This<FileReader>, &mut Context) -> JsResult<()> + 'static,
) -> JsResult<()> {
    let reader = reader.object().clone();
    event_loop::queue_task(
        TaskSource::FileReading,
        move |context| {
            let Some(reader) = This::<FileReader>::from_object(reader) else {
                return;
            };
            if reader.state().read.get() != number {
                return;
            }
            if let Err(error) = steps(reader, context) {
                tracing::debug!(target: "we::js", %error, "a FileReader could not go on");
            }
        },
        context,
    )
}

/// `loadend`, unless a listener of the event before it has begun another read.
fn fire_end(reader: &This<FileReader>, context: &mut Context) -> JsResult<()> {
    if reader.state().is_loading() {
        return Ok(());
    }
    fire(reader, "loadend", context)
}

/// [Fires a progress event](https://xhr.spec.whatwg.org/#concept-event-fire-progress) at the reader.
fn fire(reader: &This<FileReader>, kind: &'static str, context: &mut Context) -> JsResult<()> {
    let (loaded, total) = reader.state().progress.get();
    let Some(target) = This::<EventTarget>::from_object(reader.object().clone()) else {
        return Ok(());
    };
    ProgressEvent::fire(&target, js_string!(kind), loaded, total, context)
}

#[cfg(test)]
mod tests;

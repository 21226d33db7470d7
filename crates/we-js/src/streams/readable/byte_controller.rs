//! `ReadableByteStreamController`: <https://streams.spec.whatwg.org/#rbs-controller-class>
//!
//! This file has what all controllers do; filling of buffers is in `pull_into.rs`.

use std::collections::VecDeque;

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsValue,
    object::{
        JsObject,
        builtins::{AlignedVec, JsArrayBuffer},
    },
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    Controller, ReadableStream, Request, Source, Status,
    byob::ByobRequest,
    pull_into::{PullInto, ReaderType},
    view::{View, ViewKind, allocate, is_detached, transfer},
};
use crate::{
    binding::{self, Definition, Interface, PlatformObject, Promise, thrown, type_error},
    event_loop,
    streams::strategy::nullable,
};

/// What a source of bytes fills its stream with. Clones are the same controller.
#[derive(Clone, Trace, Finalize, JsData)]
pub(crate) struct ByteController(pub(super) Gc<GcRefCell<Slots>>);

#[derive(Trace, Finalize)]
pub(super) struct Slots {
    pub(super) stream: ReadableStream,
    /// The algorithms, until they are not needed any more.
    source: Option<Source>,
    high_water_mark: f64,
    auto_allocate_chunk_size: Option<u64>,
    pub(super) byob_request: Option<ByobRequest>,
    pub(super) pending: VecDeque<PullInto>,
    pub(super) queue: VecDeque<Entry>,
    pub(super) total_size: usize,
    started: bool,
    pub(super) close_requested: bool,
    pull_again: bool,
    pulling: bool,
}

/// Bytes that wait: <https://streams.spec.whatwg.org/#readable-byte-stream-queue-entry>
#[derive(Clone, Trace, Finalize)]
pub(super) struct Entry {
    pub(super) buffer: JsArrayBuffer,
    pub(super) offset: usize,
    pub(super) length: usize,
}

impl PlatformObject for ByteController {}

impl Interface for ByteController {
    const NAME: &'static str = "ReadableByteStreamController";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("byobRequest", |this, context| {
            let controller = this.state().clone();
            match controller.byob_request(context)? {
                Some(request) => Ok(request.object(context)?.into()),
                None => Ok(JsValue::null()),
            }
        });
        idl.readonly("desiredSize", |this, _| {
            Ok(nullable(this.state().desired_size()))
        });
        idl.operation("close", 0, |this, _, context| {
            let controller = this.state().clone();
            controller.require_open()?;
            controller.close(context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("enqueue", 1, |this, args, context| {
            let chunk = View::from_value(args.get_or_undefined(0), context)?;
            let controller = this.state().clone();
            if chunk.length == 0 || chunk.buffer.byte_length() == 0 {
                return Err(JsNativeError::typ()
                    .with_message("the chunk has no bytes")
                    .into());
            }
            controller.require_open()?;
            controller.enqueue(&chunk, context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("error", 0, |this, args, context| {
            let controller = this.state().clone();
            controller.error(args.get_or_undefined(0).clone(), context)?;
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#rbs-controller-abstract-ops>
impl ByteController {
    /// <https://streams.spec.whatwg.org/#set-up-readable-byte-stream-controller> steps 1 to 13
    pub(super) fn set_up(
        stream: &ReadableStream,
        high_water_mark: f64,
        auto_allocate_chunk_size: Option<u64>,
    ) -> Self {
        let controller = Self(Gc::new(GcRefCell::new(Slots {
            stream: stream.clone(),
            source: None,
            high_water_mark,
            auto_allocate_chunk_size,
            byob_request: None,
            pending: VecDeque::new(),
            queue: VecDeque::new(),
            total_size: 0,
            started: false,
            close_requested: false,
            pull_again: false,
            pulling: false,
        })));
        stream.0.borrow_mut().controller = Some(Controller::Byte(controller.clone()));
        controller
    }

    pub(super) fn set_source(&self, source: Source) {
        self.0.borrow_mut().source = Some(source);
    }

    /// The steps 14 to 17.
    pub(super) fn start(&self, promise: &Promise, context: &mut Context) -> JsResult<()> {
        promise.react(
            self.clone(),
            |controller, outcome, context| match outcome {
                Ok(_) => {
                    controller.0.borrow_mut().started = true;
                    controller.call_pull_if_needed(context)
                }
                Err(reason) => controller.error(reason, context),
            },
            context,
        )
    }

    /// The object of a controller that has none yet.
    pub(super) fn new_object(&self, context: &mut Context) -> JsResult<JsObject> {
        let object = binding::create::<Self>(self.clone(), context)?;
        Ok(object.object().clone())
    }

    pub(super) fn stream(&self) -> ReadableStream {
        self.0.borrow().stream.clone()
    }

    pub(super) fn source(&self) -> Option<Source> {
        self.0.borrow().source.clone()
    }

    fn is_open(&self) -> bool {
        let slots = self.0.borrow();
        !slots.close_requested && slots.stream.status() == Status::Readable
    }

    fn require_open(&self) -> JsResult<()> {
        if self.is_open() {
            return Ok(());
        }
        Err(JsNativeError::typ()
            .with_message("the stream is closed or errored")
            .into())
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.0.borrow().pending.is_empty()
    }

    /// `[[CancelSteps]]`: <https://streams.spec.whatwg.org/#rbs-controller-private-cancel>
    pub(super) fn cancel_steps(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        self.clear_pending();
        self.reset_queue();
        let source = self.0.borrow().source.clone();
        let result = match source {
            Some(source) => source.cancel(reason, context),
            None => Ok(Promise::fulfilled()),
        };
        self.clear_algorithms();
        result
    }

    /// `[[PullSteps]]`: <https://streams.spec.whatwg.org/#rbs-controller-private-pull>
    pub(super) fn pull_steps(&self, request: Request, context: &mut Context) -> JsResult<()> {
        // 3.
        if self.0.borrow().total_size > 0 {
            return self.fill_read_request_from_queue(&*request, context);
        }
        // 4., 5.
        let chunk_size = self.0.borrow().auto_allocate_chunk_size;
        if let Some(size) = chunk_size {
            let buffer = match allocate(size, context) {
                Ok(buffer) => buffer,
                Err(error) => {
                    let reason = thrown(error, context)?;
                    return request.error(reason, context);
                }
            };
            let length = buffer.byte_length();
            self.0.borrow_mut().pending.push_back(PullInto {
                buffer,
                buffer_length: length,
                offset: 0,
                length,
                filled: 0,
                minimum_fill: 1,
                kind: ViewKind::UINT8_ARRAY,
                reader: ReaderType::Default,
            });
        }
        // 6., 7.
        self.stream().add_request(request);
        self.call_pull_if_needed(context)
    }

    /// `[[ReleaseSteps]]`: <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamcontroller-releasesteps>
    pub(super) fn release_steps(&self) {
        let mut slots = self.0.borrow_mut();
        slots.pending.truncate(1);
        if let Some(first) = slots.pending.front_mut() {
            first.reader = ReaderType::None;
        }
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-call-pull-if-needed>
    pub(super) fn call_pull_if_needed(&self, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        if !self.should_call_pull() {
            return Ok(());
        }
        // 3. to 5.
        let (source, stream) = {
            let mut slots = self.0.borrow_mut();
            if slots.pulling {
                slots.pull_again = true;
                return Ok(());
            }
            slots.pulling = true;
            (slots.source.clone(), slots.stream.clone())
        };
        // 6.
        let promise = match source {
            Some(source) => source.pull(&stream, context)?,
            None => Promise::fulfilled(),
        };
        // 7., 8.
        promise.react(
            self.clone(),
            |controller, outcome, context| match outcome {
                Ok(_) => {
                    let again = {
                        let mut slots = controller.0.borrow_mut();
                        slots.pulling = false;
                        std::mem::take(&mut slots.pull_again)
                    };
                    if again {
                        controller.call_pull_if_needed(context)?;
                    }
                    Ok(())
                }
                Err(reason) => controller.error(reason, context),
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-should-call-pull>
    fn should_call_pull(&self) -> bool {
        if !self.is_open() || !self.0.borrow().started {
            return false;
        }
        self.stream().pending_requests() > 0 || self.desired_size().is_some_and(|size| size > 0.0)
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-clear-algorithms>
    fn clear_algorithms(&self) {
        let source = self.0.borrow_mut().source.take();
        drop(source);
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-clear-pending-pull-intos>
    fn clear_pending(&self) {
        self.invalidate_byob_request();
        self.0.borrow_mut().pending.clear();
    }

    fn reset_queue(&self) {
        let mut slots = self.0.borrow_mut();
        slots.queue.clear();
        slots.total_size = 0;
    }

    pub(super) fn invalidate_byob_request(&self) {
        let request = self.0.borrow_mut().byob_request.take();
        if let Some(request) = request {
            request.invalidate();
        }
    }

    /// No more bytes will follow; those that wait can still be read.
    ///
    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-close>
    pub(crate) fn close(&self, context: &mut Context) -> JsResult<()> {
        if !self.is_open() {
            return Ok(());
        }
        let is_torn = {
            let mut slots = self.0.borrow_mut();
            if slots.total_size > 0 {
                slots.close_requested = true;
                return Ok(());
            }
            let first = slots.pending.front();
            first.is_some_and(|first| first.filled % first.kind.element_size() != 0)
        };
        if is_torn {
            let error = type_error("the stream ends in the middle of an element", context);
            self.error(error.clone(), context)?;
            return Err(JsError::from_opaque(error));
        }
        self.clear_algorithms();
        self.stream().close(context)
    }

    /// [Closes](https://streams.spec.whatwg.org/#readablestream-close) the stream for another standard: a read into a
    /// buffer that waits is told at once.
    pub(crate) fn close_and_respond(&self, context: &mut Context) -> JsResult<()> {
        self.close(context)?;
        if self.has_pending() && !self.stream().is_readable() {
            self.respond(0, context)?;
        }
        Ok(())
    }

    /// Makes the stream fail. What waits in it is dropped.
    ///
    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-error>
    pub(crate) fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        let stream = self.stream();
        if stream.status() != Status::Readable {
            return Ok(());
        }
        self.clear_pending();
        self.reset_queue();
        self.clear_algorithms();
        stream.error(error, context)
    }

    /// How many more bytes the queue wants; `None` if the stream is errored.
    ///
    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-get-desired-size>
    pub(crate) fn desired_size(&self) -> Option<f64> {
        let slots = self.0.borrow();
        match slots.stream.status() {
            Status::Errored => None,
            Status::Closed => Some(0.0),
            Status::Readable => Some(slots.high_water_mark - slots.total_size as f64),
        }
    }

    /// Adds bytes, at least one, unless the stream is closed. They are not copied.
    pub(crate) fn enqueue_bytes(
        &self,
        bytes: AlignedVec<u8>,
        context: &mut Context,
    ) -> JsResult<()> {
        event_loop::account_external(bytes.len(), context);
        let buffer = JsArrayBuffer::from_byte_block(bytes, context)?;
        let length = buffer.byte_length();
        let chunk = View {
            buffer,
            offset: 0,
            length,
            kind: ViewKind::UINT8_ARRAY,
        };
        self.enqueue(&chunk, context)
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-enqueue>
    pub(super) fn enqueue(&self, chunk: &View, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        if !self.is_open() {
            return Ok(());
        }
        // 3. to 7.
        let detached = || JsNativeError::typ().with_message("the buffer is detached");
        if is_detached(&chunk.buffer) {
            return Err(detached().into());
        }
        let entry = Entry {
            buffer: transfer(&chunk.buffer, context)?,
            offset: chunk.offset,
            length: chunk.length,
        };
        // 8.
        let first = self
            .0
            .borrow()
            .pending
            .front()
            .map(|first| (first.buffer.clone(), first.reader));
        if let Some((buffer, reader)) = first {
            if is_detached(&buffer) {
                return Err(detached().into());
            }
            self.invalidate_byob_request();
            let buffer = transfer(&buffer, context)?;
            self.set_first_buffer(buffer);
            if reader == ReaderType::None {
                self.enqueue_detached_pull_into(context)?;
            }
        }
        // 9. to 11.
        let stream = self.stream();
        match stream.reader() {
            Some(reader) if !reader.is_byob() => {
                self.process_read_requests(context)?;
                match stream.next_request() {
                    None => self.enqueue_to_queue(entry),
                    Some(request) => {
                        self.0.borrow_mut().pending.pop_front();
                        let view = ViewKind::UINT8_ARRAY.construct(
                            &entry.buffer,
                            entry.offset,
                            entry.length,
                            context,
                        )?;
                        request.chunk(view.into(), context)?;
                    }
                }
            }
            Some(_) => {
                self.enqueue_to_queue(entry);
                let filled = self.process_pull_intos()?;
                self.commit_all(filled, context)?;
            }
            None => self.enqueue_to_queue(entry),
        }
        // 12.
        self.call_pull_if_needed(context)
    }

    pub(super) fn set_first_buffer(&self, buffer: JsArrayBuffer) {
        if let Some(first) = self.0.borrow_mut().pending.front_mut() {
            first.buffer = buffer;
        }
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-enqueue-chunk-to-queue>
    pub(super) fn enqueue_to_queue(&self, entry: Entry) {
        let mut slots = self.0.borrow_mut();
        slots.total_size += entry.length;
        slots.queue.push_back(entry);
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamcontrollerprocessreadrequestsusingqueue>
    fn process_read_requests(&self, context: &mut Context) -> JsResult<()> {
        while self.0.borrow().total_size > 0 {
            let Some(request) = self.stream().next_request() else {
                break;
            };
            self.fill_read_request_from_queue(&*request, context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamcontrollerfillreadrequestfromqueue>
    fn fill_read_request_from_queue(
        &self,
        request: &dyn super::reader::ReadRequest,
        context: &mut Context,
    ) -> JsResult<()> {
        let entry = {
            let mut slots = self.0.borrow_mut();
            let entry = slots.queue.pop_front();
            let length = entry.as_ref().map_or(0, |entry| entry.length);
            slots.total_size = slots.total_size.saturating_sub(length);
            entry
        };
        let Some(entry) = entry else { return Ok(()) };
        self.handle_queue_drain(context)?;
        let view =
            ViewKind::UINT8_ARRAY.construct(&entry.buffer, entry.offset, entry.length, context)?;
        request.chunk(view.into(), context)
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-handle-queue-drain>
    pub(super) fn handle_queue_drain(&self, context: &mut Context) -> JsResult<()> {
        let closes = {
            let slots = self.0.borrow();
            slots.total_size == 0 && slots.close_requested
        };
        if closes {
            self.clear_algorithms();
            return self.stream().close(context);
        }
        self.call_pull_if_needed(context)
    }
}

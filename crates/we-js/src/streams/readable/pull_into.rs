//! Filling the buffers of readers: the part of a byte stream's controller that deals with pull-into descriptors.
//! <https://streams.spec.whatwg.org/#pull-into-descriptor>

use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsValue,
    object::{JsObject, builtins::JsArrayBuffer},
};
use boa_gc::{Finalize, Trace};

use super::{
    Request, Status,
    byob::ByobRequest,
    byte_controller::{ByteController, Entry, Slots},
    view::{self, View, ViewKind, copy_bytes, transfer},
};
use crate::binding::{thrown, type_error};

/// A buffer that waits to be filled.
#[derive(Clone, Trace, Finalize)]
pub(super) struct PullInto {
    pub(super) buffer: JsArrayBuffer,
    pub(super) buffer_length: usize,
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) filled: usize,
    pub(super) minimum_fill: usize,
    #[unsafe_ignore_trace]
    pub(super) kind: ViewKind,
    #[unsafe_ignore_trace]
    pub(super) reader: ReaderType,
}

/// Who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReaderType {
    Default,
    Byob,
    /// A reader that has been released.
    None,
}

impl PullInto {
    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-convert-pull-into-descriptor>
    fn convert(&self, context: &mut Context) -> JsResult<JsObject> {
        let buffer = transfer(&self.buffer, context)?;
        let elements = self.filled / self.kind.element_size();
        self.kind.construct(&buffer, self.offset, elements, context)
    }
}

impl Slots {
    /// Copies bytes of the queue to `into`. Returns whether it can be given to its reader.
    ///
    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-fill-pull-into-descriptor-from-queue>
    fn fill_from_queue(&mut self, into: &mut PullInto) -> JsResult<bool> {
        // 1. to 9.
        let most = self.total_size.min(into.length.saturating_sub(into.filled));
        let most_filled = into.filled + most;
        let aligned = most_filled - most_filled % into.kind.element_size();
        let is_ready = aligned >= into.minimum_fill;
        let mut remaining = if is_ready {
            aligned.saturating_sub(into.filled)
        } else {
            most
        };
        // 10., 11.
        while remaining > 0 {
            let Some(head) = self.queue.front_mut() else {
                break;
            };
            let count = remaining.min(head.length);
            let start = into.offset + into.filled;
            copy_bytes(&into.buffer, start, &head.buffer, head.offset, count)?;
            head.offset += count;
            head.length -= count;
            if head.length == 0 {
                self.queue.pop_front();
            }
            self.total_size = self.total_size.saturating_sub(count);
            into.filled += count;
            remaining -= count;
        }
        // 13.
        Ok(is_ready)
    }
}

impl ByteController {
    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-pull-into>
    pub(super) fn pull_into(
        &self,
        view: View,
        min: usize,
        request: Request,
        context: &mut Context,
    ) -> JsResult<()> {
        // 1. to 12.
        let stream = self.stream();
        let buffer = match transfer(&view.buffer, context) {
            Ok(buffer) => buffer,
            Err(error) => {
                let reason = thrown(error, context)?;
                return request.error(reason, context);
            }
        };
        // 13.
        let mut into = PullInto {
            buffer_length: buffer.byte_length(),
            buffer,
            offset: view.offset,
            length: view.length,
            filled: 0,
            minimum_fill: min.saturating_mul(view.kind.element_size()),
            kind: view.kind,
            reader: ReaderType::Byob,
        };
        // 14.
        if self.has_pending() {
            self.0.borrow_mut().pending.push_back(into);
            stream.add_request(request);
            return Ok(());
        }
        // 15.
        if stream.status() == Status::Closed {
            let empty = into.kind.construct(&into.buffer, into.offset, 0, context)?;
            return request.close(empty.into(), context);
        }
        // 16.
        let (total_size, close_requested) = {
            let slots = self.0.borrow();
            (slots.total_size, slots.close_requested)
        };
        if total_size > 0 {
            let is_ready = self.0.borrow_mut().fill_from_queue(&mut into)?;
            if is_ready {
                let view = into.convert(context)?;
                self.handle_queue_drain(context)?;
                return request.chunk(view.into(), context);
            }
            if close_requested {
                let error = type_error("the stream ends in the middle of an element", context);
                self.error(error.clone(), context)?;
                return request.error(error, context);
            }
        }
        // 17. to 19.
        self.0.borrow_mut().pending.push_back(into);
        stream.add_request(request);
        self.call_pull_if_needed(context)
    }

    /// The request to fill the buffer that has waited longest.
    ///
    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamcontrollergetbyobrequest>
    pub(super) fn byob_request(&self, context: &mut Context) -> JsResult<Option<ByobRequest>> {
        let first = {
            let slots = self.0.borrow();
            if let Some(request) = &slots.byob_request {
                return Ok(Some(request.clone()));
            }
            slots.pending.front().cloned()
        };
        let Some(first) = first else { return Ok(None) };
        let view = ViewKind::UINT8_ARRAY.construct(
            &first.buffer,
            first.offset + first.filled,
            first.length - first.filled,
            context,
        )?;
        let request = ByobRequest::new(self.clone(), view);
        self.0.borrow_mut().byob_request = Some(request.clone());
        Ok(Some(request))
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-respond>
    pub(super) fn respond(&self, written: u64, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        let Some(first) = self.0.borrow().pending.front().cloned() else {
            return Ok(());
        };
        // 3. to 5.
        let written = self.check_written(&first, written)?;
        // 6., 7.
        let buffer = transfer(&first.buffer, context)?;
        self.set_first_buffer(buffer);
        self.respond_internal(written, context)
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-respond-with-new-view>
    pub(super) fn respond_with_new_view(&self, view: &View, context: &mut Context) -> JsResult<()> {
        // 1. to 3.
        let Some(first) = self.0.borrow().pending.front().cloned() else {
            return Ok(());
        };
        // 4. to 6.
        self.check_state(view.length as u64)?;
        // 7. to 9.
        let range = |message| JsError::from(JsNativeError::range().with_message(message));
        if first.offset + first.filled != view.offset {
            return Err(range("the view does not begin where the request's begins"));
        }
        if first.buffer_length != view.buffer.byte_length() {
            return Err(range("the view's buffer is not as long as the request's"));
        }
        let written = self.check_written(&first, view.length as u64)?;
        // 10. to 12.
        let buffer = transfer(&view.buffer, context)?;
        self.set_first_buffer(buffer);
        self.respond_internal(written, context)
    }

    fn check_state(&self, written: u64) -> JsResult<()> {
        let is_closed = self.stream().status() == Status::Closed;
        let message = match (is_closed, written) {
            (true, 1..) => "bytes were written for a closed stream",
            (false, 0) => "no bytes were written",
            _ => return Ok(()),
        };
        Err(JsNativeError::typ().with_message(message).into())
    }

    fn check_written(&self, first: &PullInto, written: u64) -> JsResult<usize> {
        self.check_state(written)?;
        let left = first.length - first.filled;
        match usize::try_from(written) {
            Ok(written) if written <= left => Ok(written),
            _ => Err(JsNativeError::range()
                .with_message("more bytes were written than there is room for")
                .into()),
        }
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-respond-internal>
    fn respond_internal(&self, written: usize, context: &mut Context) -> JsResult<()> {
        self.invalidate_byob_request();
        if self.stream().status() == Status::Closed {
            self.respond_in_closed_state(context)?;
        } else {
            self.respond_in_readable_state(written, context)?;
        }
        self.call_pull_if_needed(context)
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-respond-in-closed-state>
    fn respond_in_closed_state(&self, context: &mut Context) -> JsResult<()> {
        let stream = self.stream();
        let filled = {
            let mut slots = self.0.borrow_mut();
            if slots
                .pending
                .front()
                .is_some_and(|first| first.reader == ReaderType::None)
            {
                slots.pending.pop_front();
            }
            if !stream.reader().is_some_and(|reader| reader.is_byob()) {
                return Ok(());
            }
            let count = stream.pending_requests().min(slots.pending.len());
            slots.pending.drain(..count).collect()
        };
        self.commit_all(filled, context)
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-respond-in-readable-state>
    fn respond_in_readable_state(&self, written: usize, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        let first = {
            let mut slots = self.0.borrow_mut();
            let Some(first) = slots.pending.front_mut() else {
                return Ok(());
            };
            first.filled += written;
            first.clone()
        };
        // 3.
        if first.reader == ReaderType::None {
            self.enqueue_detached_pull_into(context)?;
            let filled = self.process_pull_intos()?;
            return self.commit_all(filled, context);
        }
        // 4.
        if first.filled < first.minimum_fill {
            return Ok(());
        }
        // 5.
        let mut first = first;
        self.0.borrow_mut().pending.pop_front();
        // 6. to 8.
        let remainder = first.filled % first.kind.element_size();
        if remainder > 0 {
            let end = first.offset + first.filled;
            self.enqueue_cloned(&first.buffer, end - remainder, remainder, context)?;
            first.filled -= remainder;
        }
        // 9. to 11.
        let filled = self.process_pull_intos()?;
        self.commit(&first, context)?;
        self.commit_all(filled, context)
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamcontrollerenqueueclonedchunktoqueue>
    fn enqueue_cloned(
        &self,
        buffer: &JsArrayBuffer,
        offset: usize,
        length: usize,
        context: &mut Context,
    ) -> JsResult<()> {
        match view::clone(buffer, offset, length, context) {
            Ok(buffer) => {
                self.enqueue_to_queue(Entry {
                    buffer,
                    offset: 0,
                    length,
                });
                Ok(())
            }
            Err(error) => {
                let reason = thrown(error, context)?;
                self.error(reason.clone(), context)?;
                Err(JsError::from_opaque(reason))
            }
        }
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamcontrollerenqueuedetachedpullintotoqueue>
    pub(super) fn enqueue_detached_pull_into(&self, context: &mut Context) -> JsResult<()> {
        let first = self.0.borrow().pending.front().cloned();
        let Some(first) = first else { return Ok(()) };
        if first.filled > 0 {
            self.enqueue_cloned(&first.buffer, first.offset, first.filled, context)?;
        }
        self.0.borrow_mut().pending.pop_front();
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-process-pull-into-descriptors-using-queue>
    pub(super) fn process_pull_intos(&self) -> JsResult<Vec<PullInto>> {
        let mut slots = self.0.borrow_mut();
        let mut filled = Vec::new();
        while slots.total_size > 0 {
            let Some(mut first) = slots.pending.pop_front() else {
                break;
            };
            if slots.fill_from_queue(&mut first)? {
                filled.push(first);
            } else {
                slots.pending.push_front(first);
                break;
            }
        }
        Ok(filled)
    }

    pub(super) fn commit_all(&self, filled: Vec<PullInto>, context: &mut Context) -> JsResult<()> {
        for into in filled {
            self.commit(&into, context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-commit-pull-into-descriptor>
    fn commit(&self, into: &PullInto, context: &mut Context) -> JsResult<()> {
        let stream = self.stream();
        let is_done = stream.status() == Status::Closed;
        let view: JsValue = into.convert(context)?.into();
        let Some(request) = stream.next_request() else {
            return Ok(());
        };
        match (is_done, into.reader) {
            (false, _) => request.chunk(view, context),
            (true, ReaderType::Byob) => request.close(view, context),
            (true, _) => request.close(JsValue::undefined(), context),
        }
    }
}

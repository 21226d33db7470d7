//! Transferable streams: <https://streams.spec.whatwg.org/#rs-transfer>
//!
//! A stream that is transferred stays where it is, locked to a pipe, and what goes over is one end of a channel. A stream
//! of the same kind is made at the other end; chunks and the wish for them are messages between the two, each chunk a
//! structured clone. Where the other half's agent ends without a word, a stream waits for ever, as the standard has it.

use boa_engine::{Context, JsResult, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    ReadableStream, Strategy, TransformStream, UnderlyingSink, UnderlyingSource, WritableStream,
    readable::{self, DefaultController, PipeOptions},
};
use crate::{
    binding::{self, Next, Promise, This, thrown},
    messaging::{MessagePort, PortEnd, PortListener},
    structured_clone::{Transferable, Transferred, data_clone_error},
};

/// The port of a stream whose other half is elsewhere.
#[derive(Clone, Trace, Finalize)]
struct Port(JsObject);

/// What a message between two halves is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chunk,
    Pull,
    Close,
    Error,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Chunk, "chunk"),
    (Kind::Pull, "pull"),
    (Kind::Close, "close"),
    (Kind::Error, "error"),
];

impl Kind {
    fn name(self) -> &'static str {
        let mut kinds = KINDS.iter();
        kinds
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// The type and the value of a message. Whatever else comes was not sent by a stream, and is for nobody.
    fn of_message(message: &JsValue, context: &mut Context) -> JsResult<Option<(Self, JsValue)>> {
        let Some(message) = message.as_object() else {
            return Ok(None);
        };
        let kind = message.get(js_string!("type"), context)?;
        let Some(name) = kind.as_string() else {
            return Ok(None);
        };
        let mut kinds = KINDS.iter();
        let Some((kind, _)) = kinds.find(|(_, other)| name == *other) else {
            return Ok(None);
        };
        let value = message.get(js_string!("value"), context)?;
        Ok(Some((*kind, value)))
    }
}

impl Port {
    /// Two entangled ends, one of which becomes a port here.
    fn pair(context: &mut Context) -> JsResult<(Self, PortEnd)> {
        let (here, there) = PortEnd::pair();
        Ok((Self::create(here, context)?, there))
    }

    fn create(end: PortEnd, context: &mut Context) -> JsResult<Self> {
        Ok(Self(MessagePort::create(end, context)?.object().clone()))
    }

    fn port(&self) -> Option<This<MessagePort>> {
        This::from_object(self.0.clone())
    }

    /// Has what arrives told to `listener`, from now on.
    fn listen(&self, listener: impl PortListener) {
        if let Some(port) = self.port() {
            port.listen(listener);
        }
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-packandpostmessage>
    fn post(&self, kind: Kind, value: JsValue, context: &mut Context) -> JsResult<()> {
        // 1. to 4.
        let message = JsObject::with_null_proto();
        let name = js_string!(kind.name());
        message.create_data_property_or_throw(js_string!("type"), name, context)?;
        message.create_data_property_or_throw(js_string!("value"), value, context)?;
        // 5., 6.
        match self.port() {
            Some(port) => port.post(&message.into(), context),
            None => Ok(()),
        }
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-packandpostmessagehandlingerror>
    fn post_or_error(&self, kind: Kind, value: JsValue, context: &mut Context) -> JsResult<()> {
        let Err(error) = self.post(kind, value, context) else {
            return Ok(());
        };
        let error = thrown(error, context)?;
        self.send_error(error.clone(), context);
        Err(boa_engine::JsError::from_opaque(error))
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-crossrealmtransformsenderror>
    fn send_error(&self, error: JsValue, context: &mut Context) {
        if let Err(error) = self.post(Kind::Error, error, context) {
            tracing::debug!(target: "we::js", %error, "what a stream failed with cannot be cloned");
        }
    }

    /// Disentangles the port.
    fn close(&self) {
        if let Some(port) = self.port() {
            port.disentangle();
        }
    }
}

/// What becomes of a stream when a message cannot be made anew here.
fn data_error(context: &mut Context) -> JsResult<JsValue> {
    let error = data_clone_error("a chunk cannot be cloned into this realm", context);
    thrown(error, context)
}

/// The half that is read from.
#[derive(Clone, Trace, Finalize)]
struct ReadableHalf {
    port: Port,
}

impl ReadableHalf {
    /// <https://streams.spec.whatwg.org/#abstract-opdef-setupcrossrealmtransformreadable>
    fn set_up(port: Port, context: &mut Context) -> JsResult<ReadableStream> {
        let half = Self { port: port.clone() };
        let start = Promise::fulfilled();
        let (stream, controller) =
            ReadableStream::new(half, &start, Strategy::count(0.0), context)?;
        port.listen(ReadableListener {
            port: port.clone(),
            controller,
        });
        Ok(stream)
    }
}

impl UnderlyingSource for ReadableHalf {
    /// Step 6.
    fn pull(&self, _: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        self.port.post(Kind::Pull, JsValue::undefined(), context)?;
        Ok(Promise::fulfilled())
    }

    /// Step 7.
    fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let posted = self.port.post_or_error(Kind::Error, reason, context);
        self.port.close();
        posted.map(|()| Promise::fulfilled())
    }
}

#[derive(Trace, Finalize)]
struct ReadableListener {
    port: Port,
    controller: DefaultController,
}

impl PortListener for ReadableListener {
    fn message(&self, message: JsResult<JsValue>, context: &mut Context) -> JsResult<()> {
        let Ok(message) = message else {
            // 4.
            let error = data_error(context)?;
            self.port.send_error(error.clone(), context);
            self.controller.error(error, context)?;
            self.port.close();
            return Ok(());
        };
        // 3.
        match Kind::of_message(&message, context)? {
            Some((Kind::Chunk, chunk)) if self.controller.can_close_or_enqueue() => {
                self.controller.enqueue(chunk, context)?;
            }
            Some((Kind::Close, _)) => {
                if self.controller.can_close_or_enqueue() {
                    self.controller.close(context)?;
                }
                self.port.close();
            }
            Some((Kind::Error, error)) => {
                self.controller.error(error, context)?;
                self.port.close();
            }
            Some((Kind::Chunk | Kind::Pull, _)) | None => {}
        }
        Ok(())
    }
}

/// The half that is written to.
#[derive(Clone, Trace, Finalize)]
struct WritableHalf {
    port: Port,
    /// Pending while the other half has not asked for more.
    backpressure: Gc<GcRefCell<Option<Promise>>>,
}

impl WritableHalf {
    /// <https://streams.spec.whatwg.org/#abstract-opdef-setupcrossrealmtransformwritable>
    fn set_up(port: Port, context: &mut Context) -> JsResult<WritableStream> {
        let half = Self {
            port: port.clone(),
            backpressure: Gc::new(GcRefCell::new(Some(Promise::new()))),
        };
        let start = Promise::fulfilled();
        let stream = WritableStream::new(half.clone(), &start, Strategy::count(1.0), context)?;
        port.listen(WritableListener {
            half,
            stream: stream.clone(),
        });
        Ok(stream)
    }

    fn release(&self, context: &mut Context) -> JsResult<()> {
        let waiting = self.backpressure.borrow_mut().take();
        match waiting {
            Some(promise) => promise.resolve(JsValue::undefined(), context),
            None => Ok(()),
        }
    }
}

impl UnderlyingSink for WritableHalf {
    /// Step 8.
    fn write(
        &self,
        chunk: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let waiting = self.backpressure.borrow().clone();
        let released = waiting.unwrap_or_else(Promise::fulfilled);
        released.then(
            (self.clone(), chunk),
            |(half, chunk), _, context| {
                *half.backpressure.borrow_mut() = Some(Promise::new());
                let posted = half.port.post_or_error(Kind::Chunk, chunk.clone(), context);
                if posted.is_err() {
                    half.port.close();
                }
                posted.map(|()| Next::Value(JsValue::undefined()))
            },
            context,
        )
    }

    /// Step 9.
    fn close(&self, _: &WritableStream, context: &mut Context) -> JsResult<Promise> {
        self.port.post(Kind::Close, JsValue::undefined(), context)?;
        self.port.close();
        Ok(Promise::fulfilled())
    }

    /// Step 10.
    fn abort(
        &self,
        reason: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let posted = self.port.post_or_error(Kind::Error, reason, context);
        self.port.close();
        posted.map(|()| Promise::fulfilled())
    }
}

#[derive(Trace, Finalize)]
struct WritableListener {
    half: WritableHalf,
    stream: WritableStream,
}

impl PortListener for WritableListener {
    fn message(&self, message: JsResult<JsValue>, context: &mut Context) -> JsResult<()> {
        let Ok(message) = message else {
            // 5.
            let error = data_error(context)?;
            self.half.port.send_error(error.clone(), context);
            self.stream.error_if_needed(error, context)?;
            self.half.port.close();
            return Ok(());
        };
        // 4.
        match Kind::of_message(&message, context)? {
            Some((Kind::Pull, _)) => self.half.release(context),
            Some((Kind::Error, error)) => {
                self.stream.error_if_needed(error, context)?;
                self.half.release(context)
            }
            Some((Kind::Chunk | Kind::Close, _)) | None => Ok(()),
        }
    }
}

/// Pipes for the sake of a transfer: how it ends is told to the streams at both ends, and to nobody else.
fn pipe(from: &ReadableStream, to: &WritableStream, context: &mut Context) -> JsResult<()> {
    let options = PipeOptions {
        prevent_abort: false,
        prevent_cancel: false,
        prevent_close: false,
        signal: None,
    };
    readable::pipe_to(from, to, &options, context)?.mark_as_handled();
    Ok(())
}

/// A readable stream on its way.
#[derive(Debug)]
struct MovedReadable(PortEnd);

/// A writable stream on its way.
#[derive(Debug)]
struct MovedWritable(PortEnd);

/// A transform stream on its way.
#[derive(Debug)]
struct MovedTransform {
    readable: MovedReadable,
    writable: MovedWritable,
}

impl MovedReadable {
    /// The transfer steps of <https://streams.spec.whatwg.org/#rs-transfer>.
    fn of(stream: &ReadableStream, context: &mut Context) -> JsResult<Self> {
        // 2. to 4.
        let (port, other) = Port::pair(context)?;
        // 5., 6.
        let writable = WritableHalf::set_up(port, context)?;
        // 7., 8.
        pipe(stream, &writable, context)?;
        // 9.
        Ok(Self(other))
    }

    /// The transfer-receiving steps.
    fn receive(self, context: &mut Context) -> JsResult<ReadableStream> {
        let port = Port::create(self.0, context)?;
        ReadableHalf::set_up(port, context)
    }
}

impl MovedWritable {
    /// The transfer steps of <https://streams.spec.whatwg.org/#ws-transfer>.
    fn of(stream: &WritableStream, context: &mut Context) -> JsResult<Self> {
        // 2. to 4.
        let (port, other) = Port::pair(context)?;
        // 5., 6.
        let readable = ReadableHalf::set_up(port, context)?;
        // 7., 8.
        pipe(&readable, stream, context)?;
        // 9.
        Ok(Self(other))
    }

    /// The transfer-receiving steps.
    fn receive(self, context: &mut Context) -> JsResult<WritableStream> {
        let port = Port::create(self.0, context)?;
        WritableHalf::set_up(port, context)
    }
}

/// Step 1 of each stream's transfer steps.
fn require_unlocked(is_locked: bool, context: &mut Context) -> JsResult<()> {
    if is_locked {
        return Err(data_clone_error(
            "a locked stream cannot be transferred",
            context,
        ));
    }
    Ok(())
}

impl Transferable for ReadableStream {
    fn is_detached(this: &This<Self>) -> bool {
        this.state().is_detached()
    }

    fn transfer(this: &This<Self>, context: &mut Context) -> JsResult<Box<dyn Transferred>> {
        let stream = this.state().clone();
        require_unlocked(stream.is_locked(), context)?;
        stream.set_detached();
        Ok(Box::new(MovedReadable::of(&stream, context)?))
    }
}

impl Transferred for MovedReadable {
    fn receive(self: Box<Self>, context: &mut Context) -> JsResult<JsObject> {
        MovedReadable::receive(*self, context)?.object(context)
    }
}

impl Transferable for WritableStream {
    fn is_detached(this: &This<Self>) -> bool {
        this.state().is_detached()
    }

    fn transfer(this: &This<Self>, context: &mut Context) -> JsResult<Box<dyn Transferred>> {
        let stream = this.state().clone();
        require_unlocked(stream.is_locked(), context)?;
        stream.set_detached();
        Ok(Box::new(MovedWritable::of(&stream, context)?))
    }
}

impl Transferred for MovedWritable {
    fn receive(self: Box<Self>, context: &mut Context) -> JsResult<JsObject> {
        MovedWritable::receive(*self, context)?.object(context)
    }
}

/// <https://streams.spec.whatwg.org/#ts-transfer>
impl Transferable for TransformStream {
    fn is_detached(this: &This<Self>) -> bool {
        this.state().is_detached()
    }

    fn transfer(this: &This<Self>, context: &mut Context) -> JsResult<Box<dyn Transferred>> {
        let stream = this.state().clone();
        // 1. to 4.
        let (readable, writable) = (stream.readable()?, stream.writable()?);
        require_unlocked(readable.is_locked() || writable.is_locked(), context)?;
        // 5., 6.
        stream.set_detached();
        Ok(Box::new(MovedTransform {
            readable: MovedReadable::of(&readable, context)?,
            writable: MovedWritable::of(&writable, context)?,
        }))
    }
}

impl Transferred for MovedTransform {
    fn receive(self: Box<Self>, context: &mut Context) -> JsResult<JsObject> {
        let readable = self.readable.receive(context)?;
        let writable = self.writable.receive(context)?;
        let stream = TransformStream::of_sides(readable, writable)?;
        Ok(binding::create::<TransformStream>(stream, context)?
            .object()
            .clone())
    }
}

//! [`Exchange`]: a request and an application's answer to it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use boa_engine::job::NativeAsyncJob;
use boa_engine::object::builtins::{JsFunction, JsPromise};
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsResult, JsValue, NativeFunction, js_string,
};
use boa_gc::{Finalize, Trace};
use tokio::sync::Notify;
use we_net::http::Bytes;
use we_net::protocol::{CloseCode, CloseFrame, Message, Payload};

use super::{
    ConnectionInfo, ResponseHead,
    app::{App, finish},
};
use crate::abort::{AbortSignal, signal_abort};
use crate::binding::{This, from_utf8};
use crate::event_loop::LoopState;
use crate::fetch::{self, BodySink};
use crate::network::SocketHandle;

/// So much of a body may wait for the network before its stream is read on.
const UNWRITTEN_MARK: u64 = 64 << 10;

/// A request that is being answered.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Exchange {
    #[unsafe_ignore_trace]
    link: Rc<Link>,
    /// Aborted when the client goes.
    #[unsafe_ignore_trace]
    signal: Rc<RefCell<Option<This<AbortSignal>>>>,
}

/// The link to the server, as somewhere to send a body to.
struct Link {
    socket: SocketHandle,
    /// Bytes of payload, of the head too and of what went before.
    sent: Cell<u64>,
    flushed: Notify,
    has_ended: Cell<bool>,
    ended: Notify,
    /// Whether the application has done what it does for this request.
    is_done: Cell<bool>,
}

impl Link {
    fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send(Message::Binary(Payload::from(bytes)));
        self.sent.set(self.sent.get() + bytes.len() as u64);
    }
}

impl BodySink for Link {
    async fn send(&self, piece: Bytes) -> bool {
        self.send_bytes(&piece);
        let wanted = self.sent.get().saturating_sub(UNWRITTEN_MARK);
        if self.socket.flushed_bytes() < wanted {
            self.socket.tell_when_flushed(wanted);
            tokio::select! {
                () = self.flushed.notified() => {}
                () = self.closed() => {}
            }
        }
        !self.has_ended.get()
    }

    async fn closed(&self) {
        // Nothing comes between the look and the wait: all of it is on one thread.
        if !self.has_ended.get() {
            self.ended.notified().await;
        }
    }

    async fn finish(&self) {
        self.socket.close(Some(CloseFrame::from(CloseCode::NORMAL)));
    }
}

impl Exchange {
    /// A request on a link by which `sent` bytes have gone already.
    pub(super) fn new(socket: SocketHandle, sent: u64) -> Self {
        Self {
            link: Rc::new(Link {
                socket,
                sent: Cell::new(sent),
                flushed: Notify::new(),
                has_ended: Cell::new(false),
                ended: Notify::new(),
                is_done: Cell::new(false),
            }),
            signal: Rc::default(),
        }
    }

    /// Ends the link, as a body that is not complete does.
    pub(super) fn close(&self, frame: Option<CloseFrame>) {
        self.link.socket.close(frame);
    }

    pub(super) fn flushed(&self) {
        self.link.flushed.notify_one();
    }

    /// Asks the application for its answer.
    pub(super) fn begin(
        &self,
        info: &ConnectionInfo,
        app: &App,
        context: &mut Context,
    ) -> JsResult<()> {
        let (request, signal) =
            fetch::server_request(&info.method, &info.url, &info.headers, &info.body, context)?;
        *self.signal.borrow_mut() = Some(signal);
        let arguments = [from_utf8(&info.route).into(), request.into()];
        let state = LoopState::of(context)?;
        let answer = state.run_callback(context, |context| app.call("http", &arguments, context));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.link.is_done.set(true);
                state.report_exception(error, context);
                return Ok(());
            }
        };
        let answer = answer.to_object(context)?;
        let response = answer.get(js_string!("response"), context)?;
        let done = answer.get(js_string!("done"), context)?;

        let respond = self.reaction(
            |exchange, value, context| match exchange.respond(value, context) {
                Ok(()) => Ok(()),
                Err(error) => {
                    LoopState::of(context)?.report_exception(error, context);
                    Ok(())
                }
            },
            context,
        );
        let report = self.reaction(
            |_, value, context| {
                let error = JsError::from_opaque(value.clone());
                LoopState::of(context)?.report_exception(error, context);
                Ok(())
            },
            context,
        );
        let is_done = self.reaction(
            |exchange, _, context| {
                exchange.link.is_done.set(true);
                exchange.finish_if_over(context)
            },
            context,
        );
        let is_same = JsValue::same_value(&response, &done);
        let response = JsPromise::resolve(response, context)?;
        response.then(Some(respond), Some(report.clone()), context)?;
        let done = JsPromise::resolve(done, context)?;
        // An error of the response has been reported above.
        let told = if is_same { is_done.clone() } else { report };
        done.then(Some(is_done.clone()), Some(told), context)?
            .finally(is_done, context)?;
        Ok(())
    }

    /// A function for a promise to call.
    fn reaction(
        &self,
        steps: fn(&Self, &JsValue, &mut Context) -> JsResult<()>,
        context: &Context,
    ) -> JsFunction {
        let native = NativeFunction::from_copy_closure_with_captures(
            move |_, args, exchange: &Self, context| {
                steps(exchange, args.get_or_undefined(0), context)?;
                Ok(JsValue::undefined())
            },
            self.clone(),
        );
        native.to_js_function(context.realm())
    }

    /// Sends what the application has answered: the head, and the body as it comes.
    fn respond(&self, value: &JsValue, context: &mut Context) -> JsResult<()> {
        let Some((head, body)) = fetch::take_response(value, context)? else {
            return Err(JsNativeError::typ()
                .with_message("what answers a request must return a Response, or a promise of one")
                .into());
        };
        let (status, headers) = head;
        let head = ResponseHead { status, headers };
        let link = self.link.clone();
        link.send_bytes(&head.encode());
        let Some(reader) = body else {
            link.socket.close(Some(CloseFrame::from(CloseCode::NORMAL)));
            return Ok(());
        };
        let job = NativeAsyncJob::new(async move |context: &RefCell<&mut Context>| {
            let pumped = fetch::pump(&reader, &*link, context).await?;
            if let Err(message) = pumped {
                let context = &mut context.borrow_mut();
                let error = JsNativeError::error()
                    .with_message(format!("the body of the response failed: {message}"));
                LoopState::of(context)?.report_exception(error.into(), context);
            }
            Ok(JsValue::undefined())
        });
        context.enqueue_job(job.into());
        Ok(())
    }

    /// The client has gone, or has all of the answer.
    pub(super) fn closed(&self, context: &mut Context) -> JsResult<()> {
        self.link.has_ended.set(true);
        self.link.ended.notify_waiters();
        self.link.ended.notify_one();
        let signal = self.signal.borrow_mut().take();
        if let Some(signal) = signal {
            signal_abort(&signal, &JsValue::undefined(), context)?;
        }
        self.finish_if_over(context)
    }

    fn finish_if_over(&self, context: &Context) -> JsResult<()> {
        if self.link.has_ended.get() && self.link.is_done.get() {
            finish(context)?;
        }
        Ok(())
    }
}

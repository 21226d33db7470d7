//! What happens between an `EventSource` and the network:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model>
//!
//! A source has one asynchronous job of the event loop for as long as it is not closed. The job fetches, waits for bytes,
//! queues a task for each event, and connects again. It reads no further before the events of what it has read have been
//! dispatched: a server that is faster than the script meets a full socket.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use boa_engine::{
    Context, JsResult, JsString, JsValue, job::NativeAsyncJob, js_string, object::JsObject,
};
use tokio::{sync::oneshot, time::sleep};
use url::Url;
use we_net::http::{DEFAULT_MAX_EVENT, EventStream, ServerSentEvent};

use super::{Life, ReadyState};
use crate::{
    binding::{This, WeakObject, from_utf8},
    dom::{
        EventDetail, EventInit, EventTarget,
        dispatch::{fire, fire_with},
        message_event::MessageEvent,
    },
    event_loop::{LoopState, TaskSource},
    fetch::{EventStreamRequest, EventStreamResponse},
};

/// The [reconnection time][spec] of a server that names none: Chromium's.
///
/// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-event-stream-reconnection-time
const RECONNECTION_TIME: Duration = Duration::from_secs(3);

/// A connection that was open for so long was of use, though no event may have come.
const STEADY: Duration = Duration::from_secs(10);

/// Two connections in a row that were of no use lead to a wait that is longer by this, each further one to twice as much ...
const BACKOFF: Duration = Duration::from_secs(1);

/// ... and no more than this: that of the throttle of WebSockets.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// How many events are dispatched before the loop looks at its timers and other tasks again.
const EVENTS_AT_ONCE: usize = 128;

/// The connection of a source, and those that follow it.
pub(super) struct Connection {
    source: WeakObject,
    life: Rc<Life>,
    request: EventStreamRequest,
    agent: Rc<LoopState>,
}

/// What one connection leaves to the next.
pub(super) struct Progress {
    pub(super) last_event_id: Arc<str>,
    pub(super) reconnection_time: Duration,
    /// How many connections in a row were of no use: brought no event, and did not last.
    pub(super) fruitless: u32,
}

/// How a connection has ended.
enum End {
    /// As the server wanted it to.
    Regular,
    /// By a network error.
    Lost(String),
    /// There is no point in another one.
    Useless(String),
}

/// [Forcibly closes](https://html.spec.whatwg.org/multipage/server-sent-events.html#concept-eventsource-forcibly-close) a
/// source whose job has gone with its loop.
impl Drop for Connection {
    fn drop(&mut self) {
        self.life.close();
    }
}

impl Connection {
    pub(super) fn new(
        source: &JsObject,
        life: Rc<Life>,
        request: EventStreamRequest,
        context: &mut Context,
    ) -> JsResult<Self> {
        Ok(Self {
            source: WeakObject::new(source, context)?,
            life,
            request,
            agent: LoopState::of(context)?,
        })
    }

    /// Begins when the task has ended.
    pub(super) fn start(self, context: &mut Context) {
        let job = NativeAsyncJob::new(async move |_: &RefCell<&mut Context>| {
            tokio::select! {
                biased;
                () = self.life.closed.notified() => {}
                () = self.follow() => {}
            }
            Ok(JsValue::undefined())
        });
        context.enqueue_job(job.into());
    }

    /// Connects, and connects again, until there is no point in it.
    async fn follow(&self) {
        let mut progress = Progress {
            last_event_id: Arc::default(),
            reconnection_time: RECONNECTION_TIME,
            fruitless: 0,
        };
        let url = shown(self.request.url());
        loop {
            let end = self.connect(&mut progress).await;
            let delay = progress.delay(rand::random());
            match end {
                End::Useless(reason) => {
                    tracing::warn!(target: "we::net", "EventSource {url}: {reason}");
                    return self.fail().await;
                }
                End::Lost(reason) => {
                    tracing::warn!(target: "we::net", "EventSource {url}: {reason} (trying again in {delay:?})");
                }
                End::Regular => {
                    tracing::debug!(target: "we::net", "EventSource {url}: the server has ended the stream");
                }
            }
            self.reestablish(delay).await;
        }
    }

    /// Fetches, and processes the response:
    /// <https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource> steps 14, 15
    async fn connect(&self, progress: &mut Progress) -> End {
        progress.fruitless = progress.fruitless.saturating_add(1);
        let fetching = self
            .request
            .fetch(&progress.last_event_id, self.agent.clone());
        let mut response = match fetching.await {
            Ok(response) => response,
            Err(error) if error.is_lasting() => return End::Useless(error.to_string()),
            Err(error) => return End::Lost(error.to_string()),
        };
        if let Some(objection) = response.objection() {
            return End::Useless(objection);
        }
        self.announce();
        let opened = Instant::now();
        let limit = self.agent.options().max_buffer_size;
        let limit =
            usize::try_from(limit).map_or(DEFAULT_MAX_EVENT, |it| it.min(DEFAULT_MAX_EVENT));
        let mut stream = EventStream::resumed(progress.last_event_id.clone()).max_event(limit);
        let end = self.interpret(&mut response, &mut stream, progress).await;
        progress.was_open(opened.elapsed());
        progress.last_event_id = stream.last_event_id().clone();
        if let Some(time) = stream.reconnection_time() {
            progress.reconnection_time = time;
        }
        end
    }

    /// Interprets the body, up to its end.
    async fn interpret(
        &self,
        response: &mut EventStreamResponse,
        stream: &mut EventStream,
        progress: &mut Progress,
    ) -> End {
        let origin = from_utf8(&response.url.origin().ascii_serialization());
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return End::Regular,
                Err(error) => return End::Lost(error.to_string()),
            };
            let mut rest = &*piece;
            while !rest.is_empty() {
                let mut last = None;
                for _ in 0..EVENTS_AT_ONCE {
                    match stream.next_event(&mut rest) {
                        Ok(Some(event)) => last = Some(self.dispatch(event, origin.clone())),
                        Ok(None) => break,
                        Err(error) => return End::Useless(error.to_string()),
                    }
                }
                if let Some(last) = last {
                    progress.fruitless = 0;
                    ran(last).await;
                }
            }
        }
    }

    /// [Announce the connection](https://html.spec.whatwg.org/multipage/server-sent-events.html#announce-the-connection)
    fn announce(&self) {
        self.queue(|life, target, context| {
            if life.advance(ReadyState::Open) {
                fire(target, js_string!("open"), context)?;
            }
            Ok(())
        });
    }

    /// [Dispatch the event](https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage) steps 4 to 8
    fn dispatch(&self, event: ServerSentEvent, origin: JsString) -> oneshot::Receiver<()> {
        self.queue(move |life, target, context| {
            if life.is_closed() {
                return Ok(());
            }
            LoopState::of(context)?.account_external(event.data.len());
            let message = MessageEvent::new(from_utf8(&event.data).into(), origin)
                .with_last_event_id(from_utf8(&event.last_event_id));
            fire_with::<MessageEvent>(
                target,
                from_utf8(&event.kind),
                EventInit::default(),
                EventDetail::Message(message),
                context,
            )
            .map(drop)
        })
    }

    /// [Reestablish the connection][spec], up to the next fetch.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#reestablish-the-connection
    async fn reestablish(&self, delay: Duration) {
        // 1.
        let told = self.queue(|life, target, context| {
            if life.advance(ReadyState::Connecting) {
                fire(target, js_string!("error"), context)?;
            }
            Ok(())
        });
        // 2., 3.
        sleep(delay).await;
        // 4. As for step 5.1: the job of a source that is closed has ended.
        ran(told).await;
    }

    /// [Fail the connection](https://html.spec.whatwg.org/multipage/server-sent-events.html#fail-the-connection)
    async fn fail(&self) {
        let told = self.queue(|life, target, context| {
            if !life.is_closed() {
                life.close();
                fire(target, js_string!("error"), context)?;
            }
            Ok(())
        });
        ran(told).await;
    }

    /// Queues a task on the [remote event task source][spec]. What it returns hears when the task has run.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/server-sent-events.html#remote-event-task-source
    fn queue(
        &self,
        steps: impl FnOnce(&Life, &This<EventTarget>, &mut Context) -> JsResult<()> + 'static,
    ) -> oneshot::Receiver<()> {
        let (tell, hear) = oneshot::channel();
        let (source, life) = (self.source.clone(), self.life.clone());
        self.agent
            .queue_task(TaskSource::RemoteEvent, move |context| {
                // A source that has been collected meanwhile had no listener.
                let target = source.upgrade(context).and_then(This::from_object);
                if let Some(target) = target
                    && let Err(error) = steps(&life, &target, context)
                    && let Ok(agent) = LoopState::of(context)
                {
                    agent.report_exception(error, context);
                }
                // Nobody waits for it, or the job has ended.
                let _ = tell.send(());
            });
        hear
    }
}

/// Waits until a task has run. One that was dropped, as the loop ended, counts as well.
async fn ran(task: oneshot::Receiver<()>) {
    let _ = task.await;
}

impl Progress {
    /// A connection has ended that was open for some time.
    pub(super) fn was_open(&mut self, time: Duration) {
        if time >= STEADY {
            self.fruitless = 0;
        }
    }

    /// How long to wait before the next connection. `chance`, from 0 to 1, keeps the clients of a server that was down
    /// from coming back all at once.
    pub(super) fn delay(&self, chance: f64) -> Duration {
        let Some(doublings) = self.fruitless.checked_sub(2) else {
            return self.reconnection_time;
        };
        let more = BACKOFF.saturating_mul(1 << doublings.min(16));
        let more = more.min(MAX_BACKOFF).mul_f64(0.5 + chance / 2.0);
        self.reconnection_time.saturating_add(more)
    }
}

/// A URL for the operator: without what may be a secret.
fn shown(url: &Url) -> String {
    match url.scheme() {
        "http" | "https" => format!("{}{}", url.origin().ascii_serialization(), url.path()),
        scheme => format!("of {scheme}:"),
    }
}

//! Tests of the event loop, and the small bench that they stand on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod jobs;
mod modules;
mod rejections;
mod tasks;
mod timers;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use boa_engine::object::FunctionObjectBuilder;
use boa_engine::property::Attribute;
use boa_engine::{Context, JsArgs, JsError, JsObject, JsValue, NativeFunction, Source, js_string};

use super::{EventLoop, EventResult, Finished, LoopHost, LoopState, Options};
use crate::messaging::Notice;
use crate::network::{SocketEvent, SocketId};

/// What scripts and the fake host have said, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// The first line of an error's text without the position that the engine appends: `Error: text (at file:1:2)`.
pub(crate) fn headline(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    match line
        .strip_suffix(')')
        .and_then(|line| line.rsplit_once(" ("))
    {
        Some((text, place)) if place == "native" || place.contains(':') => text,
        _ => line,
    }
}

/// A host that writes what it is told to a log.
struct FakeHost {
    log: Log,
    /// Called for each unhandled rejection, as a listener would be.
    on_unhandled: RefCell<Option<JsObject>>,
    on_socket_event: RefCell<Option<SocketListener>>,
}

/// What a test does with the events of its sockets.
pub(crate) type SocketListener = Rc<dyn Fn(SocketId, SocketEvent, &mut Context)>;

impl LoopHost for FakeHost {
    fn report_exception(&self, error: JsError, _context: &mut Context) {
        self.log
            .push(format!("report: {}", headline(&error.to_string())));
    }

    fn fire_unhandled_rejection(
        &self,
        promise: &JsObject,
        reason: &JsValue,
        context: &mut Context,
    ) -> EventResult {
        self.log.push(format!("unhandled: {}", reason.display()));
        let listener = self.on_unhandled.borrow().clone();
        if let Some(listener) = listener {
            let state = LoopState::of(context).unwrap();
            let arguments = [promise.clone().into()];
            state.invoke(&listener, &JsValue::undefined(), &arguments, context);
        }
        EventResult::NotCanceled
    }

    fn fire_rejection_handled(&self, _: &JsObject, reason: &JsValue, _: &mut Context) {
        self.log.push(format!("handled: {}", reason.display()));
    }

    fn deliver_notice(&self, _notice: Notice, _context: &mut Context) {}

    fn deliver_socket_event(&self, id: SocketId, event: SocketEvent, context: &mut Context) {
        let listener = self.on_socket_event.borrow().clone();
        if let Some(listener) = listener {
            listener(id, event, context);
        }
    }
}

/// A loop with its context, a `log(..)` function for scripts and the log behind it.
pub(crate) struct Bench {
    pub(crate) context: Context,
    pub(crate) event_loop: EventLoop,
    pub(crate) log: Log,
    host: Rc<FakeHost>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_options(Options::default())
    }

    pub(crate) fn with_options(options: Options) -> Self {
        let log = Log::default();
        let host = Rc::new(FakeHost {
            log: log.clone(),
            on_unhandled: RefCell::default(),
            on_socket_event: RefCell::default(),
        });
        let event_loop = EventLoop::with_host(options, host.clone()).unwrap();
        let mut context = event_loop.context_builder().build().unwrap();
        event_loop.install(&mut context).unwrap();
        let mut bench = Self {
            context,
            event_loop,
            log: log.clone(),
            host,
        };
        bench.define("log", move |args, context| {
            let words: Vec<_> = args
                .iter()
                .map(|arg| arg.to_string(context).unwrap().to_std_string_escaped())
                .collect();
            log.push(words.join(" "));
        });
        bench
    }

    /// Defines a global function. The closure must not own script objects.
    pub(crate) fn define(
        &mut self,
        name: &str,
        steps: impl Fn(&[JsValue], &mut Context) + 'static,
    ) {
        let steps = Rc::new(steps);
        // A native closure has to be Copy or unsafe; a leaked one is Copy, and a test's end frees all.
        let steps: &'static Rc<_> = Box::leak(Box::new(steps));
        let native = NativeFunction::from_copy_closure(move |_, args, context| {
            steps(args, context);
            Ok(JsValue::undefined())
        });
        let function = FunctionObjectBuilder::new(self.context.realm(), native).build();
        self.context
            .register_global_property(js_string!(name), function, Attribute::all())
            .unwrap();
    }

    pub(crate) fn into_parts(self) -> (Context, EventLoop) {
        (self.context, self.event_loop)
    }

    pub(crate) fn state(&self) -> Rc<LoopState> {
        LoopState::of(&self.context).unwrap()
    }

    pub(crate) fn eval(&mut self, source: &str) -> JsValue {
        self.context.eval(Source::from_bytes(source)).unwrap()
    }

    pub(crate) fn run(&mut self) -> Finished {
        self.event_loop.run(&mut self.context).unwrap()
    }

    /// Evaluates a script, runs the loop until it is idle and returns the log.
    pub(crate) fn log_of(&mut self, source: &str) -> Vec<String> {
        self.eval(source);
        assert_eq!(self.run(), Finished::Idle);
        self.log.take()
    }

    /// Has the events of sockets delivered to `listener`.
    pub(crate) fn on_socket_event(
        &self,
        listener: impl Fn(SocketId, SocketEvent, &mut Context) + 'static,
    ) {
        *self.host.on_socket_event.borrow_mut() = Some(Rc::new(listener));
    }

    /// Calls the global function `onUnhandled` with each promise whose rejection is unhandled.
    fn listen_for_rejections(&mut self) {
        let listener = self.eval("onUnhandled").as_object().unwrap().clone();
        *self.host.on_unhandled.borrow_mut() = Some(listener);
    }
}

/// The time that the current thread has spent on a processor.
#[cfg(target_os = "linux")]
pub(crate) fn thread_cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = stat.split_whitespace().next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

/// Waits for a condition that another thread will bring about; fails after ten seconds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn log_reads_its_arguments() {
    let mut bench = Bench::new();
    assert_eq!(bench.log_of("log('a', 1)"), ["a 1"]);
    // `JsArgs` is what natives read their arguments with; an absent one is undefined.
    bench.define("probe", |args, _| {
        assert!(args.get_or_undefined(3).is_undefined())
    });
    bench.eval("probe()");
}

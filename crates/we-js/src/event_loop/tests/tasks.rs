//! Tasks, the wait, other threads, and when a run ends.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use boa_engine::{Context, Source};

use super::Bench;
use crate::event_loop::{EventLoop, Finished, LoopState, Options, RunError, TaskSource};

#[test]
fn run_returns_at_once_when_nothing_is_pending() {
    let mut bench = Bench::new();
    assert_eq!(bench.run(), Finished::Idle);
    bench.eval("log(1)");
    assert_eq!(bench.run(), Finished::Idle);
}

#[test]
fn tasks_run_in_order_each_followed_by_its_microtasks() {
    let mut bench = Bench::new();
    for name in ["a", "b"] {
        bench
            .state()
            .queue_task(TaskSource::Embedder, move |context| {
                let source =
                    format!("log('{name}'); Promise.resolve().then(() => log('{name}-micro'))");
                context.eval(Source::from_bytes(&source)).unwrap();
            });
    }
    assert_eq!(bench.log_of(""), ["a", "a-micro", "b", "b-micro"]);
}

#[test]
fn each_task_has_its_own_turn() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let log = bench.log.clone();
        bench
            .state()
            .queue_task(TaskSource::Embedder, move |context| {
                let state = LoopState::of(context).unwrap();
                let turn = state.turn();
                assert_eq!(state.turn(), turn, "stable within a task");
                log.push(turn.to_string());
            });
    }
    let turns = bench.log_of("");
    assert_ne!(turns[0], turns[1]);
}

#[test]
fn a_task_from_another_thread_wakes_the_wait() {
    let mut bench = Bench::new();
    let handle = bench.event_loop.handle();
    let hold = bench.state().hold();
    // The guard cannot leave this thread, so the task finds it here.
    let guard = std::rc::Rc::new(std::cell::RefCell::new(Some(hold)));
    bench.define("release", move |_, _| drop(guard.take()));
    let (running, is_running) = mpsc::channel();
    bench
        .state()
        .queue_task(TaskSource::Embedder, move |_| running.send(()).unwrap());
    let sender = thread::spawn(move || {
        is_running.recv().unwrap();
        handle.queue_task(TaskSource::Embedder, |context| {
            context
                .eval(Source::from_bytes("log('woken'); release()"))
                .unwrap();
        });
    });
    assert_eq!(bench.log_of(""), ["woken"]);
    sender.join().unwrap();
}

#[test]
fn a_shutdown_request_ends_a_run_that_waits() {
    let mut bench = Bench::new();
    let handle = bench.event_loop.handle();
    let _hold = bench.state().hold();
    let (running, is_running) = mpsc::channel();
    bench
        .state()
        .queue_task(TaskSource::Embedder, move |_| running.send(()).unwrap());
    let asker = thread::spawn(move || {
        is_running.recv().unwrap();
        handle.request_shutdown();
    });
    bench.eval("setInterval(() => {}, 1000)");
    assert_eq!(bench.run(), Finished::ShutDown);
    asker.join().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_wait_uses_no_processor_time() {
    let mut bench = Bench::new();
    bench.eval("setTimeout(() => {}, 400)");
    let (start, cpu) = (Instant::now(), super::thread_cpu_time());
    bench.run();
    let used = super::thread_cpu_time() - cpu;
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert!(
        used < Duration::from_millis(20),
        "used {used:?} while waiting"
    );
}

#[test]
fn a_context_of_another_loop_is_refused() {
    let event_loop = EventLoop::new(Options::default()).unwrap();
    let mut stranger = Context::default();
    assert_eq!(event_loop.run(&mut stranger), Err(RunError::ForeignContext));
    assert!(
        event_loop.install(&mut stranger).is_ok(),
        "functions can be defined anywhere"
    );
    let error = stranger
        .eval(Source::from_bytes("setTimeout(() => {}, 0)"))
        .unwrap_err();
    assert!(error.to_string().contains("event loop"), "{error}");
}

#[test]
fn dropping_a_loop_frees_its_state() {
    let bench = Bench::new();
    let state = bench.state();
    state.run_after(Duration::from_secs(1000), {
        let state = state.clone();
        move |_| drop(state)
    });
    let weak = std::rc::Rc::downgrade(&state);
    drop(state);
    drop(bench);
    assert!(weak.upgrade().is_none());
}

#[test]
fn external_memory_is_collected_between_tasks() {
    let options = Options {
        external_memory_step: 1000,
        ..Options::default()
    };
    let mut bench = Bench::with_options(options);
    bench.eval("globalThis.ref = new WeakRef({}); undefined");
    for bytes in [999, 1] {
        bench
            .state()
            .queue_task(TaskSource::Embedder, move |context| {
                LoopState::of(context).unwrap().account_external(bytes);
                context
                    .eval(Source::from_bytes("log(ref.deref() !== undefined)"))
                    .unwrap();
            });
    }
    bench.state().queue_task(TaskSource::Embedder, |context| {
        context
            .eval(Source::from_bytes("log(ref.deref() !== undefined)"))
            .unwrap();
    });
    assert_eq!(bench.log_of(""), ["true", "true", "false"]);
}

#[test]
fn uncaught_errors_reach_the_embedder() {
    let reports = super::Log::default();
    let error_reporter = crate::ErrorReporter::new({
        let reports = reports.clone();
        move |error| {
            reports.push(format!(
                "{:?} {}",
                error.kind,
                super::headline(&error.to_string())
            ))
        }
    });
    let options = Options {
        error_reporter,
        ..Options::default()
    };
    let event_loop = EventLoop::new(options).unwrap();
    let mut context = event_loop.context_builder().build().unwrap();
    event_loop.install(&mut context).unwrap();
    let source = "setTimeout(() => { throw new TypeError('one') }); \
                  Promise.reject(new Error('two')); \
                  setTimeout(() => { (function f() { f() })() });";
    context.eval(Source::from_bytes(source)).unwrap();
    event_loop.run(&mut context).unwrap();
    let reports = reports.take();
    assert_eq!(reports.len(), 3, "{reports:?}");
    assert_eq!(reports[0], "Rejection Uncaught (in promise) Error: two");
    assert_eq!(reports[1], "Exception Uncaught TypeError: one");
    assert!(
        reports[2].starts_with("Limit the engine stopped the script: "),
        "{}",
        reports[2]
    );
}

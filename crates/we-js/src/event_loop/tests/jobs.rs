//! The engine's jobs: asynchronous natives, native timers, generic jobs, finalization.

use std::rc::Rc;

use boa_engine::builtins::promise::PromiseState;
use boa_engine::job::{GenericJob, IntervalJob, NativeJob, NativeJobFn, TimeoutJob};
use boa_engine::object::builtins::JsPromise;
use boa_engine::{JsNativeError, JsValue};

use super::Bench;

#[test]
fn an_async_native_runs_and_may_use_tokio_timers() {
    let mut bench = Bench::new();
    let promise = JsPromise::from_async_fn(
        async |_context| {
            let never = std::future::pending::<()>();
            let soon = std::time::Duration::from_millis(1);
            let given_up = tokio::time::timeout(soon, never).await;
            Ok(JsValue::from(given_up.is_err()))
        },
        &mut bench.context,
    );
    bench.run();
    assert_eq!(promise.state(), PromiseState::Fulfilled(true.into()));
}

#[test]
fn an_async_native_woken_by_a_thread_wakes_the_loop() {
    let mut bench = Bench::new();
    let (answer, question) = tokio::sync::oneshot::channel();
    let promise = JsPromise::from_async_fn(
        async move |_context| Ok(JsValue::from(question.await.unwrap_or(0))),
        &mut bench.context,
    );
    let thread = std::thread::spawn(move || answer.send(42).unwrap());
    bench.run();
    thread.join().unwrap();
    assert_eq!(promise.state(), PromiseState::Fulfilled(42.into()));
}

#[test]
fn microtasks_follow_each_async_job() {
    let mut bench = Bench::new();
    for value in [1, 2] {
        let promise = JsPromise::from_async_fn(async move |_| Ok(value.into()), &mut bench.context);
        let name = if value == 1 { "one" } else { "two" };
        bench
            .context
            .global_object()
            .set(
                boa_engine::js_string!(name),
                promise,
                true,
                &mut bench.context,
            )
            .unwrap();
    }
    let log = bench.log_of(
        "one.then(() => log('one')).then(() => log('after one')); two.then(() => log('two'))",
    );
    assert_eq!(log, ["one", "after one", "two"]);
}

#[test]
fn native_timers_run_with_script_timers_in_order() {
    let mut bench = Bench::new();
    let job = |log: super::Log, line: &'static str| {
        NativeJob::new(move |_| {
            log.push(line);
            Ok(JsValue::undefined())
        })
    };
    bench.eval("setTimeout(() => log('script, 10'), 10)");
    bench
        .context
        .enqueue_job(TimeoutJob::new(job(bench.log.clone(), "native, 20"), 20).into());
    bench
        .context
        .enqueue_job(TimeoutJob::new(job(bench.log.clone(), "native, 1"), 1).into());
    assert_eq!(bench.log_of(""), ["native, 1", "script, 10", "native, 20"]);
}

#[test]
fn a_cancelled_native_timer_does_not_keep_the_loop() {
    let mut bench = Bench::new();
    let job = TimeoutJob::new(NativeJob::new(|_| Ok(JsValue::undefined())), 3_600_000);
    let token = job.cancellation_token().clone();
    bench.context.enqueue_job(job.into());
    token.cancel(&mut bench.context);
    bench.run();
}

#[test]
fn a_native_interval_repeats_until_cancelled() {
    let mut bench = Bench::new();
    let (log, cell) = (bench.log.clone(), Rc::new(std::cell::RefCell::new(None)));
    let token: Rc<std::cell::RefCell<Option<boa_engine::job::CancellationToken>>> = cell;
    let job = IntervalJob::new(
        NativeJobFn::new({
            let token = token.clone();
            move |context| {
                log.push("tick");
                if log.len() == 3
                    && let Some(token) = token.take()
                {
                    token.cancel(context);
                }
                Err(JsNativeError::error().with_message("reported").into())
            }
        }),
        1,
    );
    *token.borrow_mut() = Some(job.cancellation_token().clone());
    bench.context.enqueue_job(job.into());
    assert_eq!(
        bench.log_of(""),
        [
            "tick",
            "report: Error: reported",
            "tick",
            "report: Error: reported"
        ]
    );
}

#[test]
fn a_generic_job_is_a_task() {
    let mut bench = Bench::new();
    let (log, realm) = (bench.log.clone(), bench.context.realm().clone());
    let job = GenericJob::new(
        move |_| {
            log.push("job");
            Err(JsNativeError::range().with_message("its error").into())
        },
        realm,
    );
    bench.context.enqueue_job(job.into());
    assert_eq!(
        bench.log_of("queueMicrotask(() => log('micro'))"),
        ["micro", "job", "report: RangeError: its error"]
    );
}

#[test]
fn finalization_callbacks_run_and_a_registry_does_not_keep_the_loop() {
    let mut bench = Bench::new();
    bench.define("collect", |_, context| {
        context.clear_kept_objects();
        boa_gc::force_collect();
    });
    let log = bench.log_of(
        "globalThis.registry = new FinalizationRegistry(held => log('gone', held));
         registry.register({}, 'it');
         setTimeout(() => { collect(); setTimeout(() => log('late'), 30) }, 1);",
    );
    assert_eq!(log, ["gone it", "late"]);
}

#[test]
fn atomics_wait_async_times_out() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "const cells = new Int32Array(new SharedArrayBuffer(8));
         Atomics.waitAsync(cells, 1, 0, 1e300).value.then(log);
         Atomics.waitAsync(cells, 0, 0, 5).value.then(result => { log(result); Atomics.notify(cells, 1) });",
    );
    assert_eq!(log, ["timed-out", "ok"]);
}

#[test]
fn a_callback_with_script_on_the_stack_is_no_checkpoint() {
    let mut bench = Bench::new();
    bench.define("callNow", |args, context| {
        let state = crate::event_loop::LoopState::of(context).unwrap();
        let callback = args[0].as_object().unwrap().clone();
        state.invoke(&callback, &JsValue::undefined(), &[], context);
    });
    let script =
        "queueMicrotask(() => log('micro')); callNow(() => log('callback')); log('script')";
    assert_eq!(bench.log_of(script), ["callback", "script", "micro"]);
    assert_eq!(
        bench.log_of(&format!("setTimeout(() => {{ {script} }})")),
        ["callback", "script", "micro"]
    );
}

#[test]
fn a_checkpoint_follows_each_callback_of_a_task() {
    let mut bench = Bench::new();
    let listener =
        bench.eval("(name => { log(name); queueMicrotask(() => log(name + '-micro')) })");
    let listener = listener.as_object().unwrap().clone();
    let state = bench.state();
    bench
        .state()
        .queue_task(crate::event_loop::TaskSource::Embedder, move |context| {
            for name in ["a", "b"] {
                let name = boa_engine::js_string!(name).into();
                state.invoke(&listener, &JsValue::undefined(), &[name], context);
            }
        });
    assert_eq!(bench.log_of(""), ["a", "a-micro", "b", "b-micro"]);
}

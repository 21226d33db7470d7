//! The vocabulary of these tests: run a script in a fresh context until nothing is pending, and look at what it
//! logged with `log(...)` and at the errors that it left unhandled.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared by several test binaries, each uses a part"
)]

use std::{
    cell::RefCell,
    rc::Rc,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use boa_engine::{Context, JsArgs, JsString, JsValue, NativeFunction, Source, js_string};
use we_js::{ErrorReporter, EventLoop, Options, event_loop::Finished};

/// What a script did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The arguments of each call of `log`, joined by spaces.
    pub log: Vec<String>,
    /// The first line of each uncaught error.
    pub uncaught: Vec<String>,
}

/// Runs `script` until nothing is pending.
pub fn run(script: &str) -> Outcome {
    run_with(script, Options::default())
}

/// The same with options.
pub fn run_with(script: &str, mut options: Options) -> Outcome {
    let uncaught = Rc::new(RefCell::new(Vec::new()));
    let reports = uncaught.clone();
    options.error_reporter = ErrorReporter::new(move |error| {
        reports.borrow_mut().push(
            error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        );
    });
    let event_loop = EventLoop::new(options).unwrap();
    let mut context = event_loop.context_builder().build().unwrap();
    event_loop.install(&mut context).unwrap();
    context.insert_data(Log::default());
    context
        .register_global_callable(js_string!("log"), 0, NativeFunction::from_fn_ptr(log))
        .unwrap();
    if let Err(error) = context.eval(Source::from_bytes(script)) {
        panic!("the script threw {error}");
    }
    run_in_time(&event_loop, &mut context);
    let log = context.get_data::<Log>().unwrap().0.take();
    Outcome {
        log,
        uncaught: uncaught.take(),
    }
}

/// Runs `script`, which finds `url` and `total`, until nothing is pending, and collects garbage: the value of `report`
/// then, as a string.
pub fn run_and_report(url: &str, total: u32, script: &str, report: &str) -> String {
    let event_loop = EventLoop::new(Options::default()).unwrap();
    let mut context = event_loop.context_builder().build().unwrap();
    event_loop.install(&mut context).unwrap();
    let script = format!("const url = '{url}', total = {total}; {script}");
    context.eval(Source::from_bytes(&script)).unwrap();
    run_in_time(&event_loop, &mut context);
    // Two collections: the first may find objects that the last job has looked at.
    for _ in 0..2 {
        context.clear_kept_objects();
        boa_gc::force_collect();
    }
    let report = context.eval(Source::from_bytes(report)).unwrap();
    let report = report.to_string(&mut context).unwrap();
    report.to_std_string_lossy()
}

/// Runs the loop until nothing is pending, which must not take longer than any of these tests does on the slowest machine.
pub fn run_in_time(event_loop: &EventLoop, context: &mut Context) {
    const LIMIT: Duration = Duration::from_secs(120);
    let handle = event_loop.handle();
    let (in_time, watched) = mpsc::channel::<()>();
    thread::spawn(move || {
        if watched.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            handle.terminate();
        }
    });
    let finished = event_loop.run(context).unwrap();
    drop(in_time);
    assert_ne!(finished, Finished::Terminated, "not over after {LIMIT:?}");
}

/// Runs a script and demands that it logs these lines and leaves no error.
#[track_caller]
pub fn expect(script: &str, log: &[&str]) {
    let outcome = run(script);
    assert_eq!(outcome.uncaught, [""; 0], "uncaught errors of {script}");
    assert_eq!(outcome.log, log, "{script}");
}

/// Runs expressions, each with the value that it must have as a string.
#[track_caller]
pub fn expect_values(setup: &str, cases: &[(&str, &str)]) {
    use std::fmt::Write as _;
    let mut script = String::from(setup);
    for (expression, _) in cases {
        writeln!(
            script,
            "\ntry {{ log(String({expression})) }} catch (e) {{ log(`threw ${{e.name}}: ${{e.message}}`) }}"
        )
        .unwrap();
    }
    let outcome = run(&script);
    assert_eq!(outcome.log.len(), cases.len(), "{:?}", outcome.log);
    for ((expression, expected), got) in cases.iter().zip(&outcome.log) {
        if let Some(name) = expected.strip_prefix("threw ") {
            assert!(
                got.starts_with(&format!("threw {name}")),
                "{expression}: {got}, not {expected}"
            );
        } else {
            assert_eq!(got, expected, "{expression}");
        }
    }
}

#[derive(Default)]
struct Log(Rc<RefCell<Vec<String>>>);

fn log(_: &JsValue, args: &[JsValue], context: &mut Context) -> boa_engine::JsResult<JsValue> {
    let _ = args.get_or_undefined(0);
    let words: Result<Vec<JsString>, _> =
        args.iter().map(|value| value.to_string(context)).collect();
    let line = words?
        .iter()
        .map(JsString::to_std_string_lossy)
        .collect::<Vec<_>>()
        .join(" ");
    context.get_data::<Log>().unwrap().0.borrow_mut().push(line);
    Ok(JsValue::undefined())
}

/// An echo server on a thread of its own; it ends with the process.
pub fn echo_server() -> String {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = we_net::Server::builder().bind("127.0.0.1:0").await.unwrap();
            send.send(server.url()).unwrap();
            server.serve(we_net::server::echo).await;
        });
    });
    receive.recv().unwrap()
}

//! Workers that fail, and who hears of it.

use std::{cell::RefCell, rc::Rc};

use boa_engine::{NativeFunction, js_string};

use super::PRELUDE;
use crate::{ErrorReporter, Options, UncaughtErrorKind, WorkerSetup, testing::Agent};

type Reports = Rc<RefCell<Vec<(UncaughtErrorKind, String)>>>;

/// Runs a script. Its value, and what the embedder was told.
#[track_caller]
fn run(script: &str) -> (String, Vec<(UncaughtErrorKind, String)>) {
    run_with(Options::default(), script)
}

#[track_caller]
fn run_with(options: Options, script: &str) -> (String, Vec<(UncaughtErrorKind, String)>) {
    let reports = Reports::default();
    let told = reports.clone();
    let mut agent = Agent::with(Options {
        error_reporter: ErrorReporter::new(move |error| {
            told.borrow_mut().push((error.kind, error.message.clone()));
        }),
        ..options
    });
    agent.eval(PRELUDE).unwrap();
    let value = agent.eval(script).unwrap();
    drop(agent);
    (value, reports.take())
}

#[test]
fn a_worker_that_panics_is_reported() {
    let options = || Options {
        worker_setup: WorkerSetup::new(|context| {
            let bug = NativeFunction::from_fn_ptr(|_, _, _| panic!("a test's bug"));
            context.register_global_callable(js_string!("bug"), 0, bug)
        }),
        ..Options::default()
    };
    for body in [
        "() => bug()",
        "() => { setTimeout(() => { postMessage(0); bug() }) }",
    ] {
        let script = format!(
            "next(worker({body}), 'error').then(e => [e.constructor.name, e.cancelable].join())"
        );
        let (value, reports) = run_with(options(), &script);
        assert_eq!(value, "Event,false", "{body}");
        assert_eq!(reports, [], "{body}");
        // Nobody listens.
        let (_, reports) = run_with(options(), &format!("worker({body}); 0"));
        let [(UncaughtErrorKind::Worker, message)] = reports.as_slice() else {
            panic!("{body}: {reports:?}");
        };
        assert!(message.contains("a bug of this program"), "{message}");
    }
    let options = Options {
        worker_setup: WorkerSetup::new(|_| panic!("a test's bug")),
        ..Options::default()
    };
    let script = "next(worker(() => {}), 'error').then(e => e.constructor.name)";
    assert_eq!(run_with(options, script), ("Event".to_owned(), Vec::new()));
}

#[test]
fn nobody_hears_what_a_worker_said_that_was_terminated() {
    // The second timer tells that the first one's error has been sent.
    let script = |end: &str, until: &str| {
        format!(
            "const shared = new Int32Array(new SharedArrayBuffer(4)); globalThis.heard = []; let done; onerror = () => {{ heard.push('self'); done('heard') }};
             const w = worker(() => {{ onmessage = ({{ data }}) => {{
                 setTimeout(() => {{ throw new RangeError('late') }}); setTimeout(() => Atomics.store(data, 0, 1), 2) }} }});
             w.onerror = () => {{ heard.push('worker') }};
             w.postMessage(shared);
             const told = new Promise(r => done = r);
             // In the same task: what the worker says is not heard before the end.
             while (Atomics.load(shared, 0) === 0);
             {end};
             ({until}).then(() => heard.join())"
        )
    };
    assert_eq!(
        run(&script(
            "w.terminate()",
            "new Promise(r => setTimeout(r, 20))"
        )),
        (String::new(), Vec::new())
    );
    let (heard, reports) = run(&script("", "told"));
    assert_eq!(heard, "worker,self");
    assert_eq!(reports.len(), 1, "{reports:?}");
}

#[test]
fn the_last_words_of_a_worker_that_ended_by_itself_are_heard() {
    for body in [
        "close(); throw new RangeError('last')",
        "throw new RangeError('last')",
    ] {
        let script = format!(
            "next(worker(() => {{ {body} }}), 'error').then(e => {{ e.preventDefault(); return e.constructor.name + e.message }})"
        );
        assert_eq!(
            run(&script),
            ("ErrorEventRangeError: last".to_owned(), Vec::new())
        );
    }
}

#[test]
fn the_failure_of_a_workers_worker_is_an_event_there_and_then_the_embedders() {
    let reports = |listen: &str| {
        run(&format!(
            "worker(() => {{ const inner = new Worker('file:///no/such/script.js'); {listen} }}); 0"
        ))
        .1
    };
    let unheard = reports("");
    let [(UncaughtErrorKind::Worker, message)] = unheard.as_slice() else {
        panic!("{unheard:?}");
    };
    assert!(
        message.starts_with("cannot read /no/such/script.js"),
        "{message}"
    );
    assert_eq!(reports("inner.onerror = () => {}"), []);

    let script = "const w = worker(() => { new Worker('file:///no/such/script.js').onerror = e => postMessage(e.constructor.name) });
        w.onerror = () => { throw 'not for the grandparent' }; next(w).then(e => e.data)";
    assert_eq!(run(script), ("Event".to_owned(), Vec::new()));
    // Unheard there, it does not become an event here.
    let script = "globalThis.heard = 0; const w = worker(() => { new Worker('file:///no/such/script.js') });
        w.onerror = self.onerror = () => { heard++ }; new Promise(r => setTimeout(() => r(heard), 50))";
    assert_eq!(run(script).0, "0");
}

#[test]
fn a_module_whose_imports_fail_runs_nothing() {
    for broken in [
        "import 'nowhere'",
        "import 'data:text/javascript,let ='",
        "import { x } from 'data:text/javascript,'",
    ] {
        let script = format!(
            "const good = 'data:text/javascript,postMessage(1)'; globalThis.heard = [];
             const w = new Worker(`data:text/javascript,${{encodeURIComponent(`import \"${{good}}\"; {broken}; postMessage('nor this')`)}}`, {{ type: 'module' }});
             w.onmessage = e => heard.push(e.data); w.postMessage(0);
             new Promise(r => {{ w.onerror = e => setTimeout(() => r(e.constructor.name + heard), 10) }})"
        );
        assert_eq!(run(&script), ("Event".to_owned(), Vec::new()), "{broken}");
    }
}

#[test]
fn no_asynchronous_job_goes_on_after_close() {
    // Both imports are queued in one task; the first that has come closes.
    let script = "globalThis.heard = [];
        const w = worker(() => {
            import('data:text/javascript,export default 1').then(() => { close(); postMessage('closing') });
            import('data:text/javascript,export default 2').then(() => postMessage('must not run'));
        });
        new Promise(r => w.onmessage = e => { heard.push(e.data); setTimeout(() => r(heard.join()), 50) })";
    assert_eq!(run(script), ("closing".to_owned(), Vec::new()));
}

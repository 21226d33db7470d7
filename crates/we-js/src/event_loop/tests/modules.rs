//! Programs from files: classic scripts, modules, imports, and the errors that a person gets to see.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Bench;
use crate::event_loop::{Evaluation, Finished, ScriptError, ScriptKind};
use crate::testing::http::HttpServer;

/// A directory of its own for each test, removed with it.
struct Files(PathBuf);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "we-js-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let directory = std::env::temp_dir().join(name);
        for (name, text) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Bench {
    fn start(&mut self, path: &Path) -> Result<Evaluation, ScriptError> {
        let kind = ScriptKind::of_file(path);
        self.event_loop.evaluate_file(path, kind, &mut self.context)
    }

    fn log_of_file(&mut self, path: &Path) -> Vec<String> {
        self.start(path).unwrap();
        assert_eq!(self.run(), Finished::Idle);
        self.log.take()
    }
}

#[test]
fn a_classic_script_runs() {
    let files = Files::new(&[(
        "main.js",
        "#!/usr/bin/env -S we run\nlog('main'); queueMicrotask(() => log('micro')); 6 * 7",
    )]);
    let mut bench = Bench::new();
    let evaluation = bench.start(&files.path("main.js")).unwrap();
    assert_eq!(bench.log.take(), ["main", "micro"]);
    assert_eq!(evaluation.value(), Some(&42.into()));
    assert!(!evaluation.failed() && !evaluation.is_unsettled());
}

#[test]
fn a_byte_order_mark_and_bad_bytes_do_no_harm() {
    let files = Files::new(&[]);
    fs::create_dir_all(&files.0).unwrap();
    fs::write(files.path("main.js"), b"\xEF\xBB\xBFlog('\xFF')").unwrap();
    assert_eq!(
        Bench::new().log_of_file(&files.path("main.js")),
        ["\u{FFFD}"]
    );
}

#[test]
fn modules_import_each_other_and_json() {
    let files = Files::new(&[
        (
            "main.mjs",
            "import { name } from './lib/a.mjs'; import data from './data.json' with { type: 'json' };
             import * as again from './lib/../lib/a.mjs';
             log(name, data.list[1], again.name, this === undefined);",
        ),
        (
            "lib/a.mjs",
            "import { name as b } from './b.mjs'; log('a runs once'); export const name = 'a, ' + b;",
        ),
        ("lib/b.mjs", "import './a.mjs'; export const name = 'b';"),
        ("data.json", r#"{ "list": [1, 2] }"#),
    ]);
    assert_eq!(
        Bench::new().log_of_file(&files.path("main.mjs")),
        ["a runs once", "a, b 2 a, b true"]
    );
}

#[test]
fn import_meta_knows_its_url() {
    let files = Files::new(&[
        (
            "main.mjs",
            "import { meta } from './other.mjs?version=2';
             log(import.meta.url.startsWith('file:///'), import.meta.url.endsWith('/main.mjs'));
             log(meta.url.endsWith('/other.mjs?version=2'));
             log(import.meta.resolve('./x/../y.mjs').endsWith('/y.mjs'), import.meta.resolve('https://x.test/a'));
             try { import.meta.resolve('bare') } catch (error) { log(error.name) }",
        ),
        ("other.mjs", "export const meta = import.meta;"),
    ]);
    assert_eq!(
        Bench::new().log_of_file(&files.path("main.mjs")),
        ["true true", "true", "true https://x.test/a", "TypeError"]
    );
}

#[test]
fn classic_scripts_import_dynamically_relative_to_their_file() {
    let files = Files::new(&[
        (
            "main.js",
            "import('./lib/a.mjs').then(a => log(a.name)); log('first');
             setTimeout(() => import('./lib/a.mjs').then(a => log('later', a.name)), 1);",
        ),
        (
            "lib/a.mjs",
            "export const name = await Promise.resolve('a');",
        ),
    ]);
    assert_eq!(
        Bench::new().log_of_file(&files.path("main.js")),
        ["first", "a", "later a"]
    );
}

#[test]
fn top_level_await_waits_for_timers() {
    let files = Files::new(&[(
        "main.mjs",
        "await new Promise(done => setTimeout(done, 1)); log('awake');",
    )]);
    let mut bench = Bench::new();
    let evaluation = bench.start(&files.path("main.mjs")).unwrap();
    assert!(evaluation.is_unsettled());
    bench.run();
    assert!(!evaluation.is_unsettled() && !evaluation.failed());
    assert_eq!(bench.log.take(), ["awake"]);
}

#[test]
fn an_await_that_never_ends_is_seen() {
    let files = Files::new(&[("main.mjs", "await new Promise(() => {});")]);
    let mut bench = Bench::new();
    let evaluation = bench.start(&files.path("main.mjs")).unwrap();
    assert_eq!(bench.run(), Finished::Idle);
    assert!(evaluation.is_unsettled());
}

#[test]
fn exceptions_are_reported_once_and_the_loop_goes_on() {
    for name in ["main.js", "main.mjs"] {
        let files = Files::new(&[(
            name,
            "setTimeout(() => log('timer'), 1); throw new RangeError('thrown')",
        )]);
        let mut bench = Bench::new();
        let evaluation = bench.start(&files.path(name)).unwrap();
        bench.run();
        assert!(evaluation.failed());
        assert_eq!(
            bench.log.take(),
            ["report: RangeError: thrown", "timer"],
            "{name}"
        );
    }
}

#[test]
fn a_program_that_cannot_start_says_why_in_one_line() {
    let files = Files::new(&[
        ("bad.js", "let a = 1;\nlet b = ;\n"),
        ("bad.mjs", "import { from 'x';"),
        ("short.js", "function f() {\n  return 1;"),
    ]);
    let cases = [
        (
            "missing.js",
            "cannot read {}: No such file or directory (os error 2)",
        ),
        (
            "bad.js",
            "{}:2:9: SyntaxError: unexpected token ';', primary expression",
        ),
        ("bad.mjs", "{}:1:"),
        (
            "short.js",
            "{}:2:12: SyntaxError: unexpected end of the text",
        ),
    ];
    for (name, expected) in cases {
        let path = files.path(name);
        let message = Bench::new().start(&path).unwrap_err().to_string();
        let expected = expected.replace("{}", path.to_str().unwrap());
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn an_import_that_fails_says_why_in_one_line() {
    let files = Files::new(&[
        ("missing.mjs", "import './nowhere.mjs'"),
        ("bare.mjs", "import 'lodash'"),
        ("web.mjs", "import 'ftp://example.com/x.mjs'"),
        ("syntax.mjs", "import './bad.mjs'"),
        ("bad.mjs", "let a = 1;\nlet b = ;\n"),
        ("json.mjs", "import data from './data.json'"),
        ("data.json", "{}"),
        (
            "badjson.mjs",
            "import data from './bad.json' with { type: 'json' }",
        ),
        ("bad.json", "{\n \"a\": }"),
        (
            "css.mjs",
            "import sheet from './x.css' with { type: 'css' }",
        ),
        ("name.mjs", "import { nothing } from './empty.mjs'"),
        ("empty.mjs", ""),
    ]);
    let cases = [
        (
            "missing.mjs",
            "TypeError: cannot read {}/nowhere.mjs, imported by {}/missing.mjs: No such file",
        ),
        (
            "bare.mjs",
            "TypeError: cannot resolve the module specifier \"lodash\": it is neither a URL nor",
        ),
        (
            "web.mjs",
            "TypeError: cannot load ftp://example.com/x.mjs: scripts are loaded from file:",
        ),
        ("syntax.mjs", "SyntaxError: unexpected token ';'"),
        (
            "json.mjs",
            "TypeError: {}/data.json is JSON: import it with { type: \"json\" }",
        ),
        ("badjson.mjs", "SyntaxError: expected value"),
        (
            "css.mjs",
            "TypeError: modules of type \"css\" are not supported",
        ),
        ("name.mjs", "SyntaxError: "),
    ];
    for (name, expected) in cases {
        let mut bench = Bench::new();
        let evaluation = bench.start(&files.path(name)).unwrap();
        assert_eq!(bench.run(), Finished::Idle, "{name}");
        assert!(evaluation.failed(), "{name}");
        let log = bench.log.take();
        let expected = expected.replace("{}", files.0.to_str().unwrap());
        let [report] = log.as_slice() else {
            panic!("{name}: {log:?}");
        };
        assert!(
            report.starts_with(&format!("report: {expected}")),
            "{name}: {report}"
        );
    }
}

#[test]
fn code_without_a_file_imports_from_the_current_directory() {
    let mut bench = Bench::new();
    let text = "import('./no-such-module.mjs').catch(error => log(error.message))";
    bench
        .event_loop
        .evaluate(
            text,
            Path::new("[eval]"),
            ScriptKind::Classic,
            &mut bench.context,
        )
        .unwrap();
    bench.run();
    let log = bench.log.take();
    assert!(
        log[0].starts_with("cannot read no-such-module.mjs, imported by [eval]: "),
        "{log:?}"
    );
}

#[test]
fn imports_of_one_url_fetch_it_once() {
    let server = HttpServer::start();
    server.script("/a.mjs", "import './b.mjs'; import './c.mjs'; log('a')");
    server.script("/b.mjs", "import './shared.mjs'; log('b')");
    server.script("/c.mjs", "import './shared.mjs'; log('c')");
    server.script("/shared.mjs", "log('once')");
    let mut bench = Bench::new();
    let url = server.url("/a.mjs");
    let script = format!(
        "import('{url}').then(() => log('first')); import('{url}').then(() => log('second'));"
    );
    assert_eq!(
        bench.log_of(&script),
        ["once", "b", "c", "a", "first", "second"]
    );
    let mut requests = server.requests();
    requests.sort();
    assert_eq!(requests, ["/a.mjs", "/b.mjs", "/c.mjs", "/shared.mjs"]);
    // All hear of one failure.
    let missing = server.url("/missing.mjs");
    let script = format!(
        "for (const x of [1, 2]) import('{missing}').catch(e => log(e.name, e.message.includes('404')))"
    );
    assert_eq!(bench.log_of(&script), ["TypeError true", "TypeError true"]);
    assert_eq!(server.requests(), ["/missing.mjs"]);
}

#[test]
fn an_import_that_is_given_up_holds_up_no_other() {
    // A server that answers nothing, to an import of a run that is ended.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.mjs", silent.local_addr().unwrap());
    let mut bench = Bench::new();
    bench.eval(&format!("import('{url}')"));
    let handle = bench.event_loop.handle();
    let accepted = std::thread::spawn(move || {
        let (stream, _) = silent.accept().unwrap();
        handle.request_shutdown();
        (silent, stream)
    });
    assert_eq!(bench.run(), Finished::ShutDown);
    drop(accepted.join().unwrap());
    // Nobody listens there any more.
    bench.eval(&format!("import('{url}').catch(e => log(e.name))"));
    assert_eq!(bench.run(), Finished::Idle);
    assert_eq!(bench.log.take(), ["TypeError"]);
}

#[test]
fn a_module_that_was_redirected_is_at_home_where_it_came_from() {
    let server = HttpServer::start();
    server.answer("/old.mjs", "Location: /new/place.mjs\n", "");
    server.script(
        "/new/place.mjs",
        "import { name } from './beside.mjs'; log(new URL(import.meta.url).pathname, name, new URL(import.meta.resolve('./x')).pathname);
         import('./later.mjs')",
    );
    server.script("/new/beside.mjs", "export const name = 'beside'");
    server.script("/new/later.mjs", "log('later')");
    let mut bench = Bench::new();
    let script = format!("import('{}')", server.url("/old.mjs"));
    assert_eq!(
        bench.log_of(&script),
        ["/new/place.mjs beside /new/x", "later"]
    );
}

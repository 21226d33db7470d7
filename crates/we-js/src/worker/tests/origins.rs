//! What workers may load, depending on where scripts come from.

use url::{Origin, Url};

use super::PRELUDE;
use crate::{
    FileAccess, Options,
    testing::{Agent, http::HttpServer},
};

fn origin(url: &str) -> Option<Origin> {
    url.parse::<Url>().ok().map(|url| url.origin())
}

fn page(url: &str) -> Agent {
    let mut agent = Agent::with(Options {
        origin: origin(url),
        ..Options::default()
    });
    agent.eval(PRELUDE).unwrap();
    agent
}

/// What a worker with this script's URL posts, or `error`.
fn outcome(agent: &mut Agent, url: &str, kind: &str) -> String {
    let script = format!(
        "new Promise(r => {{
            const w = new Worker('{url}', {{ type: '{kind}' }});
            w.onmessage = e => r(e.data); w.onerror = e => {{ e.preventDefault(); r(e.constructor.name) }};
         }})"
    );
    agent.eval(&script).unwrap()
}

#[test]
fn a_worker_from_a_blob_is_of_the_origin_that_made_it() {
    let make =
        "URL.createObjectURL(new Blob(['postMessage(origin)'], { type: 'text/javascript' }))";
    let mut first = page("https://one.test/a");
    let url = first.eval(make).unwrap();
    for kind in ["classic", "module"] {
        let mut same = page("https://one.test:443/b");
        assert_eq!(outcome(&mut same, &url, kind), "https://one.test");
        for other in ["https://two.test", "http://one.test", "https://one.test:1"] {
            assert_eq!(outcome(&mut page(other), &url, kind), "Event", "{other}");
        }
    }
    // Opaque origins all look alike.
    let of_data = format!(
        "const w = worker(() => {{ onmessage = () => {{
            const url = {make};
            const inner = new Worker(url); inner.onmessage = ({{ data }}) => postMessage([data, url, origin]);
         }} }});
         w.postMessage(0);
         next(w).then(async ({{ data: [inner, url, origin] }}) => {{
            const seen = await new Promise(r => {{ new Worker(url).onerror = e => r(e.constructor.name) }});
            return [inner, origin, url.slice(0, 10), seen].join();
         }})"
    );
    assert_eq!(first.eval(&of_data).unwrap(), "null,null,blob:null/,Event");
}

#[test]
fn only_who_made_a_blob_url_imports_it() {
    let make = "URL.createObjectURL(new Blob(['export default 5'], { type: 'text/javascript' }))";
    let mut one = page("https://one.test");
    let url = one.eval(make).unwrap();
    let import = format!("import('{url}').then(m => m.default, e => e.name)");
    assert_eq!(one.eval(&import).unwrap(), "5");
    assert_eq!(page("https://two.test").eval(&import).unwrap(), "TypeError");
}

#[test]
fn an_import_of_a_blob_survives_its_revocation() {
    let mut agent = page("https://one.test");
    for (steps, expected) in [
        (
            "const p = import(make('1')); URL.revokeObjectURL(url); return p.then(m => m.default)",
            "1",
        ),
        // One that comes later does not, whatever waits.
        (
            "import('data:text/javascript,'); make('2'); URL.revokeObjectURL(url); return import(url).then(m => m.default, e => e.name)",
            "TypeError",
        ),
        (
            "const p = import(make('3')); URL.revokeObjectURL(url);
             return p.then(m => new Promise(r => setTimeout(r, 1))).then(() => import(url + '#again')).then(m => m.default, e => e.name)",
            "TypeError",
        ),
    ] {
        let script = format!(
            "(() => {{
                let url; const make = text => url = URL.createObjectURL(new Blob(['export default ' + text], {{ type: 'text/javascript' }}));
                {steps}
             }})()"
        );
        assert_eq!(agent.eval(&script).as_deref(), Ok(expected), "{script}");
    }
}

#[test]
fn a_worker_of_a_program_without_an_origin_is_of_its_servers() {
    let own = HttpServer::start();
    let other = HttpServer::start();
    own.script("/origin.js", "postMessage(origin)");
    own.script(
        "/inner.js",
        "new Worker('/origin.js').onmessage = e => postMessage('inner ' + e.data)",
    );
    own.script(
        "/moved.js",
        &format!(
            "import('{}').then(m => postMessage(m.default))",
            other.url("/x.js")
        ),
    );
    other.script("/x.js", "export default 'shared'");
    let mut agent = Agent::new();
    agent.eval(PRELUDE).unwrap();
    for kind in ["classic", "module"] {
        assert_eq!(
            outcome(&mut agent, &own.url("/origin.js"), kind),
            own.origin
        );
        assert_eq!(outcome(&mut agent, &own.url("/moved.js"), kind), "shared");
        assert_eq!(other.requests(), [format!("/x.js {}", own.origin)]);
    }
    // And so are its workers: not of another server.
    let inner = outcome(&mut agent, &own.url("/inner.js"), "classic");
    assert_eq!(inner, format!("inner {}", own.origin));
    own.script(
        "/foreign.js",
        &format!(
            "new Worker('{}').onerror = e => postMessage(e.type)",
            other.url("/x.js")
        ),
    );
    assert_eq!(
        outcome(&mut agent, &own.url("/foreign.js"), "classic"),
        "error"
    );
    // The program itself has none.
    assert_eq!(agent.eval("origin").unwrap(), "null");
    assert_eq!(
        outcome(
            &mut agent,
            "data:text/javascript,postMessage(origin)",
            "classic"
        ),
        "null"
    );
}

#[test]
fn files_are_for_local_programs_unless_the_embedder_says_otherwise() {
    let reads = |options: Options| {
        let mut agent = Agent::with(options);
        agent.eval(PRELUDE).unwrap();
        let import = "import('file:///no/such/file.js').catch(e => e.message)";
        let own = agent.eval(import).unwrap();
        let of_worker = agent
            .eval("next(worker(() => import('file:///no/such/file.js').catch(e => postMessage(e.message)))).then(e => e.data)")
            .unwrap();
        assert_eq!(
            own.starts_with("cannot read"),
            of_worker.starts_with("cannot read"),
            "{of_worker}"
        );
        own.starts_with("cannot read")
    };
    let base = |url: &str| Options {
        base_url: url.parse().ok(),
        ..Options::default()
    };
    assert!(reads(Options::default()));
    assert!(reads(base("file:///home/page.html")));
    for url in ["http://one.test/", "https://one.test/", "wss://one.test/"] {
        assert!(!reads(base(url)), "{url}");
        assert!(
            !reads(Options {
                origin: origin(url),
                ..Options::default()
            }),
            "{url}"
        );
        assert!(
            reads(Options {
                file_access: FileAccess::Allowed,
                ..base(url)
            }),
            "{url}"
        );
    }
    assert!(!reads(Options {
        file_access: FileAccess::Refused,
        ..Options::default()
    }));
}

#[test]
fn what_came_from_a_server_reads_no_files() {
    let server = HttpServer::start();
    server.script(
        "/w.js",
        "import('file:///no/such/file.js').catch(e => postMessage(e.message))",
    );
    let mut agent = Agent::with(Options {
        file_access: FileAccess::Allowed,
        ..Options::default()
    });
    agent.eval(PRELUDE).unwrap();
    let message = outcome(&mut agent, &server.url("/w.js"), "classic");
    assert!(message.contains("may not read local files"), "{message}");
}

#[test]
fn what_a_script_of_another_origin_throws_later_is_not_told() {
    let own = HttpServer::start();
    let other = HttpServer::start();
    let later = "setTimeout(() => { throw new RangeError('secret') })";
    other.script("/later.js", later);
    other.script("/number.js", "setTimeout(() => { throw 5 })");
    own.script("/later.js", later);
    let worker = |url: String| {
        format!(
            "onerror = (message, file, line, column, error) => {{ postMessage([message, file, line, column, error].join()); return true }}; importScripts('{url}')"
        )
    };
    own.script("/foreign.js", &worker(other.url("/later.js")));
    own.script("/own.js", &worker(own.url("/later.js")));
    own.script("/number.js", &worker(other.url("/number.js")));
    // Nor does it help to have errors tell another stack.
    own.script(
        "/forged.js",
        &format!(
            "Object.defineProperty(Error.prototype, 'stack', {{ value: '' }}); {}",
            worker(other.url("/later.js"))
        ),
    );
    let mut agent = page(&own.origin);
    for path in ["/foreign.js", "/number.js", "/forged.js"] {
        assert_eq!(
            outcome(&mut agent, &own.url(path), "classic"),
            "Script error.,,0,0,",
            "{path}"
        );
    }
    let told = outcome(&mut agent, &own.url("/own.js"), "classic");
    assert!(
        told.starts_with(&format!("RangeError: secret,{},1,", own.url("/later.js"))),
        "{told}"
    );
}

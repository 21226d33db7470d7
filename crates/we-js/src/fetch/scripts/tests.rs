//! Scripts from URLs that need no server. Those of servers are in `tests/workers.rs`.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::http::HttpServer;

fn fetch(url: &str, destination: Destination, reads_files: bool) -> Result<String, String> {
    let fetcher = Fetcher {
        client: Client::default(),
        origin: None,
        reads_files,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let target = Target::new(url.parse().unwrap());
    let fetched = runtime.block_on(fetcher.fetch(&target, destination));
    fetched
        .map(|fetched| fetched.text)
        .map_err(|error| error.to_string())
}

#[test]
fn a_type_that_is_no_script_is_refused_where_the_standard_says_so() {
    let javascript = "data:Text/JavaScript;charset=utf-8,%F0%9F%99%82";
    let plain = "data:,1";
    for destination in [
        Destination::Worker,
        Destination::ImportScripts,
        Destination::Module,
    ] {
        assert_eq!(fetch(javascript, destination, false).as_deref(), Ok("🙂"));
    }
    assert_eq!(fetch(plain, Destination::Worker, false).as_deref(), Ok("1"));
    for destination in [Destination::ImportScripts, Destination::Module] {
        let error = fetch(plain, destination, false).unwrap_err();
        assert!(error.contains("its type is \"text/plain"), "{error}");
    }
    assert!(fetch("data:a/b+json,1", Destination::JsonModule, false).is_ok());
    assert!(fetch(javascript, Destination::JsonModule, false).is_err());
}

#[test]
fn text_is_decoded_as_utf_8_without_its_mark() {
    let url = "data:text/javascript;base64,77u/Yf8=";
    assert_eq!(
        fetch(url, Destination::Module, false).as_deref(),
        Ok("a\u{fffd}")
    );
}

#[test]
fn files_are_not_open_to_scripts_from_elsewhere() {
    let url = Url::from_file_path(std::env::current_exe().unwrap()).unwrap();
    assert!(fetch(url.as_str(), Destination::Worker, true).is_ok());
    let error = fetch(url.as_str(), Destination::Worker, false).unwrap_err();
    assert!(error.ends_with("may not read local files"), "{error}");
    let error = fetch("file:///no/such/file", Destination::Worker, true).unwrap_err();
    assert!(error.starts_with("cannot read /no/such/file: "), "{error}");
}

#[test]
fn other_urls_are_refused() {
    for url in [
        "ftp://x/y",
        "javascript:1",
        "blob:null/x",
        "data:x",
        "about:blank",
    ] {
        let error = fetch(url, Destination::Worker, true).unwrap_err();
        assert!(
            error.starts_with(&format!("cannot load {url}: ")),
            "{error}"
        );
    }
}

#[test]
fn only_regular_files_of_a_reasonable_size_are_read() {
    let folder = std::env::temp_dir().join(format!("we-js-fetch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = |path: &std::path::Path| Url::from_file_path(path).unwrap().to_string();
    let error = fetch(&url(&folder), Destination::Module, true).unwrap_err();
    assert!(error.ends_with("it is no regular file"), "{error}");
    #[cfg(unix)]
    {
        let error = fetch("file:///dev/zero", Destination::Module, true).unwrap_err();
        assert!(error.ends_with("it is no regular file"), "{error}");
        // Nobody writes to it: to open it would take for ever.
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = fetch(&url(&pipe), Destination::Worker, true).unwrap_err();
        assert!(error.ends_with("it is no regular file"), "{error}");
    }
    let large = folder.join("large.js");
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(MAX_SCRIPT as u64 + 1).unwrap();
    let error = fetch(&url(&large), Destination::ImportScripts, true).unwrap_err();
    assert!(error.ends_with("it is larger than 256 MiB"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn files_are_read_on_another_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let fetcher = Fetcher {
        client: Client::default(),
        origin: None,
        reads_files: true,
    };
    let url = Url::from_file_path(std::env::current_exe().unwrap()).unwrap();
    let target = Target::new(url);
    let _inside = runtime.enter();
    let mut future = std::pin::pin!(fetcher.fetch(&target, Destination::Worker));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
}

/// A page of one server, and another server.
struct Web {
    own: HttpServer,
    other: HttpServer,
}

impl Web {
    fn new() -> Self {
        Self {
            own: HttpServer::start(),
            other: HttpServer::start(),
        }
    }

    /// What becomes of a script that the page asks for.
    fn fetch(&self, url: &str, destination: Destination) -> Result<Fetched, FetchError> {
        let fetcher = Fetcher {
            client: Client::default(),
            origin: Some(self.own.origin.parse::<Url>().unwrap().origin()),
            reads_files: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let target = Target::new(url.parse().unwrap());
        runtime.block_on(fetcher.fetch(&target, destination))
    }
}

const SCRIPT: &str = "Content-Type: text/javascript\n";

#[test]
fn a_module_of_another_origin_must_be_shared_by_each_that_redirects() {
    let web = Web::new();
    let (own, other) = (&web.own, &web.other);
    let asker = own.origin.clone();
    let sharing = |origin: &str| format!("{SCRIPT}Access-Control-Allow-Origin: {origin}\n");
    let module = |url: String| web.fetch(&url, Destination::Module);

    // Within the origin nobody is asked.
    own.answer("/x.js", SCRIPT, "1");
    own.answer("/to-x", "Location: /x.js\n", "");
    assert!(!module(own.url("/to-x")).unwrap().is_cross_origin);
    assert_eq!(own.requests(), ["/to-x", "/x.js"]);

    // Out of it: the other server is told who asks, and must agree.
    let out = format!("Location: {}\n", other.url("/y.js"));
    own.answer("/out", &out, "");
    other.answer("/y.js", &sharing(&asker), "2");
    assert!(module(own.url("/out")).unwrap().is_cross_origin);
    assert_eq!(own.requests(), ["/out"]);
    assert_eq!(other.requests(), [format!("/y.js {asker}")]);
    for refusal in [
        SCRIPT.to_owned(),
        sharing("http://elsewhere.test"),
        sharing("null"),
    ] {
        other.answer("/y.js", &refusal, "2");
        let error = module(own.url("/out")).unwrap_err();
        assert!(
            matches!(error, FetchError::NotShared(_)),
            "{refusal}: {error}"
        );
    }
    own.requests();
    other.requests();

    // A redirect is an answer, too.
    let back = format!("Location: {}\n", own.url("/back.js"));
    other.answer("/back", &back, "");
    let error = module(other.url("/back")).unwrap_err();
    assert!(matches!(error, FetchError::NotShared(_)), "{error}");
    assert_eq!(own.requests(), [""; 0]);

    // What a foreign server sends the page to is asked for in nobody's name, even at home.
    other.answer(
        "/back",
        &format!("{back}Access-Control-Allow-Origin: *\n"),
        "",
    );
    for (head, is_good) in [
        (sharing("null"), true),
        (sharing("*"), true),
        (sharing(&asker), false),
        (SCRIPT.to_owned(), false),
    ] {
        own.answer("/back.js", &head, "3");
        let fetched = module(other.url("/back"));
        assert_eq!(fetched.is_ok(), is_good, "{head}: {fetched:?}");
        assert_eq!(own.requests(), ["/back.js null"]);
    }
}

#[test]
fn an_imported_script_may_come_from_anywhere_and_nobody_learns_who_asks() {
    let web = Web::new();
    let (own, other) = (&web.own, &web.other);
    let script = |url: String| web.fetch(&url, Destination::ImportScripts).unwrap();
    own.answer("/x.js", SCRIPT, "1");
    other.answer("/y.js", SCRIPT, "2");
    let back = format!("Location: {}\n", own.url("/x.js"));
    other.answer("/back", &back, "");
    assert!(!script(own.url("/x.js")).is_cross_origin);
    assert!(script(other.url("/y.js")).is_cross_origin);
    // By way of a foreign server.
    assert!(script(other.url("/back")).is_cross_origin);
    assert_eq!(own.requests(), ["/x.js", "/x.js"]);
    assert_eq!(other.requests(), ["/y.js", "/back"]);
}

#[test]
fn a_worker_does_not_begin_with_a_script_of_another_origin() {
    let web = Web::new();
    let out = format!("Location: {}\n", web.other.url("/y.js"));
    web.own.answer("/out", &out, "");
    web.other.script("/y.js", "1");
    for destination in [Destination::Worker, Destination::ModuleWorker] {
        for url in [web.own.url("/out"), web.other.url("/y.js")] {
            let error = web.fetch(&url, destination).unwrap_err();
            assert!(matches!(error, FetchError::Foreign(_)), "{error}");
        }
    }
    assert_eq!(web.other.requests(), [""; 0]);
    assert_eq!(web.own.requests(), ["/out", "/out"]);
}

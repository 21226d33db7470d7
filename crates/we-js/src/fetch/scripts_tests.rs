//! Scripts from URLs that need no server. Those of servers are in `tests/workers.rs`.
#![allow(clippy::unwrap_used)]

use super::*;

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
    let url = url.parse().unwrap();
    let fetched = runtime.block_on(fetcher.fetch(&url, destination));
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

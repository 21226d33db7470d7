//! `we serve --static`: files, and nothing else.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use common::serve::{PATIENCE, Serve, fixture};
use common::we;

/// A folder of files; it goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("we-files-{name}-{}", std::process::id()));
        let folder = Self(path.clone());
        let _ = fs::remove_dir_all(&path);
        let public = path.join("public");
        fs::create_dir_all(public.join("sub/empty")).unwrap();
        fs::create_dir_all(public.join(".git")).unwrap();
        fs::write(path.join("secret.txt"), "secret").unwrap();
        fs::write(public.join("index.html"), "<p>home</p>").unwrap();
        fs::write(public.join("sub/index.html"), "<p>sub</p>").unwrap();
        fs::write(public.join("a b.js"), "1;").unwrap();
        fs::write(public.join("large.bin"), vec![7; 3 << 20]).unwrap();
        fs::write(public.join("empty.txt"), "").unwrap();
        fs::write(public.join(".env"), "secret").unwrap();
        fs::write(public.join(".git/config"), "secret").unwrap();
        symlink("a b.js", public.join("inside.js")).unwrap();
        symlink("../secret.txt", public.join("outside.txt")).unwrap();
        symlink("/etc/passwd", public.join("passwd")).unwrap();
        let pipe = public.join("pipe");
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        folder
    }

    fn serve(&self, app: &str) -> Serve {
        let public = self.0.join("public");
        let args = ["--spare", "0", "--static", &public.to_string_lossy()];
        Serve::start_app(app, &args)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The status, the head and the body of an answer.
fn ask(serve: &Serve, method: &str, target: &str, headers: &str) -> (u16, String, Vec<u8>) {
    let address = serve.url.trim_start_matches("ws://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head[9..12].parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

#[test]
fn files_are_served_and_nothing_beside_them() {
    let folder = Folder::new("served");
    let serve = folder.serve(&fixture("rooms.mjs"));
    let get = |target: &str| ask(&serve, "GET", target, "");

    let (status, head, body) = get("/");
    assert_eq!((status, &*body), (200, &b"<p>home</p>"[..]), "{head}");
    for field in [
        "content-type: text/html; charset=utf-8",
        "content-length: 11",
        "x-content-type-options: nosniff",
        "cache-control: no-cache",
        "last-modified: ",
    ] {
        assert!(head.contains(field), "no {field} in {head}");
    }
    let (status, head, body) = get("/a%20b.js?query");
    assert_eq!((status, &*body), (200, &b"1;"[..]));
    assert!(head.contains("text/javascript"), "{head}");
    assert_eq!(get("/inside.js").2, b"1;");
    assert_eq!(get("/sub/").2, b"<p>sub</p>");
    let (status, head, _) = get("/sub?x");
    assert_eq!(status, 308);
    assert!(head.contains("location: /sub/?x"), "{head}");
    let (status, head, body) = get("/large.bin");
    assert_eq!((status, body.len()), (200, 3 << 20), "{head}");
    assert_eq!(get("/empty.txt").2, b"");

    for target in [
        "/outside.txt",
        "/passwd",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub/../../secret.txt",
        "/.env",
        "/.git/config",
        "/pipe",
        "/sub/empty/",
        "/sub/empty",
        "/none",
        "//etc/passwd",
        "/a%00",
    ] {
        let (status, _, body) = get(target);
        assert_eq!(status, 404, "{target}");
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }

    let (status, head, body) = ask(&serve, "HEAD", "/large.bin", "");
    assert_eq!((status, body.len()), (200, 0), "{head}");
    assert!(head.contains("content-length: 3145728"), "{head}");
    assert_eq!(
        ask(&serve, "POST", "/index.html", "Content-Length: 0\r\n").0,
        405
    );
    let (_, head, _) = get("/index.html");
    let modified = head
        .lines()
        .find(|line| line.starts_with("last-modified: "));
    let date = modified.unwrap().trim_start_matches("last-modified: ");
    let (status, _, body) = ask(
        &serve,
        "GET",
        "/",
        &format!("If-Modified-Since: {date}\r\n"),
    );
    assert_eq!((status, body.len()), (304, 0));
    // Another file may be older, or of the same second.
    for since in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 2094 08:49:37 GMT",
    ] {
        let since = format!("If-Modified-Since: {since}\r\n");
        assert_eq!(ask(&serve, "GET", "/", &since).0, 200);
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
    let tag = tag.unwrap().to_owned();
    for (known, expected) in [
        (tag.clone(), 304),
        (format!("\"x\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let known = format!("If-None-Match: {known}\r\nIf-Modified-Since: {date}\r\n");
        assert_eq!(ask(&serve, "GET", "/", &known).0, expected, "{known}");
    }
    fs::write(folder.0.join("public/index.html"), "<p>here</p>").unwrap();
    let known = format!("If-None-Match: {tag}\r\n");
    let (status, _, body) = ask(&serve, "GET", "/", &known);
    assert_eq!((status, &*body), (200, &b"<p>here</p>"[..]));
    // From before there were such dates.
    let old = fs::File::options()
        .append(true)
        .open(folder.0.join("public/empty.txt"));
    let long_ago = std::time::UNIX_EPOCH - std::time::Duration::from_secs(1_000_000_000);
    old.unwrap().set_modified(long_ago).unwrap();
    let (status, head, _) = get("/empty.txt");
    assert_eq!(status, 200);
    assert!(
        !head.contains("last-modified") && !head.contains("etag"),
        "{head}"
    );

    // The application goes first, and rooms are where they were.
    assert!(get("/hello").2.ends_with(b"hello\r\n0\r\n\r\n"));
    assert_eq!(get("/ws/garden").0, 426);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let app = fixture("rooms.mjs");
    let output = we(&[
        "serve",
        "--static",
        "/none/such",
        "--listen",
        "127.0.0.1:0",
        &app,
    ]);
    assert_eq!(output.code, Some(1));
    assert!(
        output
            .stderr
            .contains("cannot serve the folder /none/such: No such file or directory"),
        "{output:?}"
    );
}

//! Static files: `--static FOLDER`.
//!
//! Nothing outside of the folder is ever opened, which the kernel sees to (`openat2` with `RESOLVE_BENEATH`), symbolic links
//! that lead out of it included; and nothing whose name, or the name of a folder that it is in, begins with a dot.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_decode_str;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use tokio::time::timeout;
use we_net::handshake::Headers;
use we_net::http::Bytes;
use we_net::server::{HttpResponse, ResponseBody};

/// So much of a file is read ahead of a client.
const CHUNK: usize = 64 << 10;

/// How long a client may take for a chunk.
const TO_TAKE: Duration = Duration::from_secs(30);

/// Links may lead to what is below the folder, and not out of it.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// A folder whose files are served.
#[derive(Clone)]
pub(super) struct Files(Arc<OwnedFd>);

/// What is at a path.
enum Found {
    File {
        file: File,
        len: u64,
        modified: Option<SystemTime>,
        /// What it is called, for its type.
        name: String,
    },
    /// The path is a folder's, and lacks the slash behind which its files' names go.
    Folder,
    Nothing,
}

impl Files {
    /// The files of a folder.
    pub(super) fn of(folder: &Path) -> Result<Self, String> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty());
        // A kernel that cannot look below a folder only is noticed now, and not by each request.
        let opened = opened.and_then(|opened| {
            openat2(&opened, ".", flags, Mode::empty(), RESOLVE)?;
            Ok(opened)
        });
        opened
            .map(|folder| Self(Arc::new(folder)))
            .map_err(|error| {
                let error = io::Error::from(error);
                format!("cannot serve the folder {}: {error}", folder.display())
            })
    }

    /// The answer to a request; `None` if there is no such file.
    pub(super) async fn answer(
        &self,
        method: &str,
        target: &str,
        headers: &Headers,
    ) -> Option<HttpResponse> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let wanted = name(path)?;
        let files = self.clone();
        let found = tokio::task::spawn_blocking(move || files.find(&wanted)).await;
        let (file, len, modified, name) = match found.ok()? {
            Found::Nothing => return None,
            Found::Folder => {
                let mut response = HttpResponse::new(308);
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                // One slash, however many there were: two would be a host's.
                let path = path.trim_start_matches('/');
                let _ = response
                    .headers
                    .append("Location", format!("/{path}/{query}"));
                return Some(response);
            }
            Found::File {
                file,
                len,
                modified,
                name,
            } => (file, len, modified, name),
        };
        if method != "GET" && method != "HEAD" {
            let mut response = HttpResponse::text(405, "this is a file: GET it\n");
            let _ = response.headers.append("Allow", "GET, HEAD");
            return Some(response);
        }
        let tag = modified.map(|modified| tag(modified, len));
        let is_known = is_known(headers, tag.as_deref(), modified);
        let mut response = HttpResponse::new(if is_known { 304 } else { 200 });
        let mut field = |name, value: &str| {
            // Tokens, and values without control characters.
            let _ = response.headers.append(name, value);
        };
        field("Content-Type", &content_type(&name));
        // A file may have changed with the next request, which is answered with 304 otherwise.
        field("Cache-Control", "no-cache");
        field("X-Content-Type-Options", "nosniff");
        if let Some(modified) = modified {
            field("Last-Modified", &httpdate::fmt_http_date(modified));
        }
        if let Some(tag) = tag {
            field("ETag", &tag);
        }
        if !is_known {
            field("Content-Length", &len.to_string());
            if method == "GET" {
                response.body = body(file, len);
            }
        }
        Some(response)
    }

    fn find(&self, path: &str) -> Found {
        let Some(file) = self.open(path) else {
            return Found::Nothing;
        };
        let Ok(metadata) = file.metadata() else {
            return Found::Nothing;
        };
        if metadata.is_dir() {
            return match self.open(&format!("{path}/index.html")) {
                Some(_) if path != "." && !path.ends_with('/') => Found::Folder,
                Some(_) => self.find(&format!("{path}/index.html")),
                None => Found::Nothing,
            };
        }
        // Pipes, devices and the like are nobody's to read.
        if !metadata.is_file() {
            return Found::Nothing;
        }
        Found::File {
            len: metadata.len(),
            // What HTTP has a date for.
            modified: metadata.modified().ok().filter(|at| {
                let since = at.duration_since(UNIX_EPOCH);
                since.is_ok_and(|since| since.as_secs() < YEAR_10000)
            }),
            file,
            name: path.to_owned(),
        }
    }

    fn open(&self, path: &str) -> Option<File> {
        // A pipe that nobody writes to would be waited for.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = openat2(&*self.0, path, flags, Mode::empty(), RESOLVE).ok()?;
        Some(File::from(file))
    }
}

/// When the years of HTTP's dates end.
const YEAR_10000: u64 = 253_402_300_800;

/// The file that a request's path means, below the folder; `None` if it can mean none.
fn name(path: &str) -> Option<String> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let path = path.strip_prefix('/')?;
    if path.contains('\0') {
        return None;
    }
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        // Nor `.` and `..`. An empty part is what follows the last slash, and nothing else.
        if part.starts_with('.') || (part.is_empty() && parts.peek().is_some()) {
            return None;
        }
    }
    Some(match path {
        "" => ".".to_owned(),
        path => path.to_owned(),
    })
}

/// What tells one state of a file from another: <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3>
fn tag(modified: SystemTime, len: u64) -> String {
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("\"{:x}-{len:x}\"", since.as_nanos())
}

/// Whether the client has the file as it is: <https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2> steps 3 and 4
fn is_known(headers: &Headers, tag: Option<&str>, modified: Option<SystemTime>) -> bool {
    if headers.values("if-none-match").next().is_some() {
        let known = headers.values("if-none-match");
        let mut known = known.flat_map(|value| value.split(|byte| *byte == b','));
        return known.any(|known| {
            let known = known.trim_ascii();
            let known = known.strip_prefix(b"W/").unwrap_or(known);
            known == b"*" || Some(known) == tag.map(str::as_bytes)
        });
    }
    let since = headers.single("if-modified-since");
    let since = since.and_then(|value| std::str::from_utf8(value).ok());
    let since = since.and_then(|value| httpdate::parse_http_date(value).ok());
    // Dates of HTTP are of whole seconds. An older file in its place is another file.
    let seconds = |at: SystemTime| Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs());
    since.is_some() && since.and_then(seconds) == modified.and_then(seconds)
}

fn content_type(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    match (guess.type_().as_str(), guess.subtype().as_str()) {
        // As RFC 9239 has it, also for modules.
        (_, "javascript") => "text/javascript; charset=utf-8".to_owned(),
        ("text", _) | (_, "json") => format!("{guess}; charset=utf-8"),
        _ => guess.to_string(),
    }
}

/// The content, read as the client takes it. A file that shrinks meanwhile breaks it off, so that nobody takes it for all.
fn body(mut file: File, len: u64) -> ResponseBody {
    let (to_client, body) = ResponseBody::channel();
    tokio::spawn(async move {
        let mut left = len;
        while left > 0 {
            let want = left.min(CHUNK as u64);
            let read = tokio::task::spawn_blocking(move || {
                let mut bytes = Vec::new();
                let result = file.by_ref().take(want).read_to_end(&mut bytes);
                result.map(|_| (file, bytes))
            });
            let Ok(Ok((back, bytes))) = read.await else {
                return;
            };
            file = back;
            left -= bytes.len() as u64;
            if bytes.is_empty() {
                return;
            }
            let taken = timeout(TO_TAKE, to_client.send(Bytes::from(bytes))).await;
            if !matches!(taken, Ok(true)) {
                return;
            }
        }
        let _ = timeout(TO_TAKE, to_client.finish()).await;
    });
    body
}

#[cfg(test)]
mod tests {
    use super::{content_type, name};

    #[test]
    fn paths_mean_files_of_the_folder_or_none() {
        for (path, expected) in [
            ("/", Some(".")),
            ("/a.html", Some("a.html")),
            ("/a/b%20c", Some("a/b c")),
            ("/a/", Some("a/")),
            ("/..", None),
            ("/a/../b", None),
            ("/%2e%2e/b", None),
            ("/a%2F..%2Fb", None),
            ("/.env", None),
            ("/.git/config", None),
            ("//a", None),
            ("/a//b", None),
            ("/a%00", None),
            ("/%FF", None),
            ("*", None),
            ("http://h/a", None),
        ] {
            assert_eq!(name(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn types_follow_from_names() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.wasm", "application/wasm"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected);
        }
    }
}

//! `fetch()` against servers on threads of this process.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    ErrorReporter, FileAccess, LoopHandle, Options,
    testing::{
        Agent,
        http::{agent, serve},
    },
};

/// Answers with the request itself, or as its path says.
fn echo(request: &str, mut stream: TcpStream) {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, headers, body) = match path.split_once('?') {
        Some(("/redirect", status)) => (status, "Location: /echo\r\n", ""),
        Some(("/with", header)) => ("200 Fine", header, request),
        _ => ("200 Fine", "", request),
    };
    let headers = headers.replace("%20", " ").replace(';', "\r\n");
    let headers = headers.trim_end();
    let line = if headers.is_empty() { "" } else { "\r\n" };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}{line}{headers}\r\n\r\n{body}"
    );
}

#[track_caller]
pub(super) fn expect(agent: &mut Agent, cases: &[(&str, &str)]) {
    for (script, expected) in cases {
        let script = format!("(async () => {{ {script} }})()");
        assert_eq!(agent.eval(&script).as_deref(), Ok(*expected), "{script}");
    }
}

#[test]
fn requests_have_methods_headers_and_bodies() {
    let server = serve(echo);
    let line = "const line = async (init, name) => (await (await fetch('/echo', init)).text())
        .split('\\r\\n').find(line => line.startsWith(name))";
    expect(
        &mut agent(&server, None),
        &[
            (
                "const r = await fetch('x?y#z'); const text = await r.text();
                 return [r.type, r.status, r.statusText, r.ok, r.redirected, r.url === server + '/base/x?y', text.split('\\r\\n')[0]].join()",
                "basic,200,Fine,true,false,true,GET /base/x?y HTTP/1.1",
            ),
            (&format!("{line}; return line({{ headers: {{ 'X-A': ' b' }} }}, 'X-A')"), "X-A: b"),
            (&format!("{line}; return line({{ method: 'POST' }}, 'Content-Length')"), "Content-Length: 0"),
            (&format!("{line}; return line({{ method: 'patch', body: 'ü' }}, 'patch')"), "patch /echo HTTP/1.1"),
            (&format!("{line}; return line({{ method: 'PUT', body: 'ü' }}, 'Content-Length')"), "Content-Length: 2"),
            (&format!("{line}; return line({{ method: 'PUT', body: 'ü' }}, 'Content-Type')"), "Content-Type: text/plain;charset=UTF-8"),
            (
                "const r = await fetch('/', { method: 'POST', body: 'abc' }); return (await r.text()).endsWith('\\r\\n\\r\\nabc')",
                "true",
            ),
            ("const r = await fetch('/', { method: 'HEAD' }); return r.body", "null"),
            (
                "return [await rejection(fetch('/', { method: 'TRACE' })), await rejection(fetch('http://[')),
                  await rejection(fetch('/', { body: '' })), await rejection(fetch()), await rejection(fetch('ftp://x/'))].join()",
                "TypeError,TypeError,TypeError,TypeError,TypeError",
            ),
        ],
    );
}

#[test]
fn what_has_no_body_that_can_be_seen_has_no_integrity() {
    let of_nothing = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let refused = |script: &str, integrity: &str| {
        let script = script.replace("{integrity}", integrity);
        format!("return rejection(fetch({script}))")
    };
    let server = serve(echo);
    let empty =
        format!("return (await fetch('/redirect?200', {{ integrity: '{of_nothing}' }})).status");
    expect(&mut agent(&server, None), &[(&empty, "200")]);
    for (origin, script) in [
        (None, "'/', { method: 'HEAD', integrity: '{integrity}' }"),
        (
            None,
            "'/redirect?301', { redirect: 'manual', integrity: '{integrity}' }",
        ),
        (
            Some("http://a.example/"),
            "'/', { mode: 'no-cors', integrity: '{integrity}' }",
        ),
    ] {
        for integrity in [of_nothing, "unknown"] {
            let script = refused(script, integrity);
            expect(&mut agent(&server, origin), &[(&script, "TypeError")]);
        }
    }
}

#[test]
fn a_stream_is_sent_chunk_by_chunk() {
    let server = serve(echo);
    expect(
        &mut agent(&server, None),
        &[
            (
                "let n = 0; const body = new ReadableStream({ async pull(c) {
                     await new Promise(r => setTimeout(r)); n++ < 3 ? c.enqueue(new Uint8Array([96 + n])) : c.close() } });
                 const r = await fetch('/', { method: 'POST', duplex: 'half', body });
                 return (await r.text()).split('\\r\\n').slice(-9).join()",
                "1,a,1,b,1,c,0,,",
            ),
            (
                "const body = new ReadableStream({ pull(c) { c.enqueue('text') } });
                 return rejection(fetch('/', { method: 'POST', duplex: 'half', body }))",
                "TypeError",
            ),
            (
                "const body = new ReadableStream({ pull(c) { c.error(1) } });
                 return rejection(fetch('/', { method: 'POST', duplex: 'half', body }))",
                "TypeError",
            ),
            (
                "return error(() => new Request('/', { method: 'POST', body: new ReadableStream() }))",
                "TypeError",
            ),
        ],
    );
}

#[test]
fn a_stream_is_locked_from_the_call_on() {
    let script = "const body = new ReadableStream({ pull(c) { c.close() } });
        const fetched = fetch('/', { method: 'POST', duplex: 'half', body }); const locked = body.locked;
        await fetched; return locked";
    expect(&mut agent(&serve(echo), None), &[(script, "true")]);
}

/// A server that redirects a POST before it has all of it, to where it waits until `/release` is asked for. `/seen` waits
/// until it has come there.
fn redirecting() -> String {
    let state = Arc::new((Mutex::new((false, false)), Condvar::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (state, mut stream) = (state.clone(), stream.unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap();
                let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
                let (flags, changed) = &*state;
                let mut answer = |head: &str, body: &str| {
                    let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
                };
                let wait = |is_it: fn(&(bool, bool)) -> bool| {
                    drop(changed.wait_while(flags.lock().unwrap(), |flags| !is_it(flags)));
                };
                match head.split(' ').nth(1) {
                    Some("/target") => {
                        flags.lock().unwrap().0 = true;
                        changed.notify_all();
                        wait(|flags| flags.1);
                    }
                    Some("/seen") => wait(|flags| flags.0),
                    Some("/release") => {
                        flags.lock().unwrap().1 = true;
                        changed.notify_all();
                    }
                    _ => return answer("303 Other\r\nLocation: /target", ""),
                }
                answer("200 OK", &head);
            });
        }
    });
    origin
}

#[test]
fn a_stream_that_a_redirect_has_dropped_is_canceled_and_may_fail() {
    let script = "const { promise: canceled, resolve } = Promise.withResolvers(); let controller;
        const body = new ReadableStream({
            start(c) { c.enqueue(new Uint8Array(9)); controller = c },
            cancel(reason) { resolve(reason.name) },
        });
        const fetched = fetch('/', { method: 'POST', duplex: 'half', body });
        await fetch('/seen'); controller.error(1); await fetch('/release');
        return [(await (await fetched).text()).split(' ')[0], await canceled].join()";
    expect(
        &mut agent(&redirecting(), None),
        &[(script, "GET,TypeError")],
    );
}

/// What stops a script is not an error of the stream.
#[test]
fn a_limit_of_the_engine_does_not_become_a_rejection() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let seen = reported.clone();
    let mut agent = Agent::with(Options {
        base_url: Some(format!("{}/", serve(echo)).parse().unwrap()),
        error_reporter: ErrorReporter::new(move |error| {
            seen.lock().unwrap().push(error.to_string());
        }),
        ..Options::default()
    });
    let script = "const pull = () => { (function f() { f() })() };
        const body = new ReadableStream({ pull }, { highWaterMark: 0 }); globalThis.settled = false;
        fetch('/', { method: 'POST', duplex: 'half', body }).finally(() => { settled = true }); 0";
    agent.eval(script).unwrap();
    assert_eq!(agent.eval("settled").as_deref(), Ok("false"));
    let reported = reported.lock().unwrap();
    assert!(
        matches!(&**reported, [error] if error.contains("RuntimeLimit")),
        "{reported:?}"
    );
}

#[test]
fn redirects_are_followed_refused_or_shown() {
    let server = serve(echo);
    let stream =
        "const body = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1)); c.close() } });
        const init = { method: 'POST', duplex: 'half', body }";
    expect(
        &mut agent(&server, None),
        &[
            (
                "const r = await fetch('/redirect?302', { method: 'POST', body: 'x' });
                 return [r.redirected, r.url === server + '/echo', (await r.text()).split(' ')[0]].join()",
                "true,true,GET",
            ),
            (
                "const r = await fetch('/redirect?307', { method: 'POST', body: 'x' });
                 const text = await r.text(); return [text.split(' ')[0], text.endsWith('x')].join()",
                "POST,true",
            ),
            ("return rejection(fetch('/redirect?301', { redirect: 'error' }))", "TypeError"),
            (
                "const r = await fetch('/redirect?301', { redirect: 'manual' });
                 return [r.type, r.status, r.url === server + '/redirect?301', r.body].join()",
                "opaqueredirect,0,true,",
            ),
            (&format!("{stream}; return rejection(fetch('/redirect?308', init))"), "TypeError"),
            (&format!("{stream}; return (await fetch('/redirect?303', init)).status"), "200"),
        ],
    );
}

#[test]
fn another_origin_has_to_agree() {
    let server = serve(echo);
    let allow = "Access-Control-Allow-Origin:*";
    expect(
        &mut agent(&server, Some("http://a.example/")),
        &[
            ("return rejection(fetch('/echo'))", "TypeError"),
            ("return rejection(fetch('/echo', { mode: 'same-origin' }))", "TypeError"),
            (
                "const r = await fetch('/echo', { mode: 'no-cors' }); return [r.type, r.status, r.url, r.body].join()",
                "opaque,0,,",
            ),
            (
                &format!(
                    "const r = await fetch('/with?{allow};X-A:1;X-B:2;Access-Control-Expose-Headers:x-b');
                     return [r.type, r.headers.get('x-a'), r.headers.get('x-b'), (await r.text()).includes('Origin: http://a.example\\r\\n')].join()"
                ),
                "cors,,2,true",
            ),
            // The server has the same answer to the preflight request.
            (&format!("return rejection(fetch('/with?{allow}', {{ method: 'PUT' }}))"), "TypeError"),
            (
                &format!(
                    "const r = await fetch('/with?{allow};Access-Control-Allow-Methods:PUT', {{ method: 'PUT' }}); return r.status"
                ),
                "200",
            ),
            (
                &format!("return rejection(fetch('/with?{allow}', {{ credentials: 'include' }}))"),
                "TypeError",
            ),
        ],
    );
}

#[test]
fn local_urls_are_fetched() {
    let mut agent = agent("http://127.0.0.1:9", None);
    let file = url::Url::from_file_path(std::env::current_exe().unwrap()).unwrap();
    let fetch_file = format!("return (await (await fetch('{file}')).arrayBuffer()).byteLength > 0");
    expect(
        &mut agent,
        &[
            (
                "const r = await fetch('data:text/x;a=b,c%20d'); return [r.headers.get('content-type'), await r.text()].join()",
                "text/x;a=b,c d",
            ),
            (
                "const url = URL.createObjectURL(new Blob(['abcdef'], { type: 'a/b' })); const request = new Request(url);
                 const r = await fetch(url, { headers: { range: 'bytes=1-2' } });
                 const parts = [r.status, r.headers.get('content-range'), await r.text()];
                 URL.revokeObjectURL(url);
                 return parts.concat(await (await fetch(request)).text(), await rejection(fetch(url))).join()",
                "206,bytes 1-2/6,bc,abcdef,TypeError",
            ),
        ],
    );
    // Not for scripts from a server.
    let refused = format!("return rejection(fetch('{file}'))");
    expect(&mut agent, &[(refused.as_str(), "TypeError")]);
    // Nor where the embedder has not spoken of files.
    let mut silent = Agent::new();
    expect(&mut silent, &[(refused.as_str(), "TypeError")]);
    let mut agent = Agent::with(Options {
        file_access: FileAccess::Allowed,
        ..Options::default()
    });
    // In every mode, and whatever the origin.
    let mut local = Agent::with(Options {
        file_access: FileAccess::Allowed,
        origin: Some("http://a.example".parse::<url::Url>().unwrap().origin()),
        ..Options::default()
    });
    let manifest = concat!("file://", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for mode in ["cors", "no-cors", "same-origin"] {
        let script = format!(
            "const r = await fetch('{manifest}', {{ mode: '{mode}' }});
             return [r.type, r.status, (await r.text()).includes('[package]')].join()"
        );
        expect(&mut local, &[(&script, "basic,200,true")]);
    }
    // A limit of the tests' agents: the file is larger than a buffer may be.
    let read = agent.eval(&format!("(async () => {{ {fetch_file} }})()"));
    assert!(read.is_err_and(|error| error.contains("fit into memory")));
    expect(
        &mut agent,
        &[(
            "return rejection(fetch('file:///no/such/file'))",
            "TypeError",
        )],
    );
}

/// More than all buffers on the way hold.
const MUCH: usize = 64 << 20;

/// A server that sends [`MUCH`], or until nothing goes out for a while: `/sent` waits for that, and answers with how much it
/// was.
fn endless() -> String {
    let sent = Arc::new((Mutex::new(None), Condvar::new()));
    serve(move |request, mut stream| {
        let (sent, changed) = &*sent;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        if request.starts_with("GET /sent") {
            let sent = changed.wait_while(sent.lock().unwrap(), |sent| sent.is_none());
            let _ = write!(stream, "{}", sent.unwrap().unwrap());
            return;
        }
        let piece = [b'x'; 1 << 16];
        stream
            .set_write_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let mut count = 0;
        while count < MUCH && stream.write_all(&piece).is_ok() {
            count += piece.len();
        }
        *sent.lock().unwrap() = Some(count);
        changed.notify_all();
        // Then until the client goes.
        while stream.read(&mut [0]).is_ok_and(|read| read > 0) {}
    })
}

#[test]
fn a_body_is_read_as_fast_as_the_script_reads_it_until_it_is_canceled_or_aborted() {
    let server = endless();
    let slow = format!(
        "const reader = (await fetch('/')).body.getReader(); const {{ value }} = await reader.read();
         const sent = await (await fetch('/sent')).text(); await reader.cancel(); return value.length > 0 && sent < {MUCH}"
    );
    expect(
        &mut agent(&server, None),
        &[
            (&slow, "true"),
            (
                "const controller = new AbortController(); const r = await fetch('/', { signal: controller.signal });
                 const reader = r.body.getReader(); await reader.read(); controller.abort();
                 return [await rejection((async () => { for (;;) await reader.read() })()), await rejection(reader.closed)].join()",
                "AbortError 20,AbortError 20",
            ),
            ("return rejection(fetch('/', { signal: AbortSignal.abort(new RangeError) }))", "RangeError"),
            // Nobody reads it, and the loop does not wait for it.
            ("globalThis.kept = await fetch('/'); return kept.status", "200"),
        ],
    );
}

#[test]
fn a_fetch_that_waits_ends_with_its_signal_or_its_agent() {
    // Silent until the client goes.
    let server = serve(|_, mut stream| while stream.read(&mut [0]).is_ok_and(|read| read > 0) {});
    expect(
        &mut agent(&server, None),
        &[(
            "return rejection(fetch('/', { signal: AbortSignal.timeout(20) }))",
            "TimeoutError 23",
        )],
    );
    let handle = LoopHandle::new(None);
    let terminator = handle.clone();
    let mut agent = Agent::with_handle(handle, Options::default());
    let begun = Arc::new(AtomicUsize::new(0));
    let seen = begun.clone();
    let stopper = thread::spawn(move || {
        while seen.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        terminator.terminate();
    });
    let script = format!("fetch('{server}/'); 0");
    agent
        .context
        .eval(boa_engine::Source::from_bytes(&script))
        .unwrap();
    begun.store(1, Ordering::SeqCst);
    agent.run();
    stopper.join().unwrap();
}

//! `EventSource` against servers on threads of this process.
#![allow(clippy::unwrap_used)]

mod life;

use std::{
    io::Write as _,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::connection::Progress;
use crate::testing::{
    Agent, cases,
    http::{agent, serve},
};

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(60);

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// Follows a source until it fails or an event says `end`: what has happened, in order.
const FOLLOW: &str = "
    globalThis.follow = (url, init) => new Promise(resolve => {
        const log = [], source = new EventSource(url, init);
        source.onopen = () => log.push('open');
        source.onerror = () => {
            log.push(`error ${source.readyState}`);
            if (source.readyState === 2) resolve(log.join());
        };
        source.onmessage = ({ data, lastEventId, origin }) => {
            log.push(lastEventId ? `${data} ${lastEventId}` : data);
            if (data === 'origin') log.push(origin);
            if (data === 'end') { source.close(); resolve(log.join()) }
        };
    });
    globalThis.text = async path => (await fetch(path)).text();";

/// A server whose answers are of their number and the request. Each ends its connection.
fn answers(answer: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> (String, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let server = serve(move |request, mut stream| {
        let number = seen.add(request);
        let _ = stream.write_all(answer(number, request).as_bytes());
    });
    (server, requests)
}

/// What a server was asked for.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    fn add(&self, request: &str) -> usize {
        let mut requests = self.0.lock().unwrap();
        requests.push(request.to_owned());
        requests.len() - 1
    }

    /// Of each request the values of a header, or nothing.
    fn headers(&self, name: &str) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        let of = |request: &String| header(request, name).unwrap_or_default().to_owned();
        requests.iter().map(of).collect()
    }

    fn lines(&self) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        let first = |request: &String| request.lines().next().unwrap_or_default().to_owned();
        requests.iter().map(first).collect()
    }
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(other, value)| other.eq_ignore_ascii_case(name).then_some(value))
}

fn with_follow(server: &str, origin: Option<&str>) -> Agent {
    let mut agent = agent(server, origin);
    agent.eval(FOLLOW).unwrap();
    agent
}

/// What [`Agent::eval`] does, but not for ever: what should end and does not is to fail.
fn eval(agent: &mut Agent, script: &str) -> Result<String, String> {
    let handle = agent.handle();
    let (over, watched) = mpsc::channel::<()>();
    thread::spawn(move || {
        if watched.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
            handle.terminate();
        }
    });
    let result = agent.eval(script);
    drop(over);
    result
}

#[track_caller]
fn expect(agent: &mut Agent, script: &str, expected: &str) {
    let script = format!("(async () => {{ {script} }})()");
    assert_eq!(eval(agent, &script).as_deref(), Ok(expected), "{script}");
}

#[test]
fn the_interface_is_that_of_the_standard() {
    cases(&[
        (
            "[EventSource.length, EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED, EventSource.prototype.CLOSED,
              Object.keys(EventSource.prototype).join(' '), EventSource.__proto__ === EventTarget].join()",
            "1,0,1,2,2,url withCredentials CONNECTING OPEN CLOSED readyState onopen onmessage onerror close,true",
        ),
        (
            "const s = new EventSource('http://EXAMPLE.com/a#b', { withCredentials: 1 }); const before = s.readyState; s.close();
              [s.url, s.withCredentials, before, s.readyState, String(s), s.onmessage, s.close()].join()",
            "http://example.com/a#b,true,0,2,[object EventSource],,",
        ),
        ("const s = new EventSource('x:'); s.close(); s.withCredentials", "false"),
        ("error(() => new EventSource('http://this is invalid/'))", "SyntaxError 12"),
        // There is no base URL.
        ("error(() => new EventSource('a'))", "SyntaxError 12"),
        (
            "[() => EventSource('x:'), () => new EventSource(), () => new EventSource('x:', 1),
              () => EventSource.prototype.url, () => EventSource.prototype.close.call({})].map(error).join()",
            "TypeError,TypeError,TypeError,TypeError,TypeError",
        ),
        (
            "error(() => new EventSource('x:', { get withCredentials() { throw new RangeError } }))",
            "RangeError",
        ),
    ]);
}

#[test]
fn a_stream_that_has_ended_is_asked_for_again_with_the_last_id() {
    let (server, requests) = answers(|number, request| {
        let id = header(request, "Last-Event-ID").unwrap_or("none");
        let body = match number {
            0 => "retry: 1\nid: \u{fc} 7\ndata: a\n\nid: lost\ndata: lost".to_owned(),
            1 => format!("data: {id}\n\nid\n\n"),
            _ => format!("data: {id}\n\ndata: end\n\n"),
        };
        format!("{STREAM}{body}")
    });
    expect(
        &mut with_follow(&server, None),
        "return follow('/events?x')",
        "open,a \u{fc} 7,error 0,open,\u{fc} 7 \u{fc} 7,error 0,open,none,end",
    );
    assert_eq!(requests.lines(), ["GET /events?x HTTP/1.1"; 3]);
    assert_eq!(requests.headers("Last-Event-ID"), ["", "\u{fc} 7", ""]);
    assert_eq!(requests.headers("Accept"), ["text/event-stream"; 3]);
    assert_eq!(requests.headers("Cache-Control"), ["no-cache"; 3]);
}

#[test]
fn the_server_says_how_long_to_wait() {
    let (server, _) = answers(|number, _| {
        let end = if number == 0 { "" } else { "data: end\n\n" };
        format!("{STREAM}retry: 400\nretry: 1x\ndata: x\n\n{end}")
    });
    expect(
        &mut with_follow(&server, None),
        "const source = new EventSource('/'), times = [];
         await new Promise(resolve => {
             source.onerror = () => times.push(performance.now());
             source.onmessage = ({ data }) => data === 'end' && resolve();
         });
         source.close();
         const waited = performance.now() - times[0];
         // It would be 3 seconds otherwise.
         return times.length === 1 && waited >= 399 && waited < 2900 || waited",
        "true",
    );
}

#[test]
fn what_is_no_event_stream_fails_the_connection() {
    let head = |status: &str, kind: &str| format!("HTTP/1.1 {status}\r\n{kind}\r\n\r\ndata: x\n\n");
    let kind = "Content-Type: text/event-stream";
    for (answer, opens) in [
        (head("204 No Content", kind), false),
        (head("205 Reset Content", kind), false),
        (head("404 Not Found", kind), false),
        (head("503 Service Unavailable", kind), false),
        (head("302 Found", "Location: ftp://x/"), false),
        (head("302 Found", kind), false),
        (head("200 OK", "Content-Type: text/plain"), false),
        (head("200 OK", "Content-Type: x bogus"), false),
        (head("200 OK", "Content-Type: text/event-streams"), false),
        (head("200 OK", "X-Content-Type: text/event-stream"), false),
        (
            head("200 OK", "content-type: Text/Event-Stream;charset=latin1;"),
            true,
        ),
    ] {
        let shown = answer.clone();
        let (server, requests) = answers(move |_, _| answer.clone());
        let mut agent = with_follow(&server, None);
        if opens {
            let script = "const source = new EventSource('/');
                return new Promise(resolve => source.onopen = () => { source.close(); resolve('open') })";
            expect(&mut agent, script, "open");
        } else {
            expect(&mut agent, "return follow('/')", "error 2");
        }
        // Nothing was pending any more.
        assert_eq!(requests.lines().len(), 1, "{shown}");
    }
}

#[test]
fn what_cannot_be_fetched_fails_the_connection() {
    let mut agent = with_follow("http://127.0.0.1:9", None);
    for url in [
        "ftp://example.not/",
        "about:blank",
        "mailto:x@y",
        "javascript:alert()",
        "file:///x",
        "blob:null/x",
        "data:text/plain,data:x",
        // A port that nobody dials.
        "http://127.0.0.1:25/",
    ] {
        expect(&mut agent, &format!("return follow('{url}')"), "error 2");
    }
}

#[test]
fn other_schemes_have_event_streams_too() {
    let mut agent = with_follow("http://127.0.0.1:9", None);
    let stream = "data:origin%0A%0Adata:end%0A%0A";
    let data = format!("return follow('data:text/event-stream,{stream}')");
    expect(&mut agent, &data, "open,origin,null,end");
    let blob = format!(
        "const blob = new Blob([':'.padEnd(200_000), '\\n', decodeURIComponent('{stream}')], {{ type: 'text/event-stream' }});
         const url = URL.createObjectURL(blob), following = follow(url); URL.revokeObjectURL(url); return following"
    );
    expect(&mut agent, &blob, "open,origin,http://127.0.0.1:9,end");
}

#[test]
fn network_errors_are_followed_by_another_attempt() {
    let (server, requests) = answers(|number, _| match number {
        0 => format!("{STREAM}retry: 1\ndata: 0\n\n"),
        // No answer, no HTTP, a body that breaks off.
        1 => String::new(),
        2 => format!(
            "{}data: 2\n\n",
            STREAM.replace("\r\n\r\n", "\r\nContent-Length: 99\r\n\r\n")
        ),
        3 => "no HTTP\r\n\r\n".to_owned(),
        _ => format!("{STREAM}data: end\n\n"),
    });
    expect(
        &mut with_follow(&server, None),
        "return follow('/')",
        "open,0,error 0,error 0,open,2,error 0,error 0,open,end",
    );
    assert_eq!(requests.lines().len(), 5);
}

#[test]
fn an_id_that_no_header_can_carry_is_not_lost_in_silence() {
    let (server, requests) = answers(|_, _| format!("{STREAM}retry: 1\nid: \u{1}\ndata: x\n\n"));
    expect(
        &mut with_follow(&server, None),
        "return follow('/')",
        "open,x \u{1},error 0,error 2",
    );
    assert_eq!(requests.lines().len(), 1);
}

#[test]
fn attempts_that_bring_nothing_are_followed_by_longer_waits() {
    for (fruitless, chance, milliseconds) in [
        (0, 1.0, 100),
        (1, 1.0, 100),
        (2, 1.0, 1_100),
        (2, 0.0, 600),
        (3, 1.0, 2_100),
        (7, 1.0, 32_100),
        (8, 1.0, 60_100),
        (8, 0.5, 45_100),
        (u32::MAX, 1.0, 60_100),
    ] {
        let mut progress = Progress {
            last_event_id: Arc::default(),
            reconnection_time: Duration::from_millis(100),
            fruitless,
        };
        let expected = Duration::from_millis(milliseconds);
        progress.was_open(Duration::from_millis(9_999));
        assert_eq!(progress.delay(chance), expected, "{fruitless} {chance}");
        // A server that has nothing to say for some time, and is then cut off by a proxy, say.
        progress.was_open(Duration::from_secs(10));
        assert_eq!(progress.delay(chance), Duration::from_millis(100));
    }
}

#[test]
fn redirects_are_followed_each_time_from_the_first_url() {
    let shared = STREAM.replace("\r\n\r\n", "\r\nAccess-Control-Allow-Origin: *\r\n\r\n");
    let (other, _) = answers(move |number, _| {
        let end = if number == 0 { "" } else { "data: end\n\n" };
        format!("{shared}retry: 1\ndata: origin\n\n{end}")
    });
    let there = other.clone();
    let (server, requests) = answers(move |_, _| {
        format!("HTTP/1.1 307 See\r\nLocation: {there}/x\r\nContent-Length: 0\r\n\r\n")
    });
    let expected = format!("open,origin,{other},error 0,open,origin,{other},end");
    expect(
        &mut with_follow(&server, None),
        "return follow('/')",
        &expected,
    );
    assert_eq!(requests.lines(), ["GET / HTTP/1.1"; 2]);
}

#[test]
fn another_origin_must_share_its_stream() {
    let origin = "http://a.example";
    for (headers, with_credentials, shares) in [
        ("", false, false),
        ("Access-Control-Allow-Origin: *", false, true),
        ("Access-Control-Allow-Origin: *", true, false),
        (
            "Access-Control-Allow-Origin: http://b.example",
            false,
            false,
        ),
        ("Access-Control-Allow-Origin: http://a.example", true, false),
        (
            "Access-Control-Allow-Origin: http://a.example\r\nAccess-Control-Allow-Credentials: true",
            true,
            true,
        ),
    ] {
        let head = STREAM.replace("\r\n\r\n", &format!("\r\n{headers}\r\n\r\n"));
        let head = if headers.is_empty() {
            STREAM.to_owned()
        } else {
            head
        };
        let (server, requests) = answers(move |number, _| {
            let end = if number == 0 { "" } else { "data: end\n\n" };
            format!("{head}retry: 1\nid: 1\ndata: x\n\n{end}")
        });
        let script = format!("return follow(server, {{ withCredentials: {with_credentials} }})");
        let (expected, count) = if shares {
            ("open,x 1,error 0,open,x 1,end 1", 2)
        } else {
            ("error 2", 1)
        };
        expect(&mut with_follow(&server, Some(origin)), &script, expected);
        // Nobody is asked before whether the id may be sent.
        assert_eq!(requests.lines(), vec!["GET / HTTP/1.1"; count], "{headers}");
        assert_eq!(requests.headers("Origin"), vec![origin; count], "{headers}");
    }
}

#[test]
fn an_event_may_come_in_pieces() {
    let go = Arc::new(Mutex::new(None::<TcpStream>));
    let server = serve(move |request, mut stream| {
        if request.starts_with("GET /go") {
            let rest = b"\x82\xAC\r\n\r\ndata: end\r\n\r";
            let held = go.lock().unwrap().take();
            held.unwrap().write_all(rest).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        } else {
            // Held, so that it is there when the event has been heard of.
            let mut held = go.lock().unwrap();
            let first = format!("{STREAM}data: 1\r\n\r\nevent: x\r\nid: 5\r\nda");
            stream.write_all(first.as_bytes()).unwrap();
            stream.write_all(b"ta: \xE2").unwrap();
            *held = Some(stream);
        }
    });
    expect(
        &mut with_follow(&server, None),
        "const source = new EventSource('/'), log = [];
         source.addEventListener('x', e => log.push(e.type, e.data, e.lastEventId));
         return new Promise(resolve => source.onmessage = ({ data }) => {
             log.push(data);
             if (data === '1') text('/go'); else { source.close(); resolve(log.join()) }
         })",
        "1,x,\u{20ac},5,end",
    );
}

#[test]
fn an_event_that_is_too_long_fails_the_connection() {
    // The tests' limit is 1 MiB.
    let (server, requests) = answers(|_, _| {
        let long = "x".repeat(600_000);
        format!("{STREAM}:{long}{long}\ndata: 1\n\ndata:{long}\ndata:{long}\n\n")
    });
    let mut agent = with_follow(&server, None);
    expect(&mut agent, "return follow('/')", "open,1,error 2");
    assert_eq!(requests.lines().len(), 1);
}

#[test]
fn a_flood_of_events_does_not_hold_up_timers() {
    let (server, _) = answers(|_, _| format!("{STREAM}{}data: end\n\n", "data\n\n".repeat(5000)));
    expect(
        &mut with_follow(&server, None),
        "const source = new EventSource('/'); let count = 0, then;
         return new Promise(resolve => source.onmessage = ({ data }) => {
             if (count++ === 0) setTimeout(() => then = count);
             if (data === 'end') { source.close(); resolve([count, then < 1000].join()) }
         })",
        "5001,true",
    );
}

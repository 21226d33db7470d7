//! When the connection of a response is closed, and what keeps the loop running meanwhile.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use boa_engine::{JsValue, NativeFunction, Source, js_string};

use crate::{
    abort::{AbortSignal, gathered},
    binding::This,
    testing::{
        Agent, collect,
        http::{agent, serve},
    },
};

/// A server whose bodies stall after one byte: `/go` sends a second one and ends those that are open, `/open` answers with
/// their number. That of `/empty` stalls without a byte, and ends without one.
fn stalling() -> String {
    let open = Arc::new(Mutex::new(Vec::<(TcpStream, &str)>::new()));
    serve(move |request, mut stream| {
        let answer = |stream: &mut TcpStream, body: &str| {
            let head = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n\r\n";
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        };
        match request.split(' ').nth(1) {
            Some("/open") => answer(&mut stream, &open.lock().unwrap().len().to_string()),
            Some("/go") => {
                for (mut stream, rest) in open.lock().unwrap().drain(..) {
                    let _ = stream.write_all(rest.as_bytes());
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                }
                answer(&mut stream, "gone");
            }
            path => {
                let (first, rest) = if path == Some("/empty") {
                    ("", "")
                } else {
                    ("1", "2")
                };
                let peer = stream.peer_addr().unwrap();
                open.lock()
                    .unwrap()
                    .push((stream.try_clone().unwrap(), rest));
                answer(&mut stream, first);
                // Until the client closes the connection.
                while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
                let is_other = |other: &TcpStream| other.peer_addr().is_ok_and(|it| it != peer);
                open.lock().unwrap().retain(|(stream, _)| is_other(stream));
            }
        }
    })
}

/// An agent of an origin, whose scripts have `gc()` and `closed()`, which waits until the server has no open body.
fn with_collector(server: &str, origin: Option<&str>) -> Agent {
    let mut agent = agent(server, origin);
    let gc = NativeFunction::from_fn_ptr(|_, _, context| {
        collect(context);
        Ok(JsValue::undefined())
    });
    agent
        .context
        .register_global_callable(js_string!("gc"), 0, gc)
        .unwrap();
    agent
        .eval(
            "globalThis.text = async (path, init) => (await fetch(path, init)).text();
             globalThis.closed = async () => { do gc(); while (await text('/open') !== '0'); return 'closed' }",
        )
        .unwrap();
    agent
}

fn run(agent: &mut Agent, script: &str) -> String {
    agent
        .eval(&format!("(async () => {{ {script} }})()"))
        .unwrap()
}

#[test]
fn a_body_that_nobody_can_reach_closes_its_connection() {
    let mut agent = with_collector(&stalling(), None);
    for script in [
        "for (let i = 0; i < 3; i++) await fetch('/'); return closed()",
        // Though the signal lives.
        "globalThis.c ??= new AbortController(); await fetch('/', { signal: c.signal }); return closed()",
        // It was read from.
        "const reader = (await fetch('/')).body.getReader(); await reader.read(); return closed()",
        // It was waited for, but nobody waits any more.
        "{ const reader = (await fetch('/')).body.getReader(); await reader.read();
           reader.read().catch(() => {}); reader.releaseLock() } return closed()",
        "{ const reader = (await fetch('/')).body.getReader(); reader.closed.catch(() => {}); reader.releaseLock() }
         return closed()",
    ] {
        assert_eq!(run(&mut agent, script), "closed", "{script}");
    }
}

/// Nor does the loop run on for it: this test would not end.
#[test]
fn a_body_that_nobody_waits_for_does_not_keep_the_loop_running() {
    let mut agent = with_collector(&stalling(), None);
    run(&mut agent, "globalThis.response = await fetch('/')");
    // What was not read can be read in a later run.
    let read = "const reader = response.body.getReader(); const { value } = await reader.read(); return value[0]";
    assert_eq!(run(&mut agent, read), "49");
    run(&mut agent, "response = undefined");
    assert_eq!(run(&mut agent, "return closed()"), "closed");
}

/// Not only when it is collected: between two runs, no job has the connection.
#[test]
fn aborting_closes_the_connection_at_once() {
    let mut agent = with_collector(&stalling(), None);
    for end in ["c.abort()", "response.body.cancel()"] {
        let begin = "globalThis.c = new AbortController();
            globalThis.response = await fetch('/', { signal: c.signal })";
        run(&mut agent, begin);
        let script = format!("{end}; while (await text('/open') !== '0'); return 'closed'");
        assert_eq!(run(&mut agent, &script), "closed", "{end}");
    }
}

#[test]
fn a_body_that_somebody_waits_for_is_kept() {
    let mut agent = with_collector(&stalling(), None);
    for wait in [
        "(await fetch('/')).text()",
        "(await fetch('/')).clone().text()",
        "(await fetch('/empty')).body.getReader().closed.then(() => '12')",
        "(async () => { const reader = (await fetch('/')).body.getReader(); await reader.read();
           const { value } = await reader.read(); return '1' + String.fromCharCode(value[0]) })()",
        "(async () => { const reader = (await fetch('/')).body.getReader({ mode: 'byob' });
           const { value } = await reader.read(new Uint8Array(2), { min: 2 }); return String.fromCharCode(...value) })()",
    ] {
        let script = format!(
            "const waiting = (async () => {{ return {wait} }})();
             while (await text('/open') === '0'); for (let i = 0; i < 9; i++) {{ gc(); await text('/open') }}
             await text('/go'); return waiting"
        );
        assert_eq!(run(&mut agent, &script), "12", "{wait}");
    }
}

#[test]
fn an_opaque_response_has_no_connection() {
    let mut agent = with_collector(&stalling(), Some("http://a.example/"));
    let script = "globalThis.c = new AbortController();
        globalThis.kept = await fetch('/', { mode: 'no-cors', signal: c.signal });
        while (await text('/open') !== '0'); return kept.type";
    assert_eq!(run(&mut agent, script), "opaque");
}

#[test]
fn a_signal_that_lives_long_does_not_gather_what_was_made_with_it() {
    let server = stalling();
    for script in [
        "for (let i = 0; i < 2000; i++) await fetch('data:,x', { signal: c.signal })",
        "for (let i = 0; i < 2000; i++) await (await fetch('data:,x', { signal: c.signal })).text()",
        "for (let i = 0; i < 2000; i++) {
             const signal = AbortSignal.any([c.signal]);
             await new ReadableStream({ start(c) { c.close() } }).pipeTo(new WritableStream, { signal });
             if (i % 100 === 0) gc() }",
    ] {
        let mut agent = with_collector(&server, None);
        run(&mut agent, &format!("globalThis.c = new AbortController(); {script}"));
        let signal = agent.context.eval(Source::from_bytes("c.signal")).unwrap();
        let left = gathered(&This::<AbortSignal>::from_value(&signal).unwrap());
        // What has not been collected yet.
        assert!(left < 1000, "{left} after {script}");
    }
}

#[test]
fn a_body_without_a_connection_can_be_aborted_until_it_has_been_read() {
    let mut agent = with_collector(&stalling(), None);
    let abort = "const c = new AbortController(); const r = await fetch('data:,x', { signal: c.signal }); gc(); c.abort();
        return rejection(r.text())";
    assert_eq!(run(&mut agent, abort), "AbortError 20");
}

#[test]
fn six_bodies_of_an_origin_come_at_once_and_the_rest_wait() {
    let mut agent = with_collector(&stalling(), None);
    let script = format!(
        "globalThis.six = await Promise.all(Array(6).keys().map(() => fetch('/')));
         const controller = new AbortController();
         const aborted = rejection(fetch('/', {{ signal: controller.signal }}));
         let answered = false; const last = text('/open').finally(() => answered = true);
         const log = [await text('{}/open')];
         controller.abort(); log.push(await aborted, answered);
         await six[0].body.cancel(); log.push((await last) <= 6); return log.join()",
        stalling()
    );
    assert_eq!(run(&mut agent, &script), "0,AbortError 20,false,true");
}

#[test]
fn a_fetch_that_waits_gets_the_place_of_a_body_that_nobody_can_reach() {
    let mut agent = with_collector(&stalling(), None);
    let script = "for (let i = 0; i < 8; i++) await fetch('/'); return 'done'";
    assert_eq!(run(&mut agent, script), "done");
}

#[test]
fn requests_with_keepalive_have_64_kib_together() {
    let mut agent = with_collector(&stalling(), None);
    let script = "const send = size => fetch('/', { method: 'POST', keepalive: true, body: new Uint8Array(size) });
        const log = [await rejection(send(65537))]; const first = await send(40000);
        log.push(await rejection(send(25537)), (await send(25536)).status);
        await text('/go'); await first.text(); log.push((await send(40000)).status); return log.join()";
    assert_eq!(run(&mut agent, script), "TypeError,TypeError,200,200");
}

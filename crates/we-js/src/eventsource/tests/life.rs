//! How long a source and its connection live, and the event loop for their sake.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use boa_engine::{JsValue, NativeFunction, js_string};

use super::{DEADLINE, STREAM, answers, eval, expect, with_follow};
use crate::testing::{Agent, collect, http::serve};

/// A server whose streams stay open. It tells of each that the client has closed, and answers `/open` with the number of the
/// others.
fn open_streams(body: &'static str) -> (String, mpsc::Receiver<()>) {
    let (closed, when_closed) = mpsc::channel();
    let open = AtomicUsize::new(0);
    let server = serve(move |request, mut stream: TcpStream| {
        if request.starts_with("GET /open ") {
            let open = open.load(Ordering::SeqCst);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{open}").as_bytes());
            return;
        }
        open.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(format!("{STREAM}{body}").as_bytes());
        while stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        open.fetch_sub(1, Ordering::SeqCst);
        let _ = closed.send(());
    });
    (server, when_closed)
}

/// That the loop goes on until the event has come is what keeps this test from failing; that it ends then, too.
#[test]
fn an_open_source_keeps_the_loop_running_until_a_listener_closes_it() {
    let (server, closed) = open_streams("data: 1\n\ndata: 2\n\ndata: 3\n\n");
    let mut agent = with_follow(&server, None);
    let script = "globalThis.log = []; globalThis.source = new EventSource('/');
        source.onerror = () => log.push('error');
        source.addEventListener('message', e => { log.push(e.data, source.readyState); if (e.data === '2') source.close() });
        source.addEventListener('message', e => log.push(`${e.data} ${source.readyState} ${e.isTrusted} ${e.bubbles}`)); 0";
    eval(&mut agent, script).unwrap();
    let log = agent.eval("[...log, source.readyState].join()");
    assert_eq!(
        log.as_deref(),
        Ok("1,1,1 1 true false,2,1,2 2 true false,2")
    );
    closed.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn a_source_that_waits_keeps_the_loop_running_until_it_is_closed() {
    let (server, requests) = answers(|_, _| format!("{STREAM}retry: 1000000\n\n"));
    let script = "const source = new EventSource('/');
        return new Promise(resolve => source.onerror = () => {
            const state = source.readyState; setTimeout(() => { source.close(); resolve(state) }) })";
    expect(&mut with_follow(&server, None), script, "0");
    assert_eq!(requests.lines().len(), 1);
}

#[test]
fn a_source_that_is_closed_before_its_answer_is_never_told() {
    let (server, _closed) = open_streams("data: 1\n\n");
    let mut agent = with_follow(&server, None);
    let script = "globalThis.log = []; globalThis.source = new EventSource('/');
        source.onopen = source.onmessage = source.onerror = e => log.push(e.type);
        setTimeout(() => source.close()); 0";
    eval(&mut agent, script).unwrap();
    assert_eq!(
        agent.eval("[...log, source.readyState].join()").as_deref(),
        Ok("2")
    );
}

#[test]
fn a_source_without_listeners_that_nobody_can_reach_is_closed() {
    let (server, _closed) = open_streams("data: 1\n\n");
    let mut agent = with_follow(&server, None);
    let gc = NativeFunction::from_fn_ptr(|_, _, context| {
        collect(context);
        Ok(JsValue::undefined())
    });
    agent
        .context
        .register_global_callable(js_string!("gc"), 0, gc)
        .unwrap();
    for source in [
        "new EventSource('/')",
        "new EventSource('/'); held.addEventListener('open', () => {}, { once: true })",
        "new EventSource('/'); held.onmessage = e => { e.target.onmessage = null }",
    ] {
        // The loop would not end either if it were kept.
        let script = format!(
            "globalThis.held = {source}; while (await text('/open') !== '1');
             held = undefined; do {{ gc() }} while (await text('/open') !== '0'); return 'closed'"
        );
        expect(&mut agent, &script, "closed");
    }
    // Whoever listens is told, though nobody has it.
    expect(
        &mut agent,
        "const heard = new Promise(resolve => new EventSource('/').addEventListener('message', e => { e.target.close(); resolve(e.data) }));
         gc(); await text('/open'); gc(); return heard",
        "1",
    );
}

/// The first message of a worker, which is terminated then.
fn first_message(worker: &str) -> String {
    let script = format!(
        "const w = new Worker('data:text/javascript,' + encodeURIComponent(`{worker}`));
         new Promise(resolve => w.onmessage = e => {{ w.terminate(); resolve(e.data) }})"
    );
    eval(&mut Agent::new(), &script).unwrap()
}

#[test]
fn workers_have_sources_and_take_them_along() {
    let (server, closed) = open_streams("data: 1\n\n");
    let message = first_message(&format!(
        "const source = new EventSource('{server}');
         source.onmessage = e => postMessage(e.data + e.origin)"
    ));
    assert_eq!(message, format!("1{server}"));
    closed.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn a_worker_that_closes_itself_connects_no_more() {
    let (server, requests) = answers(|_, _| STREAM.to_owned());
    let message = first_message(&format!(
        "close(); postMessage(new EventSource('{server}').readyState)"
    ));
    assert_eq!(message, "0");
    assert!(requests.lines().is_empty());
}

//! Broadcast channels.

use std::{sync::mpsc, thread};

use boa_engine::{Context, Source};

use super::cases;
use crate::{
    event_loop::{LoopState, Options, TaskSource},
    testing::Agent,
};

/// An agent with an origin of its own, so that it does not hear the other tests.
fn agent(origin: &str) -> Agent {
    Agent::with_options(Options {
        base_url: origin.parse().ok(),
        ..Options::default()
    })
}

#[test]
fn a_broadcast_reaches_all_others_of_its_name_in_the_order_of_their_creation() {
    cases(&[
        (
            "const name = 'order ' + performance.timeOrigin;
             const [a, b, c, other] = [name, name, name, 'other'].map((name, i) => { const c = new BroadcastChannel(name); c.onmessage = e => { log.push(`${i}:${e.data}`); if (e.data === 2 && i === 2) for (const c of [a, b, c_, other]) c.close() }; return c });
             const c_ = c; a.postMessage(1); b.postMessage(2)",
            "1:1,2:1,0:2,2:2",
        ),
        (
            "const name = 'event ' + performance.timeOrigin; const a = new BroadcastChannel(name), b = new BroadcastChannel(name);
             b.onmessage = e => { log.push(e.constructor.name, e.data.x.length, e.origin, e.source, e.ports.length, e.target === b, e.isTrusted, a.name === name); b.close() };
             a.postMessage({ x: [1, 2] })",
            "MessageEvent,2,null,,0,true,true,true",
        ),
        // One that is closed in the meantime hears nothing.
        (
            "const a = new BroadcastChannel('closed'), b = new BroadcastChannel('closed'); b.onmessage = () => log.push('heard');
             a.postMessage(1); b.close(); b.close(); error(() => b.postMessage(() => {})) + error(() => a.postMessage(() => {}))",
            "InvalidStateError 11DataCloneError 25",
        ),
        (
            "error(() => new BroadcastChannel()) + error(() => BroadcastChannel('x')) + error(() => new BroadcastChannel('x').postMessage()) + new BroadcastChannel(null).name",
            "TypeErrorTypeErrorTypeErrornull",
        ),
    ]);
}

#[test]
fn agents_hear_one_another_by_origin() {
    let (ready, is_ready) = mpsc::channel();
    let listener = |url: &'static str| {
        let ready = ready.clone();
        thread::spawn(move || {
            let mut agent = agent(url);
            agent
                .context
                .eval(Source::from_bytes(
                    "var log = []; var c = new BroadcastChannel('agents'); c.onmessage = e => { log.push(e.data.buffer ? new Uint8Array(e.data.buffer).join('-') : e.data, e.origin); if (e.data === 'end') c.close() }",
                ))
                .unwrap();
            ready.send(()).unwrap();
            agent.eval("0").unwrap();
            agent.eval("log.join()").unwrap()
        })
    };
    let mut sender = agent("https://hear.example/c");
    let listeners = [
        listener("https://hear.example/a"),
        listener("https://hear.example/b"),
    ];
    is_ready.recv().unwrap();
    is_ready.recv().unwrap();
    sender
        .eval("const c = new BroadcastChannel('agents'); c.postMessage({ buffer: new Uint8Array([1, 2]).buffer }); c.postMessage('end'); 0")
        .unwrap();
    for listener in listeners {
        let heard = listener.join().unwrap();
        assert_eq!(heard, "1-2,https://hear.example,end,https://hear.example");
    }
    // Another origin, another channel: with nobody else to hear, it does not wait.
    let mut stranger = agent("https://other.example/");
    stranger
        .eval("const c = new BroadcastChannel('agents'); c.onmessage = () => {}; 0")
        .unwrap();
}

#[test]
fn a_listener_waits_until_the_last_other_agent_has_ended() {
    let first = agent("https://wait.example/");
    let (ready, is_ready) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let mut agent = agent("https://wait.example/");
        // When the loop has come to its first turn: it waits next.
        let first_turn = move |_: &mut Context| ready.send(()).unwrap();
        LoopState::of(&agent.context)
            .unwrap()
            .queue_task(TaskSource::Embedder, first_turn);
        agent
            .eval("new BroadcastChannel('x').onmessage = () => {}; 0")
            .unwrap()
    });
    is_ready.recv().unwrap();
    drop(first);
    assert_eq!(waiting.join().unwrap(), "0");
}

#[test]
fn a_channel_without_listeners_is_collected() {
    let mut agent = agent("https://collect.example/");
    agent
        .eval("for (let i = 0; i < 100; i++) { const c = new BroadcastChannel('x'); if (i % 2) { c.onmessage = () => {}; if (i % 4 === 1) c.close(); else c.onmessage = null } } 0")
        .unwrap();
    for _ in 0..2 {
        agent.context.clear_kept_objects();
        boa_gc::force_collect();
        // The loop looks whose listeners were removed.
        agent.eval("0").unwrap();
    }
    assert_eq!(LoopState::of(&agent.context).unwrap().broadcasts().len(), 0);
}

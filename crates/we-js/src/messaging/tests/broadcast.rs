//! Broadcast channels.

use boa_engine::Source;

use super::{
    cases,
    program::{Program, options},
};
use crate::{event_loop::LoopState, testing::Agent};

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
    let listen = "const c = new BroadcastChannel('agents');
        c.onmessage = e => log.push(e.data.buffer ? new Uint8Array(e.data.buffer).join('-') : e.data, e.origin)";
    let send =
        "const c = new BroadcastChannel('agents'); c.onmessage = () => log.push('own message');
        c.postMessage({ buffer: new Uint8Array([1, 2]).buffer })";
    for (base, origin) in [
        (Some("https://hear.example/a"), "https://hear.example"),
        // A program without an origin hears itself.
        (None, "null"),
    ] {
        let mut program = Program::with_base(base);
        for _ in 0..2 {
            let end = program.channel("port");
            program.start(end, listen);
        }
        // All are there and listen.
        program.run("0");
        assert_eq!(program.run(send), format!("1-2,{origin},1-2,{origin}"));
        // Other programs hear it if they are of the same origin, in the next run of their loops.
        let mut other = Agent::with(options(base));
        other
            .context
            .eval(Source::from_bytes(&format!("var log = []; {listen}")))
            .unwrap();
        program.run("c.postMessage('all')");
        other.eval("0").unwrap();
        let heard = if base.is_some() {
            "all,https://hear.example"
        } else {
            ""
        };
        assert_eq!(other.eval("log.join()").as_deref(), Ok(heard));
        program.end_agents();
    }
}

#[test]
fn another_origin_hears_nothing() {
    let mut other = Agent::with(options(Some("https://one.example/")));
    let listen =
        "var heard = 0; const c = new BroadcastChannel('x'); c.onmessage = () => heard++; 0";
    other.eval(listen).unwrap();
    let mut sender = Agent::with(options(Some("https://two.example/")));
    sender
        .eval("new BroadcastChannel('x').postMessage(1); 0")
        .unwrap();
    assert_eq!(other.eval("heard").as_deref(), Ok("0"));
}

#[test]
fn a_channel_without_listeners_is_collected() {
    let mut agent = Agent::new();
    agent
        .eval("for (let i = 0; i < 100; i++) { const c = new BroadcastChannel('x'); if (i % 2) { c.onmessage = () => {}; if (i % 4 === 1) c.close(); else c.onmessage = null } } 0")
        .unwrap();
    for _ in 0..2 {
        agent.context.clear_kept_objects();
        boa_gc::force_collect();
    }
    assert_eq!(LoopState::of(&agent.context).unwrap().broadcasts().len(), 0);
}

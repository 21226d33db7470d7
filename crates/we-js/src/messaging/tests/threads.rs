//! Ports between agents, each on a thread of its own.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use boa_engine::{Source, js_string, property::Attribute};

use crate::{
    binding::This,
    dom::EventTarget,
    messaging::{Behavior, ImplicitPort, MessagePort, PortEnd},
    structured_clone::serialize,
    testing::Agent,
};

/// An agent on a thread of its own that has one end of a channel in `port`: runs a script until the loop ends, and
/// returns the string of `log`.
fn spawn(end: PortEnd, script: &'static str) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut agent = with_port(end);
        agent.eval(script).unwrap();
        agent.eval("log.join()").unwrap()
    })
}

fn with_port(end: PortEnd) -> Agent {
    let mut agent = Agent::new();
    let port = MessagePort::create(end, &mut agent.context).unwrap();
    let port = port.object().clone();
    agent
        .context
        .register_global_property(js_string!("port"), port, Attribute::all())
        .unwrap();
    // Not in a run of the loop: nothing is to be delivered before the script listens.
    let log = Source::from_bytes("var log = []");
    agent.context.eval(log).unwrap();
    agent
}

#[test]
fn two_agents_talk_until_one_closes() {
    let (first, second) = PortEnd::pair();
    let server = spawn(
        second,
        "port.onmessage = e => port.postMessage(e.data + 1); port.onclose = () => log.push('closed'); 0",
    );
    let client = spawn(
        first,
        "port.onmessage = e => { if (e.data < 1000) port.postMessage(e.data); else { log.push(e.data); port.close() } }; port.postMessage(0); 0",
    );
    assert_eq!(client.join().unwrap(), "1000");
    assert_eq!(server.join().unwrap(), "closed");
}

#[test]
fn a_port_keeps_its_messages_in_order_through_a_chain_of_agents() {
    let (to_relay, relay_in) = PortEnd::pair();
    let (relay_out, to_last) = PortEnd::pair();
    // The relay passes on what it is sent, ports and all, and is told of the next agent by a port in a message.
    let last = spawn(
        to_last,
        "port.onmessage = ({ ports: [stream] }) => {
             stream.onmessage = e => { log.push(e.data); if (e.data === 'end') { stream.close(); port.close() } };
         }; 0",
    );
    let relay = spawn(
        relay_in,
        "let queue = [], next;
         port.onmessage = ({ data, ports }) => {
             if (data === 'next') { next = ports[0]; return }
             next.postMessage(data, ports);
             port.close();
         }; 0",
    );
    let first = thread::spawn(move || {
        let mut agent = with_port(to_relay);
        let next = MessagePort::create(relay_out, &mut agent.context).unwrap();
        let next = next.object().clone();
        agent
            .context
            .register_global_property(js_string!("next"), next, Attribute::all())
            .unwrap();
        agent
            .eval(
                "port.postMessage('next', [next]);
                 const { port1, port2 } = new MessageChannel();
                 port2.postMessage(0);
                 port.postMessage('stream', [port1]);
                 let i = 1;
                 const send = () => { port2.postMessage(i++); if (i < 50) setTimeout(send); else port2.postMessage('end') };
                 send();
                 port2.onmessage = () => {}; port2.onclose = () => log.push('closed'); 0",
            )
            .unwrap();
        agent.eval("log.join()").unwrap()
    });
    let expected: Vec<String> = (0..50)
        .map(|i| i.to_string())
        .chain(["end".into()])
        .collect();
    assert_eq!(last.join().unwrap(), expected.join(","));
    assert_eq!(first.join().unwrap(), "closed");
    relay.join().unwrap();
}

#[test]
fn buffers_move_and_shared_ones_are_shared() {
    let (first, second) = PortEnd::pair();
    let other = spawn(
        second,
        "port.onmessage = ({ data: { moved, shared } }) => {
             log.push(moved.byteLength, new Uint8Array(moved)[0]); Atomics.store(new Int32Array(shared), 0, 7); port.postMessage('done'); port.close();
         }; 0",
    );
    let one = spawn(
        first,
        "const moved = new Uint8Array([5, 6]).buffer, shared = new SharedArrayBuffer(8);
         port.postMessage({ moved, shared }, [moved]);
         port.onmessage = () => { log.push(moved.detached, new Int32Array(shared)[0]) }; 0",
    );
    assert_eq!(other.join().unwrap(), "2,5");
    assert_eq!(one.join().unwrap(), "true,7");
}

#[test]
fn the_end_of_an_agent_closes_its_ports() {
    let (first, second) = PortEnd::pair();
    let (ready, is_ready) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let agent = with_port(second);
        ready.send(()).unwrap();
        // Its sender is dropped when it may go.
        let _ = may_leave.recv();
        drop(agent);
    });
    is_ready.recv().unwrap();
    drop(leave);
    let waiting = spawn(
        first,
        "port.onmessage = () => {}; port.onclose = () => log.push('closed'); 0",
    );
    assert_eq!(waiting.join().unwrap(), "closed");
    other.join().unwrap();
}

#[test]
fn a_port_that_its_agent_has_forgotten_is_closed_before_the_agent_waits() {
    let (first, second) = PortEnd::pair();
    let other = spawn(second, "port.onmessage = e => log.push(e.data); 0");
    let one = spawn(
        first,
        "const { port1, port2 } = new MessageChannel(); port.postMessage('take', [port2]);
         port1.onmessage = () => {}; port1.onclose = () => { log.push('forgotten'); port.close() }; 0",
    );
    assert_eq!(one.join().unwrap(), "forgotten");
    assert_eq!(other.join().unwrap(), "take");
}

#[test]
fn a_port_waits_only_while_it_has_a_listener() {
    let (first, _second) = PortEnd::pair();
    let script = "const f = () => {}; port.addEventListener('message', f); port.start(); port.removeEventListener('message', f); port.onmessage = f; port.onmessage = null; log.push('ended'); 0";
    assert_eq!(spawn(first, script).join().unwrap(), "ended");
}

#[test]
fn a_message_that_cannot_be_made_anew_is_a_messageerror() {
    let (first, second) = PortEnd::pair();
    // The second agent's buffers are limited to 1 MiB.
    let small = spawn(
        second,
        "port.onmessage = e => log.push(e.data); port.onmessageerror = e => log.push(e.constructor.name, e.data); 0",
    );
    thread::spawn(move || {
        let mut agent = Agent::with_options(crate::Options::default());
        let port = MessagePort::create(first, &mut agent.context).unwrap();
        let port = port.object().clone();
        agent
            .context
            .register_global_property(js_string!("port"), port, Attribute::all())
            .unwrap();
        agent
            .eval("port.postMessage(new ArrayBuffer(2 << 20)); port.postMessage('next'); port.close(); 0")
            .unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(small.join().unwrap(), "MessageEvent,,next");
}

/// An agent whose global object has an implicit port, as a dedicated worker's has.
fn worker(end: PortEnd, script: &'static str) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut agent = Agent::new();
        agent
            .eval("var log = []; var target = new EventTarget(); 0")
            .unwrap();
        let target = agent.context.eval(Source::from_bytes("target")).unwrap();
        let target = This::<EventTarget>::from_value(&target).unwrap();
        let behavior = Behavior {
            keeps_loop_alive: true,
            closed: |target, context| {
                crate::dom::dispatch::fire(target, js_string!("gone"), context).map(drop)
            },
        };
        let port = ImplicitPort::adopt(end, &target, behavior, &agent.context).unwrap();
        agent.context.eval(Source::from_bytes(script)).unwrap();
        port.start();
        let args = [js_string!("hello").into()];
        port.sender()
            .post_message(&args, &mut agent.context)
            .unwrap();
        agent.eval("0").unwrap();
        port.close();
        agent.eval("log.join()").unwrap()
    })
}

#[test]
fn an_implicit_port_delivers_to_another_target() {
    let (outside, inside) = PortEnd::pair();
    let mut agent = Agent::new();
    for text in ["'one'", "'two'"] {
        let value = agent.context.eval(Source::from_bytes(text)).unwrap();
        outside.post(serialize(&value, &[], &mut agent.context).unwrap());
    }
    let worker = worker(
        inside,
        "target.addEventListener('message', e => log.push(e.data, e.target === target)); target.addEventListener('gone', () => log.push('gone'))",
    );
    let owner = spawn(
        outside,
        "port.onmessage = e => { log.push(e.data); port.close() }; 0",
    );
    assert_eq!(owner.join().unwrap(), "hello");
    assert_eq!(worker.join().unwrap(), "one,true,two,true,gone");
}

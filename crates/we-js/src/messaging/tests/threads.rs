//! Ports between agents, each on a thread of its own.

use std::thread::{self, JoinHandle};

use boa_engine::{Source, js_string};

use super::program::{Program, give};
use crate::{
    EventLoop, Options,
    binding::This,
    dom::{EventTarget, dispatch},
    messaging::{Behavior, ImplicitPort, PortEnd, post_message},
    structured_clone::serialize,
    testing::Agent,
};

#[test]
fn two_agents_talk_until_one_closes() {
    let mut program = Program::new();
    let end = program.channel("port");
    program.start(
        end,
        "port.onmessage = e => port.postMessage(e.data + 1); port.onclose = () => log.push('closed')",
    );
    let log = program.run(
        "port.onmessage = e => { if (e.data < 1000) port.postMessage(e.data); else { log.push(e.data); port.close() } };
         port.postMessage(0)",
    );
    assert_eq!(log, "1000,closed");
}

#[test]
fn a_port_keeps_its_messages_in_order_through_a_chain_of_agents() {
    let mut program = Program::new();
    let end = program.channel("relay");
    // Passes on what it is sent, ports and all, to the port that it is sent first.
    program.start(
        end,
        "let next; port.onmessage = ({ data, ports }) => { if (next) next.postMessage(data, ports); else [next] = ports }",
    );
    let end = program.channel("last");
    program.start(
        end,
        "port.onmessage = ({ ports: [stream] }) => {
             stream.onmessage = e => { log.push(e.data); if (e.data === 'end') stream.close() };
         }",
    );
    let log = program.run(
        "relay.postMessage('next', [last]);
         const { port1, port2 } = new MessageChannel();
         port2.postMessage(0);
         relay.postMessage('stream', [port1]);
         let i = 1;
         const send = () => { port2.postMessage(i++); if (i < 50) setTimeout(send); else port2.postMessage('end') };
         send();
         port2.onclose = () => log.push('closed')",
    );
    let numbers = (0..50).map(|number| number.to_string());
    let expected: Vec<String> = numbers.chain(["end".into(), "closed".into()]).collect();
    // The last message and the closing come by two ways.
    let mut log: Vec<&str> = log.split(',').collect();
    if log.last() == Some(&"end") {
        let length = log.len();
        log.swap(length - 1, length - 2);
    }
    assert_eq!(log, expected);
}

#[test]
fn buffers_move_and_shared_ones_are_shared() {
    let mut program = Program::new();
    let end = program.channel("port");
    program.start(
        end,
        "port.onmessage = ({ data: { moved, shared } }) => {
             Atomics.store(new Int32Array(shared), 0, moved.byteLength + new Uint8Array(moved)[0]); port.postMessage('done');
         }",
    );
    let log = program.run(
        "const moved = new Uint8Array([5, 6]).buffer, shared = new SharedArrayBuffer(8);
         port.postMessage({ moved, shared }, [moved]);
         port.onmessage = () => log.push(moved.detached, new Int32Array(shared)[0])",
    );
    assert_eq!(log, "true,7");
}

#[test]
fn the_end_of_an_agent_closes_its_ports() {
    let mut program = Program::new();
    let end = program.channel("port");
    program.start(end, "port.onmessage = () => {}");
    // (The other agent's `port` is a root there: it is not the collector that closes it.)
    assert_eq!(program.run("port.onclose = () => log.push('closed')"), "");
    program.end_agents();
    assert_eq!(program.run("0"), "closed");
}

#[test]
fn a_port_on_its_way_to_an_agent_that_ends_is_closed() {
    let mut program = Program::new();
    let end = program.channel("port");
    program.start(end, "0");
    // The other agent has nothing to listen for, and ends by itself, before or after it has been sent this.
    program.run(
        "const { port1, port2 } = new MessageChannel(); port1.onclose = () => log.push('closed'); port.postMessage(0, [port2])",
    );
    program.end_agents();
    assert_eq!(program.run("0"), "closed");
}

#[test]
fn a_message_that_cannot_be_made_anew_is_a_messageerror() {
    let (here, there) = PortEnd::pair();
    let mut agent = Agent::new();
    give("port", there, &mut agent);
    // An agent that may make larger buffers than the other.
    let event_loop = EventLoop::new(Options::default()).unwrap();
    let mut sender = event_loop.context_builder().build().unwrap();
    event_loop.install(&mut sender).unwrap();
    for text in ["new ArrayBuffer(2 << 20)", "'next'"] {
        let value = sender.eval(Source::from_bytes(text)).unwrap();
        here.side()
            .post(serialize(&value, &[], &mut sender).unwrap());
    }
    let listen = "var log = []; port.onmessage = port.onmessageerror = e => log.push(e.type, e.constructor.name, e.data); 0";
    agent.eval(listen).unwrap();
    let expected = "messageerror,MessageEvent,,message,MessageEvent,next";
    assert_eq!(agent.eval("log.join()").as_deref(), Ok(expected));
}

/// An agent with an object that has an implicit port, as the global object of a dedicated worker has.
fn implicit(end: PortEnd, script: &'static str) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut agent = Agent::new();
        agent.context.eval(Source::from_bytes(script)).unwrap();
        let target = agent.context.eval(Source::from_bytes("target")).unwrap();
        let target = This::<EventTarget>::from_value(&target).unwrap();
        let behavior = Behavior {
            closed: |target, context| dispatch::fire(target, js_string!("gone"), context).map(drop),
        };
        let port = ImplicitPort::adopt(end, &target, behavior, &agent.context).unwrap();
        port.start();
        let args = [js_string!("hello").into()];
        post_message(Some(&port.sender()), &args, &mut agent.context).unwrap();
        // Until the other end is closed.
        while agent.eval("log.at(-1)").unwrap() != "gone" {}
        assert_eq!(agent.eval("log.join()").unwrap(), "one,true,two,true,gone");
        port.close();
    })
}

#[test]
fn an_implicit_port_delivers_to_another_target() {
    let (outside, inside) = PortEnd::pair();
    let mut agent = Agent::new();
    for text in ["'one'", "'two'"] {
        let value = agent.context.eval(Source::from_bytes(text)).unwrap();
        outside
            .side()
            .post(serialize(&value, &[], &mut agent.context).unwrap());
    }
    give("port", outside, &mut agent);
    agent
        .context
        .eval(Source::from_bytes(
            "port.onmessage = e => { globalThis.heard = e.data; port.close() }",
        ))
        .unwrap();
    let worker = implicit(
        inside,
        "var log = [], target = new EventTarget();
         target.addEventListener('message', e => log.push(e.data, e.target === target)); target.addEventListener('gone', () => log.push('gone'))",
    );
    while agent.eval("globalThis.heard").unwrap() != "hello" {}
    worker.join().unwrap();
}

//! Channels as a script sees them, and between threads.
#![allow(clippy::unwrap_used)]

mod broadcast;
mod life;
mod program;
mod threads;

use crate::testing::Agent;

/// Runs scripts until nothing is pending, each in a context of its own, and compares what they have put into `log`, or,
/// if that is nothing, their value.
#[track_caller]
fn cases(table: &[(&str, &str)]) {
    for (script, expected) in table {
        let mut agent = Agent::new();
        agent.eval("var log = []").unwrap();
        let value = agent.eval(script).unwrap();
        let log = agent.eval("log.join()").unwrap();
        let outcome = if log.is_empty() { value } else { log };
        assert_eq!(outcome, *expected, "{script}");
    }
}

#[test]
fn messages_arrive_in_order_each_in_its_own_task() {
    cases(&[
        (
            "const { port1, port2 } = new MessageChannel();
             port1.onmessage = e => { log.push(e.data); Promise.resolve().then(() => log.push('micro ' + e.data)); };
             port2.postMessage(1); port2.postMessage(2); log.push('sync');",
            "sync,1,micro 1,2,micro 2",
        ),
        // Not before the port is started; setting onmessage starts it, adding a listener does not.
        (
            "const { port1, port2 } = new MessageChannel();
             port2.postMessage(1); port2.postMessage(2);
             port1.addEventListener('message', e => log.push(e.data));
             setTimeout(() => { log.push('late'); port1.start(); port1.start() }, 5)",
            "late,1,2",
        ),
        // Messages of several ports come in the order in which they were posted.
        (
            "const a = new MessageChannel(), b = new MessageChannel();
             a.port1.onmessage = b.port1.onmessage = e => log.push(e.data);
             a.port2.postMessage(1); b.port2.postMessage(2); a.port2.postMessage(3); b.port2.postMessage(4);",
            "1,2,3,4",
        ),
        (
            "const { port1, port2 } = new MessageChannel();
             const got = new Promise(r => port1.onmessage = r);
             port2.postMessage({ a: [1] });
             got.then(e => [e.constructor.name, e.data.a[0], e.isTrusted, e.origin, e.source, e.lastEventId, e.ports.length, Object.isFrozen(e.ports), e.ports === e.ports, e.bubbles, e.cancelable, e.target === port1].join())",
            "MessageEvent,1,true,,,,0,true,true,false,false,true",
        ),
    ]);
}

#[test]
fn messages_that_never_end_do_not_starve_timers() {
    cases(&[(
        "const { port1, port2 } = new MessageChannel(); let posts = 0;
         port1.onmessage = port2.onmessage = e => { posts++; e.target.postMessage(0) };
         for (let i = 0; i < 300; i++) port1.postMessage(0);
         setTimeout(() => { log.push(posts > 0, posts < 1000000); port1.onmessage = port2.onmessage = null; port1.close() }, 2)",
        "true,true",
    )]);
}

#[test]
fn message_events_carry_ports_and_their_source() {
    cases(&[
        (
            "const { port1, port2 } = new MessageChannel(); const ports = [port1, port2];
             const e = new MessageEvent('x', { data: 1, ports, source: port1, origin: 'a\\ud800' }); ports.length = 0;
             [e.ports.length, e.ports[1] === port2, e.ports === e.ports, Object.isFrozen(e.ports), e.source === port1, e.origin].join()",
            "2,true,true,true,true,a\u{fffd}",
        ),
        (
            "const { port1 } = new MessageChannel(); const e = new MessageEvent('x');
             e.initMessageEvent('y', true, false, 5, '\\udc00', 'id', port1, [port1]);
             [e.type, e.bubbles, e.cancelable, e.data, e.origin, e.lastEventId, e.source === port1, e.ports[0] === port1].join()",
            "y,true,false,5,\u{fffd},id,true,true",
        ),
        (
            "[{ ports: [{}] }, { ports: 1 }, { ports: [null] }, { source: {} }, { source: new EventTarget() }].map(init => error(() => new MessageEvent('x', init))).join()",
            "TypeError,TypeError,TypeError,TypeError,TypeError",
        ),
    ]);
}

#[test]
fn ports_are_transferred_with_what_they_were_sent() {
    cases(&[
        (
            "const a = new MessageChannel(), b = new MessageChannel();
             b.port2.postMessage('before');
             a.port2.postMessage('take', [b.port1]);
             b.port2.postMessage('in flight');
             a.port1.onmessage = ({ data, ports }) => {
                 log.push(data, ports.length, ports[0] === b.port1, ports[0] instanceof MessagePort);
                 ports[0].onmessage = e => log.push(e.data);
                 b.port2.postMessage('after');
             };",
            "take,1,false,true,before,in flight,after",
        ),
        // A started port is not started any more, and events at the old object come no more.
        (
            "const a = new MessageChannel(), b = new MessageChannel();
             b.port1.onmessage = e => log.push('old ' + e.data);
             b.port2.postMessage(1);
             a.port1.onmessage = ({ ports: [port] }) => { setTimeout(() => { log.push('start'); port.onmessage = e => log.push('new ' + e.data) }, 5) };
             a.port2.postMessage(null, { transfer: [b.port1] });",
            "start,new 1",
        ),
        // The order of the list, not that of the message; duplicates of one port are one.
        (
            "const a = new MessageChannel(), b = new MessageChannel(), buffer = new ArrayBuffer(8);
             const got = new Promise(r => a.port1.onmessage = r);
             a.port2.postMessage({ one: b.port1, two: b.port2, again: b.port1, buffer }, [b.port2, buffer, b.port1]);
             got.then(({ data, ports }) => [ports.length, ports[0] === data.two, ports[1] === data.one, data.again === data.one, data.buffer.byteLength, buffer.detached].join())",
            "2,true,true,true,8,true",
        ),
        (
            "const { port1, port2 } = new MessageChannel(); const copy = structuredClone({ port1 }, { transfer: [port1] }).port1;
             const got = new Promise(r => copy.onmessage = e => r(e.data)); port2.postMessage('x'); got",
            "x",
        ),
        // A transferred port posts nothing and takes nothing.
        (
            "const { port1, port2 } = new MessageChannel(); structuredClone(null, { transfer: [port1] });
             port1.postMessage(1); port1.start(); port1.close(); port1.onmessage = () => {}; 'quiet'",
            "quiet",
        ),
    ]);
}

#[test]
fn what_cannot_be_transferred_throws_and_moves_nothing() {
    cases(&[
        (
            "const { port1 } = new MessageChannel(); error(() => port1.postMessage(null, [port1])) + error(() => port1.postMessage(port1, { transfer: [port1] }))",
            "DataCloneError 25DataCloneError 25",
        ),
        (
            "const { port1 } = new MessageChannel(); error(() => structuredClone(port1)) + error(() => structuredClone(null, { transfer: [port1, port1] })) + error(() => structuredClone(() => {}, { transfer: [port1] })) + error(() => structuredClone(null, { transfer: [port1] }))",
            "DataCloneError 25DataCloneError 25DataCloneError 25nothing thrown",
        ),
        (
            "const { port1, port2 } = new MessageChannel(); port1.close(); structuredClone(null, { transfer: [port2] }); error(() => structuredClone(null, { transfer: [port1] })) + error(() => structuredClone(null, { transfer: [port2] }))",
            "DataCloneError 25DataCloneError 25",
        ),
        // A getter may transfer a port that is in the list.
        (
            "const { port1 } = new MessageChannel(); error(() => structuredClone({ get x() { structuredClone(null, { transfer: [port1] }) } }, { transfer: [port1] }))",
            "DataCloneError 25",
        ),
        (
            "const { port1 } = new MessageChannel(); [error(() => port1.postMessage()), error(() => port1.postMessage(1, 2)), error(() => port1.postMessage(1, [2])), error(() => port1.postMessage(1, { transfer: 1 })), error(() => port1.postMessage(1, null)), error(() => port1.postMessage(1, { [Symbol.iterator]: null, transfer: [] }))].join()",
            "TypeError,TypeError,TypeError,TypeError,nothing thrown,nothing thrown",
        ),
        (
            "error(() => new MessagePort()) + error(() => MessageChannel())",
            "TypeErrorTypeError",
        ),
    ]);
}

#[test]
fn a_message_that_takes_its_target_along_is_lost() {
    cases(&[(
        "const { port1, port2 } = new MessageChannel();
         port2.onmessage = () => log.push('message'); port1.onclose = () => log.push('close');
         port1.postMessage(null, [port2]); port1.postMessage('more');",
        "close",
    )]);
}

#[test]
fn closing_is_told_to_the_other_end_after_the_messages() {
    cases(&[
        (
            "const { port1, port2 } = new MessageChannel();
             port1.onmessage = e => log.push(e.data); port1.onclose = e => log.push(e.type, e.constructor.name, e.target === port1, e.isTrusted);
             port2.onclose = () => log.push('not here');
             port2.postMessage(1); port2.close(); port2.postMessage(2); port2.close();",
            "1,close,Event,true,true",
        ),
        // What was sent to a port before it was closed is still delivered to it.
        (
            "const { port1, port2 } = new MessageChannel();
             port1.onmessage = e => { log.push(e.data); port1.close() };
             port2.postMessage(1); port2.postMessage(2); setTimeout(() => port2.postMessage(3), 1);",
            "1,2",
        ),
        // Closed on its way.
        (
            "const a = new MessageChannel(), b = new MessageChannel();
             b.port2.postMessage('last words'); a.port2.postMessage(null, [b.port1]); b.port2.close();
             a.port1.onmessage = ({ ports: [port] }) => { port.onmessage = e => log.push(e.data); port.onclose = () => log.push('close') };",
            "last words,close",
        ),
        // A message that nobody gets closes the channels of its ports.
        (
            "const a = new MessageChannel(), b = new MessageChannel(); a.port1.close();
             const closed = new Promise(r => b.port1.onclose = () => r('closed')); a.port2.postMessage(null, [b.port2]); closed",
            "closed",
        ),
    ]);
}

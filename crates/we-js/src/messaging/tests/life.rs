//! What keeps ports and the loop alive, and what does not.

use boa_engine::Source;

use super::cases;
use crate::{
    event_loop::LoopState,
    testing::{Agent, collect},
};

/// How many ports the agent has.
fn ports(agent: &Agent) -> usize {
    LoopState::of(&agent.context).unwrap().ports().len()
}

#[test]
fn ten_thousand_channels_leave_nothing() {
    let mut agent = Agent::new();
    let heard = agent.eval(
        "var refs = [], heard = 0;
         for (let i = 0; i < 10000; i++) {
             const { port1, port2 } = new MessageChannel();
             refs.push(new WeakRef(port1), new WeakRef(port2));
             switch (i % 6) {
                 case 0: port1.onmessage = () => heard++; port2.postMessage(i); break;
                 // Each refers to the other, and listens.
                 case 1: port1.onmessage = port2.onmessage = () => port1.other = port2; break;
                 case 2: port1.onclose = () => heard++; port2.close(); break;
                 // In a queue that is never started.
                 case 3: port1.postMessage(null, [new MessageChannel().port1]); break;
                 case 4: structuredClone(port1, { transfer: [port1] }).onmessage = () => {}; break;
                 // Its own target is lost with the message.
                 case 5: port1.postMessage(null, [port2]); break;
             }
         }
         const done = new Promise(r => setTimeout(r)); done.then(() => 0)",
    );
    assert_eq!(heard.as_deref(), Ok("0"));
    assert_eq!(agent.eval("heard").as_deref(), Ok("3334"));
    collect(&mut agent.context);
    assert_eq!(
        agent
            .eval("refs.filter(ref => ref.deref()).length")
            .as_deref(),
        Ok("0")
    );
    collect(&mut agent.context);
    // The ports in the queues of dropped ports are dropped then.
    assert_eq!(ports(&agent), 0);
}

#[test]
fn a_listening_port_lives_as_long_as_the_one_at_the_other_end() {
    let mut agent = Agent::new();
    let script = "
        var log = [], port;
        (() => { const channel = new MessageChannel(); port = channel.port1; channel.port2.onmessage = e => log.push(e.data) })(); 0";
    agent.eval(script).unwrap();
    collect(&mut agent.context);
    assert_eq!(agent.eval("port.postMessage(1); 0").as_deref(), Ok("0"));
    assert_eq!(agent.eval("log.join()").as_deref(), Ok("1"));
    // One that has no listener is collected, and the other end hears of it.
    agent
        .eval("(() => { const { port1, port2 } = new MessageChannel(); port = port1; port.onclose = () => log.push('closed') })(); 0")
        .unwrap();
    collect(&mut agent.context);
    agent.eval("0").unwrap();
    assert_eq!(agent.eval("log.join()").as_deref(), Ok("1,closed"));
}

#[test]
fn what_is_to_be_delivered_keeps_a_port_that_nobody_can_reach() {
    let scripts = [
        (
            "(() => { const { port1, port2 } = new MessageChannel(); port1.onmessage = e => log.push(e.data); port2.postMessage(1); port2.postMessage(2) })()",
            "1,2",
        ),
        (
            "(() => { const { port1, port2 } = new MessageChannel(); port1.onclose = e => log.push('closed'); port2.close() })()",
            "closed",
        ),
    ];
    for (script, expected) in scripts {
        let mut agent = Agent::new();
        let script = format!("var log = []; {script}");
        agent.context.eval(Source::from_bytes(&script)).unwrap();
        collect(&mut agent.context);
        agent.eval("0").unwrap();
        assert_eq!(agent.eval("log.join()").as_deref(), Ok(expected));
    }
}

#[test]
fn two_ports_of_one_agent_do_not_keep_its_loop() {
    cases(&[(
        "const { port1, port2 } = new MessageChannel(); port1.onmessage = port2.onmessage = () => {}; 'ended'",
        "ended",
    )]);
}

#[test]
fn messages_within_messages_are_dropped_without_recursion() {
    let mut agent = Agent::new();
    let script = "
        { let inner = new MessageChannel().port1;
          for (let i = 0; i < 20000; i++) {
              const { port1, port2 } = new MessageChannel();
              port1.postMessage(null, [inner]);
              port1.close();
              inner = port2;
          } } 0";
    agent.eval(script).unwrap();
    collect(&mut agent.context);
    collect(&mut agent.context);
    assert_eq!(ports(&agent), 0);
}

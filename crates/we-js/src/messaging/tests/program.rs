//! A program of several agents, as workers are, for tests.

use std::thread::{self, JoinHandle};

use boa_engine::{JsString, Source, property::Attribute};

use crate::{
    LoopHandle, Options,
    messaging::{MessagePort, PortEnd},
    testing::Agent,
};

/// The first agent, in which a test's script runs, and others on threads of their own. The first one has `log`; what the
/// others push to theirs arrives there.
pub(super) struct Program {
    pub(super) main: Agent,
    base: Option<&'static str>,
    others: Vec<(LoopHandle, JoinHandle<()>)>,
}

impl Program {
    pub(super) fn new() -> Self {
        Self::with_base(None)
    }

    /// With this base URL.
    pub(super) fn with_base(base: Option<&'static str>) -> Self {
        let mut main = Agent::with(options(base));
        let log = Source::from_bytes("var log = [], reports = [];");
        main.context.eval(log).unwrap();
        Self {
            main,
            base,
            others: Vec::new(),
        }
    }

    /// Makes a channel, one end of which is a port of the first agent, its global `name`.
    pub(super) fn channel(&mut self, name: &str) -> PortEnd {
        let (here, there) = PortEnd::pair();
        give(name, here, &mut self.main);
        there
    }

    /// Starts an agent that has `port` and runs `script`.
    pub(super) fn start(&mut self, port: PortEnd, script: &'static str) {
        let (report_here, report_there) = PortEnd::pair();
        give("report", report_here, &mut self.main);
        let listen = "report.onmessage = e => log.push(...e.data); reports.push(report)";
        self.main.context.eval(Source::from_bytes(listen)).unwrap();

        let handle = LoopHandle::new(Some(&self.main.handle()));
        let base = self.base;
        let thread = thread::spawn({
            let handle = handle.clone();
            move || {
                let mut agent = Agent::with_handle(handle.clone(), options(base));
                give("port", port, &mut agent);
                give("report", report_there, &mut agent);
                let log = "var log = { push: (...items) => report.postMessage(items) };";
                agent.context.eval(Source::from_bytes(log)).unwrap();
                agent.context.eval(Source::from_bytes(script)).unwrap();
                agent.run();
                drop(agent);
                handle.retire();
            }
        });
        self.others.push((handle, thread));
    }

    /// Runs a script until no agent has anything to do. What is in the log then.
    pub(super) fn run(&mut self, script: &str) -> String {
        self.main.eval(&format!("{script}; 0")).unwrap();
        self.main.eval("log.join()").unwrap()
    }

    /// Ends all agents but the first.
    pub(super) fn end_agents(&mut self) {
        for (handle, thread) in self.others.drain(..) {
            handle.terminate();
            handle.retire();
            thread.join().unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end_agents();
        }
    }
}

/// Options with this base URL.
pub(super) fn options(base: Option<&str>) -> Options {
    Options {
        base_url: base.map(|base| base.parse().unwrap()),
        ..Options::default()
    }
}

/// Makes an end a port of an agent, its global `name`.
pub(super) fn give(name: &str, end: PortEnd, agent: &mut Agent) {
    let port = MessagePort::create(end, &mut agent.context).unwrap();
    let port = port.object().clone();
    agent
        .context
        .register_global_property(JsString::from(name), port, Attribute::all())
        .unwrap();
}

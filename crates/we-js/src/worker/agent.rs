//! The agent of a worker: its thread, from the first to the last step of
//! [run a worker](https://html.spec.whatwg.org/multipage/workers.html#run-a-worker).

use std::{
    cell::RefCell,
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    rc::Rc,
    thread,
};

use boa_engine::{Context, JsError, JsString};
use url::{Origin, Url};
use we_net::Client;

use super::owner::{Address, Owner};
use crate::{
    ConsolePrinter, WorkerSetup,
    binding::This,
    dom::{EventTarget, report},
    event_loop::{EventLoop, FileAccess, LoopState, Options, ScriptKind},
    fetch::{Destination, Target},
    messaging::{Behavior, ImplicitPort, PortEnd},
    platform::{Host, Scope},
    uncaught::UncaughtErrorKind,
};

/// All that a worker gets on its way.
pub(super) struct Birth {
    pub(super) owner: Owner,
    /// The [inside port](https://html.spec.whatwg.org/multipage/workers.html#inside-port)
    pub(super) port: Option<PortEnd>,
    pub(super) script: Target,
    pub(super) kind: ScriptKind,
    /// In UTF-16, since it need not be well-formed.
    pub(super) name: Vec<u16>,
    pub(super) inheritance: Inheritance,
}

/// What a worker has from the agent that started it.
#[derive(Clone)]
pub(super) struct Inheritance {
    origin: Option<Origin>,
    client: Client,
    console: ConsolePrinter,
    worker_setup: WorkerSetup,
    pub(super) worker_stack: usize,
    external_memory_step: usize,
    max_buffer_size: u64,
    file_access: FileAccess,
}

impl Inheritance {
    pub(super) fn of(state: &LoopState) -> Self {
        let options = state.options();
        Self {
            origin: state.origin(),
            client: options.client.clone(),
            console: options.console.clone(),
            worker_setup: options.worker_setup.clone(),
            worker_stack: options.worker_stack,
            external_memory_step: options.external_memory_step,
            max_buffer_size: options.max_buffer_size,
            file_access: match state.reads_files() {
                true => options.file_access,
                false => FileAccess::Refused,
            },
        }
    }
}

/// Starts the worker's thread. What goes wrong is told to its owner.
pub(super) fn start(birth: Birth) {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Birth>(1);
    let thread = thread::Builder::new()
        .name("worker".to_owned())
        .stack_size(birth.inheritance.worker_stack)
        .spawn(move || {
            if let Ok(birth) = receiver.recv() {
                live(birth);
            }
        });
    match thread {
        Ok(_) => {
            // The thread waits for it.
            let _ = sender.send(birth);
        }
        Err(error) => birth
            .owner
            .failed(format_args!("cannot start a thread for a worker: {error}")),
    }
}

/// The life of a worker.
fn live(mut birth: Birth) {
    if catch_unwind(AssertUnwindSafe(|| run(&mut birth))).is_err() {
        birth.owner.failed(BUG);
    }
}

/// What is told of a panic. It has printed where it happened.
const BUG: &str = "a worker has ended by a bug of this program or of its engine, not of the script";

/// A worker that cannot be. Its owner has been told, and was told before the worker's port went, after which there is
/// no object any more to tell it to.
struct StillBorn;

impl StillBorn {
    fn new(owner: &Owner, problem: impl Display) -> Self {
        owner.failed(problem);
        Self
    }

    fn cannot_start(owner: &Owner, error: impl Display) -> Self {
        Self::new(owner, format_args!("cannot start a worker: {error}"))
    }
}

fn run(birth: &mut Birth) -> Result<(), StillBorn> {
    let mut port = birth.port.take();
    let options = options(birth);
    let owner = &birth.owner;
    let cannot_start = |error: &dyn Display| StillBorn::cannot_start(owner, error);
    let host = Rc::new(Host(Scope::DedicatedWorker));
    let event_loop = EventLoop::with_handle(owner.worker().clone(), options, host)
        .map_err(|error| cannot_start(&error))?;
    let mut context = event_loop
        .context_builder()
        .can_block(true)
        .build()
        .map_err(|error| cannot_start(&error))?;
    let work = || work(birth, &mut port, &event_loop, &mut context);
    let result = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(_) => Err(StillBorn::new(owner, BUG)),
    };
    // Before the context goes.
    if let Some(agent) = WorkerAgent::of(&context) {
        drop(agent.port.take());
    }
    result
}

fn options(birth: &Birth) -> Options {
    let inheritance = birth.inheritance.clone();
    // The origin of a local URL is that of whoever made it, save for data: URLs. A program without an
    // origin, which is no page, has no pages of others in it either.
    let origin = match birth.script.url().scheme() {
        "data" => inheritance.origin.map(|_| Origin::new_opaque()),
        _ => inheritance.origin,
    };
    Options {
        worker_stack: inheritance.worker_stack,
        base_url: None,
        origin,
        file_access: inheritance.file_access,
        client: inheritance.client,
        error_reporter: birth.owner.error_reporter(),
        console: inheritance.console,
        worker_setup: inheritance.worker_setup,
        external_memory_step: inheritance.external_memory_step,
        max_buffer_size: inheritance.max_buffer_size,
    }
}

/// What a worker does in its context: <https://html.spec.whatwg.org/multipage/workers.html#run-a-worker>
fn work(
    birth: &Birth,
    port: &mut Option<PortEnd>,
    event_loop: &EventLoop,
    context: &mut Context,
) -> Result<(), StillBorn> {
    let (owner, kind) = (&birth.owner, birth.kind);
    let cannot_start = |error: &dyn Display| StillBorn::cannot_start(owner, error);
    let state = LoopState::of(context).map_err(|error| cannot_start(&error))?;

    // Fetch the script.
    let destination = match kind {
        ScriptKind::Classic => Destination::Worker,
        ScriptKind::Module => {
            state.set_outside_origin(birth.inheritance.origin.clone());
            Destination::ModuleWorker
        }
    };
    let fetcher = state.fetcher();
    let Some(fetched) = state.block_on(fetcher.fetch(&birth.script, destination)) else {
        return Ok(());
    };
    let fetched = fetched.map_err(|error| StillBorn::new(owner, error))?;
    if matches!(fetched.url.scheme(), "http" | "https") {
        state.adopt_origin(fetched.url.origin());
    }
    state.set_entry_url(fetched.url.clone());

    // Set up the global scope.
    let agent = Rc::new(WorkerAgent {
        name: JsString::from(birth.name.as_slice()),
        kind,
        url: fetched.url.clone(),
        port: RefCell::default(),
        owner: owner.address(),
    });
    context.insert_data(agent.clone());
    event_loop
        .install(context)
        .and_then(|()| birth.inheritance.worker_setup.run(context))
        .map_err(|error| cannot_start(&error))?;
    if let Some(port) = port.take()
        && let Some(global) = This::<EventTarget>::from_object(context.global_object())
    {
        let behavior = Behavior {
            // The owner closes its end only together with the worker.
            closed: |_, _| Ok(()),
        };
        let port = ImplicitPort::adopt(port, &global, behavior, context)
            .map_err(|error| cannot_start(&error))?;
        *agent.port.borrow_mut() = Some(port);
    }

    // Run the script.
    let name = Path::new(fetched.url.as_str());
    let evaluation = event_loop.evaluate(&fetched.text, name, kind, context);
    drop(fetched.text);
    evaluation.map_err(|error| StillBorn::new(owner, error))?;
    let outcome = event_loop.run(context);
    outcome.map(drop).map_err(|error| cannot_start(&error))
}

/// What natives of a worker know of it.
pub(crate) struct WorkerAgent {
    pub(super) name: JsString,
    pub(super) kind: ScriptKind,
    /// <https://html.spec.whatwg.org/multipage/workers.html#concept-workerglobalscope-url>
    pub(super) url: Url,
    pub(super) port: RefCell<Option<ImplicitPort>>,
    owner: Address,
}

impl WorkerAgent {
    /// The worker that a context is of, if it is a worker's.
    pub(crate) fn of(context: &Context) -> Option<Rc<Self>> {
        context.get_data::<Rc<Self>>().cloned()
    }

    /// The script has run: the worker begins to receive.
    pub(crate) fn script_has_run(&self, context: &Context) {
        if let Ok(state) = LoopState::of(context) {
            state.set_outside_origin(None);
        }
        if let Some(port) = &*self.port.borrow() {
            port.start();
        }
    }

    /// The script cannot be run.
    pub(crate) fn script_failed(&self, error: JsError, context: &mut Context) {
        if let Ok(value) = error.into_opaque(context) {
            let error = report::describe(UncaughtErrorKind::Exception, &value, context);
            self.owner.failed(error.message);
        }
        if let Ok(state) = LoopState::of(context) {
            state.close_agent();
        }
    }
}

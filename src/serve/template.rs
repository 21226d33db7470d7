//! The template: a process that has loaded the application and is copied for each connection.
//!
//! It has one thread and waits for [orders](super::orders). A copy needs no parsing and no defining of the platform's
//! interfaces; and until it changes a page of memory, it shares it with all others.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, Resource, Signal, WaitOptions, getrlimit, kill_process, setrlimit, wait,
};
use we_js::boa_engine::JsNativeError;
use we_js::event_loop::LoopState;
use we_js::serve::{Application, Stage};
use we_js::{ErrorReporter, FileAccess, Options, WorkerSetup};

use super::orders::{Id, News, Order};
use super::process::{self, Forked};
use crate::{FAILURE, SUCCESS, cli::Serve, complain, say};

/// The stack of an instance, in bytes: the engine's parser takes some 20 KiB for each level of nesting. It is the first
/// thread's, which grows as it is used.
const STACK: u64 = 64 << 20;

/// How many seconds an instance may take to evaluate the application, and how many it may go on when its link has ended. The server is
/// less patient; this is for instances that it cannot reach, or that have lost it.
const TO_BEGIN: Option<NonZeroU32> = NonZeroU32::new(15);
const TO_END: Option<NonZeroU32> = NonZeroU32::new(5);

/// The stack of a worker, in bytes, which counts as memory of its instance from the start.
const WORKER_STACK: usize = 8 << 20;

/// The exit code of an instance that has panicked.
pub(crate) const PANICKED: i32 = 72;

/// Runs until the server has gone.
pub(crate) fn run(options: &Serve) -> u8 {
    match copy_as_ordered(options) {
        Ok(Role::Template) => SUCCESS,
        Ok(Role::Instance(link, mut application)) => {
            let code = serve(link, &mut application, options);
            process::end(code)
        }
        // It has been told by the error reporter.
        Err(problem) if problem.is_empty() => FAILURE,
        Err(problem) => complain(problem),
    }
}

/// The instances that have not ended.
#[derive(Default)]
struct Children {
    ids: HashMap<Pid, Id>,
    pids: HashMap<Id, Pid>,
}

/// What this process has become.
enum Role {
    Template,
    Instance(UnixStream, Box<Application>),
}

fn copy_as_ordered(options: &Serve) -> Result<Role, String> {
    let cannot_start = |error: io::Error| format!("cannot start: {error}");
    let orders = take_stdin().map_err(cannot_start)?;
    process::ignore_wishes_to_end().map_err(cannot_start)?;
    grow_stack();
    // Also while it loads what a server does not send. (The server's thread that has started this process waits for its end.)
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| cannot_start(error.into()))?;
    let (pipe, told) = rustix::pipe::pipe_with(
        rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK,
    )
    .map_err(|error| cannot_start(error.into()))?;
    process::on_child_exit(&told).map_err(cannot_start)?;

    // Nothing in here draws a random number: where those come from would be the same in all copies. (A test looks at that.)
    let application = Box::new(Application::load(&options.file, platform(options))?);
    News::Ready.send(&orders).map_err(cannot_start)?;

    let mut children = Children::default();
    loop {
        wait_for_either(&orders, &pipe).map_err(cannot_start)?;
        reap(&pipe, &orders, &mut children);
        let order = match next_order(&orders) {
            Ok(Next::Order(order)) => order,
            Ok(Next::NotYet) => continue,
            // The server has gone; those that serve see it by their links.
            Ok(Next::End) | Err(_) => return Ok(Role::Template),
        };
        match order {
            Order::Kill { id } => {
                if let Some(pid) = children.pids.get(&id) {
                    // The number cannot be another's by now: it is free when `reap` has taken it out of here.
                    let _ = kill_process(*pid, Signal::KILL);
                }
            }
            Order::Fork { id, link } => match process::fork() {
                Ok(Forked::Child) => {
                    let _ = process::forget_child_exit();
                    return Ok(Role::Instance(UnixStream::from(link), application));
                }
                Ok(Forked::Parent { child }) => {
                    children.ids.insert(child, id);
                    children.pids.insert(id, child);
                }
                Err(error) => {
                    let error = error.raw_os_error().unwrap_or_default();
                    let _ = News::Refused { id, error }.send(&orders);
                }
            },
        }
    }
}

/// Serves one connection, within the bounds that the operator has set.
fn serve(link: UnixStream, application: &mut Application, options: &Serve) -> i32 {
    process::end_after(TO_BEGIN);
    be_first_out_of_memory();
    process::watch(application.progress());
    let bounded = process::cap_memory(options.max_memory_mb << 20)
        .and_then(|()| process::limit_tasks(Duration::from_millis(options.max_busy_ms)));
    if let Err(error) = bounded {
        say(format_args!("we: cannot bound an instance: {error}"));
        return FAILURE.into();
    }
    application.on_stage(|stage| {
        process::end_after(match stage {
            Stage::Ready => None,
            _ => TO_END,
        });
    });
    match catch_unwind(AssertUnwindSafe(|| application.serve(link))) {
        Ok(Ok(())) => SUCCESS.into(),
        Ok(Err(problem)) => complain(problem).into(),
        Err(_) => PANICKED,
    }
}

fn platform(options: &Serve) -> Options {
    let mut platform = Options::default();
    platform.file_access = FileAccess::Allowed;
    platform.worker_stack = WORKER_STACK;
    platform.worker_setup = WorkerSetup::new(|context| {
        let state = LoopState::of(context)?;
        if process::watch(state.progress().clone()) {
            return Ok(());
        }
        Err(JsNativeError::error()
            .with_message("an instance can start no more workers than these")
            .into())
    });
    let name = options.file.display().to_string();
    platform.error_reporter = ErrorReporter::new(move |error| {
        // In one piece: other processes write there, too.
        say(format!("we: {name}: {error}"));
    });
    platform
}

/// The socket that the server has given as standard input, which is empty from now on.
fn take_stdin() -> io::Result<UnixStream> {
    let orders = io::stdin().as_fd().try_clone_to_owned()?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing)?;
    Ok(UnixStream::from(orders))
}

fn grow_stack() {
    let mut limit = getrlimit(Resource::Stack);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < STACK) {
        limit.current = Some(STACK.min(most));
        // Where that cannot be, deeply nested source text ends an instance sooner.
        let _ = setrlimit(Resource::Stack, limit);
    }
}

/// Where the whole machine is out of memory, an instance is to end and not the server.
fn be_first_out_of_memory() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "300");
}

fn wait_for_either(orders: &UnixStream, pipe: &OwnedFd) -> io::Result<()> {
    let mut either = [
        PollFd::new(orders, PollFlags::IN),
        PollFd::new(pipe, PollFlags::IN),
    ];
    match poll(&mut either, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

enum Next {
    Order(Order),
    NotYet,
    End,
}

fn next_order(orders: &UnixStream) -> io::Result<Next> {
    let mut ready = [PollFd::new(orders, PollFlags::IN)];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut ready, Some(&now)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Next::NotYet),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(match Order::receive(orders)? {
        Some(order) => Next::Order(order),
        None => Next::End,
    })
}

/// Tells the server of the instances that have ended.
fn reap(pipe: &OwnedFd, orders: &UnixStream, children: &mut Children) {
    let mut bytes = [0; 64];
    while rustix::io::read(pipe, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if let Some(id) = children.ids.remove(&pid) {
            children.pids.remove(&id);
            let status = status.as_raw();
            let _ = News::Ended { id, status }.send(orders);
        }
    }
}

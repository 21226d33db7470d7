//! What a process is told that serves one connection: that it is a copy of another, how much memory it may take and how long
//! it may compute.
//!
//! # Soundness
//!
//! [`fork`] calls `fork(2)`. In a process of one thread the copy is a process like any other: no lock is held by a thread
//! that is not there, and nothing of the standard library or the allocator is in the middle of anything. So it counts the
//! threads, and refuses where there are others, or where they cannot be counted.
//!
//! [`limit_tasks`] and [`on_child_exit`] install signal handlers. What these do may be done in a signal handler
//! (signal-safety(7)): they read and write atomics, and call `write` and `_exit`. The one of `SIGCHLD` leaves `errno` as it was.
//! The structures for `sigaction` and `setitimer` are plain integers, of which zero is a valid value.
//!
//! [`end_after`] and [`end`] call `alarm` and `_exit`, which touch no memory of the process.
//!
//! [`LastWords`] is the system's allocator. When that has no memory and the process has a cap, it ends the process by `_exit`, without
//! allocating; otherwise every call goes through unchanged.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

/// The exit code of an instance that computed for too long without a pause.
pub(crate) const TOO_BUSY: i32 = 70;

/// The exit code of an instance that needed more memory than it may have.
pub(crate) const OUT_OF_MEMORY: i32 = 71;

/// Which of the two processes this is.
pub(crate) enum Forked {
    Child,
    Parent { child: rustix::process::Pid },
}

/// Makes a copy of this process.
///
/// # Errors
/// Also if this process has more than one thread: `EDEADLK`.
pub(crate) fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: there is one thread, see the head.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        pid => match rustix::process::Pid::from_raw(pid) {
            Some(child) if pid > 0 => Ok(Forked::Parent { child }),
            _ => Err(io::Error::last_os_error()),
        },
    }
}

/// The event loop of an instance and those of its workers, for the signal handler.
static LOOPS: [Loop; MAX_LOOPS] = [const { Loop::none() }; MAX_LOOPS];

/// How many loops can be looked at: that of the instance and those of all workers that it ever starts.
const MAX_LOOPS: usize = 64;

struct Loop {
    /// Its progress: odd while a task runs, another number for each.
    progress: AtomicPtr<AtomicU64>,
    /// What the handler last saw of it; no task has the number 0.
    seen: AtomicU64,
}

impl Loop {
    const fn none() -> Self {
        Self {
            progress: AtomicPtr::new(std::ptr::null_mut()),
            seen: AtomicU64::new(0),
        }
    }

    /// Whether the task that runs was running when this was last asked.
    fn is_stuck(&self) -> bool {
        let progress = self.progress.load(Ordering::Acquire);
        // SAFETY: null, or what `watch` has put there, which is never freed.
        let Some(progress) = (unsafe { progress.as_ref() }) else {
            return false;
        };
        let task = progress.load(Ordering::Relaxed);
        self.seen.swap(task, Ordering::Relaxed) == task && task % 2 == 1
    }
}

/// Has [`limit_tasks`] hold for another event loop of this process. `false` if there are too many.
pub(crate) fn watch(progress: Arc<AtomicU64>) -> bool {
    let progress = Arc::into_raw(progress).cast_mut();
    let empty = std::ptr::null_mut();
    LOOPS.iter().any(|slot| {
        let slot = &slot.progress;
        slot.compare_exchange(empty, progress, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })
}

/// From now on this process ends when one task of an event loop that is [watched](watch) lasts while the process takes more of the
/// processor's time than `limit`, and less than twice that.
pub(crate) fn limit_tasks(limit: Duration) -> io::Result<()> {
    extern "C" fn look(_: libc::c_int) {
        // All of them are asked, so that each remembers.
        let stuck = LOOPS.iter().filter(|slot| slot.is_stuck()).count();
        if stuck > 0 {
            // SAFETY: ends the process; see the head.
            unsafe { libc::_exit(TOO_BUSY) }
        }
    }
    set_handler(libc::SIGPROF, look)?;
    let interval = libc::timeval {
        tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_usec: limit.subsec_micros().into(),
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: the structure is good, and where the old one would go may be null.
    match unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Has this process ended by the system after so many seconds, whatever it does or waits for; `None` takes that back.
pub(crate) fn end_after(seconds: Option<NonZeroU32>) {
    // SAFETY: sets a timer of this process, and touches no memory.
    unsafe { libc::alarm(seconds.map_or(0, NonZeroU32::get)) };
}

/// Ends this process without taking anything apart: its memory is the system's again in a moment, and to free it piece by piece would
/// first make copies of all that is shared with the template. What has been printed is written out.
pub(crate) fn end(code: i32) -> ! {
    let _ = io::Write::flush(&mut io::stdout().lock());
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

static CHILD_EXIT: AtomicI32 = AtomicI32::new(-1);

/// Has a byte written to `pipe` when a child of this process has ended; bytes that find no room are left out.
pub(crate) fn on_child_exit(pipe: &OwnedFd) -> io::Result<()> {
    extern "C" fn tell(_: libc::c_int) {
        let byte = 0_u8;
        // SAFETY: one byte from a variable, to whatever the descriptor is; see the head.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::write(
                CHILD_EXIT.load(Ordering::Relaxed),
                (&raw const byte).cast(),
                1,
            );
            *errno = before;
        }
    }
    CHILD_EXIT.store(pipe.as_raw_fd(), Ordering::Relaxed);
    set_handler(libc::SIGCHLD, tell)
}

/// As a process begins: nobody is told of children.
pub(crate) fn forget_child_exit() -> io::Result<()> {
    set_action(libc::SIGCHLD, libc::SIG_DFL)
}

/// Ctrl-C in a terminal goes to all processes of a program, and so may SIGTERM; which of them end, and when, is the server's to
/// say.
pub(crate) fn ignore_wishes_to_end() -> io::Result<()> {
    set_action(libc::SIGINT, libc::SIG_IGN)?;
    set_action(libc::SIGTERM, libc::SIG_IGN)
}

fn set_handler(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    set_action(signal, handler as *const () as libc::sighandler_t)
}

fn set_action(signal: libc::c_int, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `sigaction`: no flags, an empty mask.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = action;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: the structure is good; handlers are what the head says.
    match unsafe { libc::sigaction(signal, &raw const new, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

static CAPPED: AtomicBool = AtomicBool::new(false);

/// From now on this process ends when it needs more than `bytes` for its data: what it has now included, its stack not.
pub(crate) fn cap_memory(bytes: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Data, limit)?;
    CAPPED.store(true, Ordering::Relaxed);
    Ok(())
}

/// The system's allocator, which in a process with a cap says by the exit code why it ends.
pub(crate) struct LastWords;

impl LastWords {
    fn checked(pointer: *mut u8) -> *mut u8 {
        if pointer.is_null() && CAPPED.load(Ordering::Relaxed) {
            // SAFETY: ends the process; see the head.
            unsafe { libc::_exit(OUT_OF_MEMORY) }
        }
        pointer
    }
}

// SAFETY: what the system's allocator returns, unchanged, to what it was asked for, unchanged.
unsafe impl GlobalAlloc for LastWords {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the system's allocator.
        Self::checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Self::checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        Self::checked(unsafe { System.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

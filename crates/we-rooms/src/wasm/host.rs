//! [`Host`]: what an instance has on the host's side, and how functions of the host reach into the guest's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use wasmtime::{Caller, Memory, ResourceLimiter, StoreContextMut, Trap, UpdateDeadline};

use super::engine::{GUEST_STACK, TICK};
use super::log::Log;
use super::{MAX_MESSAGE_OUT, WasmLimits};
use crate::room::RoomSender;
use crate::runner::{Failure, Timer};

/// How many entries all tables of an instance may have, which are functions that can be called by pointer; 16 bytes each at most.
const MAX_TABLE: usize = 1 << 17;

/// What an instance has on the host's side.
pub(super) struct Host {
    /// None while a module is looked at.
    room: Option<RoomSender>,
    pub(super) timer: Timer,
    pub(super) log: Log,
    limits: WasmLimits,
    memory: Option<Memory>,
    /// In bytes.
    granted: usize,
    table: usize,
    /// Whether more memory than there may be was asked for, in this call.
    was_refused: bool,
    /// Through how many ticks the guest has run in this call.
    ticks: u32,
    /// In this process.
    _counted: Counted,
}

/// What a guest has done that no service may.
#[derive(Debug, thiserror::Error)]
pub(super) enum Offence {
    #[error("it computed for more than {} ms without a pause", .0.as_millis())]
    Busy(Duration),
    #[error("it ended itself with exit code {0}")]
    Exit(i32),
    #[error("{0}")]
    Told(String),
    #[error("it called {function} with {len} bytes at {address}, which are not all in its memory")]
    Pointer {
        function: &'static str,
        address: u32,
        len: u32,
    },
    #[error("it called {function} with text that is not UTF-8")]
    NotUtf8 { function: &'static str },
    #[error("it called {function} with {value} as {parameter}")]
    Argument {
        function: &'static str,
        parameter: &'static str,
        value: i64,
    },
    #[error("it sent a message of {0} bytes, and no more than {MAX_MESSAGE_OUT} may be sent")]
    TooLong(u32),
    #[error("it called {0} before its room began")]
    NoRoom(&'static str),
    #[error("its we_alloc returned no address for {len} bytes, but {address}")]
    NoBuffer { address: u32, len: u32 },
}

impl Host {
    pub(super) fn new(
        room: Option<RoomSender>,
        log: Log,
        limits: WasmLimits,
        count: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            room,
            timer: Timer::default(),
            log,
            limits,
            memory: None,
            granted: 0,
            table: 0,
            was_refused: false,
            ticks: 0,
            _counted: Counted::new(count),
        }
    }

    pub(super) fn set_memory(&mut self, memory: Memory) {
        self.memory = Some(memory);
    }

    /// A function of the guest is about to be called.
    pub(super) fn begin(&mut self) {
        self.ticks = 0;
        self.was_refused = false;
        self.log.begin();
    }

    pub(super) fn room(&self, function: &'static str) -> wasmtime::Result<&RoomSender> {
        Ok(self.room.as_ref().ok_or(Offence::NoRoom(function))?)
    }

    /// The end of a service, for whoever operates the server.
    pub(super) fn failure(&self, function: &str, error: &wasmtime::Error) -> Failure {
        let mut cause = if let Some(offence) = error.downcast_ref::<Offence>() {
            offence.to_string()
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            match trap {
                Trap::StackOverflow => {
                    format!("its stack has overflowed ({} KiB)", GUEST_STACK >> 10)
                }
                Trap::UnreachableCodeReached => {
                    "it came to an instruction `unreachable`, as after a panic".to_owned()
                }
                other => {
                    let trap = other.to_string();
                    let trap = trap.strip_prefix("wasm trap: ").unwrap_or(&trap);
                    format!("it trapped: {trap}")
                }
            }
        } else {
            format!("{error:#}")
        };
        if self.was_refused {
            let limit = self.limits.max_memory;
            cause += &format!("; it was refused more memory than {limit} bytes before");
        }
        Failure::new(format!("the service failed in {function}: {cause}"))
    }

    /// Another tick has passed while the guest ran.
    pub(super) fn tick(&mut self) -> wasmtime::Result<()> {
        self.ticks = self.ticks.saturating_add(1);
        let max_busy = self.limits.max_busy;
        if TICK.saturating_mul(self.ticks) > max_busy {
            return Err(Offence::Busy(max_busy).into());
        }
        Ok(())
    }
}

/// Lets whatever else this thread has to do be done, and goes on.
pub(super) fn on_tick(mut store: StoreContextMut<'_, Host>) -> wasmtime::Result<UpdateDeadline> {
    store.data_mut().tick()?;
    Ok(match store.data().room {
        // Not wasmtime's own way to give way, behind which a runtime of one thread would go on with the guest and look for what has come from
        // the network only every sixty-first time. tokio's looks first.
        Some(_) => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
        None => UpdateDeadline::Continue(1),
    })
}

impl ResourceLimiter for Host {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let all = self.granted.saturating_add(desired.saturating_sub(current));
        let is_granted = all <= self.limits.max_memory;
        if is_granted {
            self.granted = all;
        } else {
            self.was_refused = true;
        }
        Ok(is_granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let all = self.table.saturating_add(desired.saturating_sub(current));
        let is_granted = all <= MAX_TABLE;
        if is_granted {
            self.table = all;
        }
        Ok(is_granted)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

/// Bytes of the guest, for one function of the host, and what that is about.
pub(super) struct Bytes<'a> {
    pub(super) all: &'a mut [u8],
    pub(super) host: &'a mut Host,
    pub(super) function: &'static str,
}

impl<'a> Bytes<'a> {
    /// All of the caller's memory.
    pub(super) fn of(
        caller: &'a mut Caller<'_, Host>,
        function: &'static str,
    ) -> wasmtime::Result<Self> {
        let memory = match caller.data().memory {
            Some(memory) => memory,
            // It begins.
            None => caller
                .get_export("memory")
                .and_then(wasmtime::Extern::into_memory)
                .ok_or(Offence::NoRoom(function))?,
        };
        let (all, host) = memory.data_and_store_mut(caller);
        Ok(Self {
            all,
            host,
            function,
        })
    }

    /// These bytes of it.
    pub(super) fn get(&mut self, address: u32, len: u32) -> wasmtime::Result<&mut [u8]> {
        let offence = Offence::Pointer {
            function: self.function,
            address,
            len,
        };
        let begin = usize::try_from(address)?;
        let end = begin.checked_add(usize::try_from(len)?);
        Ok(end
            .and_then(|end| self.all.get_mut(begin..end))
            .ok_or(offence)?)
    }

    /// These bytes as text.
    pub(super) fn text(&mut self, address: u32, len: u32) -> wasmtime::Result<&str> {
        let function = self.function;
        let bytes = self.get(address, len)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| Offence::NotUtf8 { function })?)
    }

    /// A number where C has an `unsigned`.
    pub(super) fn u32(&mut self, address: u32) -> wasmtime::Result<u32> {
        Ok(u32::from_le_bytes(self.get(address, 4)?.try_into()?))
    }

    /// Writes a number where C has an `unsigned` or `uint64_t`.
    pub(super) fn put<const N: usize>(
        &mut self,
        address: u32,
        bytes: [u8; N],
    ) -> wasmtime::Result<()> {
        self.get(address, u32::try_from(N)?)?
            .copy_from_slice(&bytes);
        Ok(())
    }
}

/// One of those that are counted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

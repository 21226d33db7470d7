//! Services that are WebAssembly modules, loaded when the server starts. Each room has an instance with memory of its own.
//!
//! ```no_run
//! use we_rooms::Rooms;
//! use we_rooms::wasm::{WasmLimits, WasmServices};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = WasmServices::load_file("chat.wasm", WasmLimits::default())?;
//! let rooms = Rooms::builder(chat).build();
//! # Ok(())
//! # }
//! ```
//!
//! # What a module may do
//! What [the functions that it imports](abi) do to its own room, and nothing else: no files, no network, no environment, no other room. Modules for
//! WASI (preview 1) have the clock, random bytes and standard output beside that, which goes to the log.
//!
//! Each call has bounds ([`WasmLimits`]). A module that traps, exits, wants more memory than it may have, computes for too long,
//! overflows its stack (512 KiB) or gives a function of the host what makes no sense has failed: its room ends as
//! [`OnFailure`](crate::OnFailure) says, and the [`Failure`] names what it did. While it computes, it gives way every 10 ms, so other rooms
//! of the same thread go on: each room that computes makes them wait for some 10 ms more.
//!
//! Instances run in the server's process. What keeps them apart is the `wasmtime` crate: compiled code that cannot reach outside of its
//! memory. It reserves 4 GiB of addresses (not of memory) for each instance, of which some 30,000 fit, and handles `SIGSEGV`, `SIGBUS`, `SIGILL` and `SIGFPE`, passing on
//! those that are not its own.

#[doc = include_str!("abi.md")]
pub mod abi {}

mod check;
mod engine;
mod guest;
mod host;
mod imports;
mod log;
mod wasi;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use wasmtime::{InstancePre, Linker, Module};
use we_net::protocol::{CloseCode, CloseFrame, CloseReason};

use crate::name::RoomName;
use crate::room::{Event, Room};
use crate::runner::{Failure, Runner, Running};

use self::engine::Ticker;
use self::guest::Guest;
use self::host::Host;
use self::log::Tell;

/// The longest message that a guest may send, in bytes: what a peer of [`Config::server`](we_net::protocol::Config::server) may send, too.
const MAX_MESSAGE_OUT: u32 = 16 << 20;

/// What an instance may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasmLimits {
    /// How much memory an instance may have, in bytes; 64 MiB by default. One that asks for more gets none, which most programs do not
    /// survive.
    pub max_memory: usize,
    /// How long a call may compute; 2 s by default, counted by ticks of 10 ms. While the instance waits, for others whose turn it is too, no time
    /// counts.
    pub max_busy: Duration,
    /// The longest message from a client that an instance is given, in bytes; 1 MiB by default. A client that sends a longer one is
    /// closed with 1009. An instance must have room for so much, or any client could bring it down.
    pub max_message: usize,
}

impl Default for WasmLimits {
    fn default() -> Self {
        Self {
            max_memory: 64 << 20,
            max_busy: Duration::from_secs(2),
            max_message: 1 << 20,
        }
    }
}

/// Why a module cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WasmError {
    /// The file cannot be read.
    #[error("{} cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Something else than WebAssembly.
    #[error(
        "this is no WebAssembly module in the binary format: it does not begin with \\0asm and version 1"
    )]
    NoModule,
    /// A component, which is made of modules.
    #[error(
        "this is a WebAssembly component; a service is a core module, as for wasm32-unknown-unknown or wasm32-wasip1"
    )]
    Component,
    /// It is broken, or uses what the engine does not have.
    #[error("the module is not valid: {0}")]
    Invalid(String),
    /// It lacks what a service needs, or wants what there is not.
    #[error("the module is no service: {problems}")]
    NoService {
        /// All that is wrong.
        problems: String,
    },
    /// It is for another version of [`abi`].
    #[error(
        "the module is for version {found} of the interface, and this is version {expected}; build it with a `we-guest` that fits"
    )]
    Version {
        /// What its `we_abi_version` returned.
        found: i32,
        /// What it should have.
        expected: i32,
    },
    /// It fails before it has done anything.
    #[error("{0}")]
    Failed(Failure),
    /// The engine does not run here.
    #[error("WebAssembly cannot be run: {0}")]
    Engine(String),
}

/// Runs services that are instances of a module. Cloned by pointer.
#[derive(Clone)]
pub struct WasmServices {
    module: Arc<InstancePre<Host>>,
    limits: WasmLimits,
    ticker: Arc<Ticker>,
    tell: Tell,
    /// How many instances there are.
    running: Arc<AtomicUsize>,
}

impl WasmServices {
    /// Compiles a module, which takes some 100 ms for each 50 KiB, and looks whether it is a service. For that it is instantiated once, so
    /// whatever it does when it begins may compute for [`max_busy`](WasmLimits::max_busy).
    ///
    /// # Errors
    /// It is none, for this version of the interface.
    pub fn load(module: impl AsRef<[u8]>, limits: WasmLimits) -> Result<Self, WasmError> {
        check::header(module.as_ref())?;
        let unusable = |error: wasmtime::Error| WasmError::Engine(format!("{error:#}"));
        let engine = engine::engine().map_err(unusable)?;
        let module = Module::from_binary(&engine, module.as_ref())
            .map_err(|error| WasmError::Invalid(format!("{error:#}")))?;
        check::module(&module)?;
        let mut linker = Linker::new(&engine);
        imports::define(&mut linker).map_err(unusable)?;
        wasi::define(&mut linker, &module).map_err(unusable)?;
        let module = linker
            .instantiate_pre(&module)
            .map_err(|error| WasmError::NoService {
                problems: format!("{error:#}"),
            })?;
        let ticker = Ticker::new(engine).map_err(|error| WasmError::Engine(error.to_string()))?;
        let services = Self {
            module: Arc::new(module),
            limits,
            ticker: Arc::new(ticker),
            tell: log::to_tracing(),
            running: Arc::default(),
        };
        match services.version().map_err(WasmError::Failed)? {
            check::VERSION => Ok(services),
            found => Err(WasmError::Version {
                found,
                expected: check::VERSION,
            }),
        }
    }

    /// The same, of a file.
    ///
    /// # Errors
    /// It cannot be read, or is no service.
    pub fn load_file(path: impl AsRef<Path>, limits: WasmLimits) -> Result<Self, WasmError> {
        let path = path.as_ref();
        let module = std::fs::read(path).map_err(|error| WasmError::Unreadable {
            path: path.into(),
            error,
        })?;
        Self::load(module, limits)
    }

    /// Has `tell` told what instances log or print, line by line, and not the log of `tracing` (as `INFO` of `we::rooms`).
    ///
    /// A line has at most 4 KiB, without control characters. Each time that a function of an instance is called it may log 64; what is more is dropped.
    #[must_use]
    pub fn on_log(mut self, tell: impl Fn(&RoomName, &str) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// How many instances there are: one for each room.
    pub fn instances(&self) -> usize {
        self.running.load(Relaxed)
    }

    /// What the module says to be.
    fn version(&self) -> Result<i32, Failure> {
        let mut store = guest::store(self, None);
        let _runs = self.ticker.run();
        let version = self.module.instantiate(&mut store).and_then(|instance| {
            let function = instance.get_typed_func::<(), i32>(&mut store, "we_abi_version")?;
            function.call(&mut store, ())
        });
        version.map_err(|error| store.data().failure("its beginning", &error))
    }
}

impl Runner for WasmServices {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(async move {
            let mut guest = Guest::new(self, room.sender()).await?;
            loop {
                let event = tokio::select! {
                    event = room.next() => event,
                    () = guest.time_is_over() => {
                        guest.timer().await?;
                        continue;
                    }
                };
                match event {
                    Some(Event::Connect(client)) => {
                        room.admit(client.id());
                        guest.connect(client.id(), client.negotiated()).await?;
                    }
                    Some(Event::Message(client, message)) => {
                        let max = self.limits.max_message;
                        if message.len() > max {
                            let reason = format!("the room takes messages of {max} bytes at most");
                            let reason = CloseReason::truncated(&reason);
                            let code = CloseCode::TOO_BIG;
                            room.close(client, Some(CloseFrame { code, reason }));
                        } else {
                            guest.message(client, &message).await?;
                        }
                    }
                    Some(Event::Disconnect(client)) => guest.disconnect(client).await?,
                    None => return Ok(()),
                }
            }
        })
    }
}

impl fmt::Debug for WasmServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmServices")
            .field("limits", &self.limits)
            .field("instances", &self.instances())
            .finish_non_exhaustive()
    }
}

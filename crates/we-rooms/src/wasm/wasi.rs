//! WASI preview 1, as far as a standard library needs it, and without rights: no files, no network, no environment, no arguments.
//!
//! What is granted is harmless and bounded: the clock, random bytes, and standard output and error, which go to the log by lines. All
//! else that the standard has is there too, so that any module can be instantiated, and answers that there is no such file or that
//! it is not supported.
//!
//! It is not the crate `wasmtime-wasi`, whose preview 1 needs its preview 2 and the component model: much to compile, and to trust, for
//! saying no.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use wasmtime::{Caller, ExternType, Linker, Module, Val, ValType};

use super::host::{Bytes, Host, Offence};
use super::log::Output;

/// The name that guests import from.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// A standard's error number: `__wasi_errno_t`.
type Errno = i32;
const SUCCESS: Errno = 0;
const BADF: Errno = 8;
const INVAL: Errno = 28;
const NOSYS: Errno = 52;
const NOTSUP: Errno = 58;

/// How much of a write is taken at a time; who writes more does so in a loop, at whose turns the guest can be interrupted.
const MAX_WRITE: u32 = 64 << 10;

/// In how many pieces.
const MAX_PIECES: u32 = 1024;

/// How many random bytes there are at a time.
const MAX_RANDOM: u32 = 1 << 20;

/// The zero of the clock that never goes back.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Defines all that is granted, and what else `module` imports of WASI.
pub(super) fn define(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    if module.imports().all(|import| import.module() != MODULE) {
        return Ok(());
    }
    // What is granted takes the place of a refusal.
    linker.allow_shadowing(true);
    for import in module.imports() {
        let ExternType::Func(function) = import.ty() else {
            continue;
        };
        let returns_errno = function.results().len() == 1
            && function
                .results()
                .all(|result| matches!(result, ValType::I32));
        if import.module() != MODULE || !returns_errno {
            continue;
        }
        let errno = match import.name() {
            name if name.starts_with("fd_") || name.starts_with("path_") => BADF,
            name if name.starts_with("sock_") => BADF,
            "poll_oneoff" => NOTSUP,
            _ => NOSYS,
        };
        linker.func_new(MODULE, import.name(), function, move |_, _, results| {
            results.fill(Val::I32(errno));
            Ok(())
        })?;
    }
    linker.func_wrap(MODULE, "args_sizes_get", no_list)?;
    linker.func_wrap(MODULE, "environ_sizes_get", no_list)?;
    linker.func_wrap(MODULE, "args_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(MODULE, "environ_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(MODULE, "clock_res_get", clock_res_get)?;
    linker.func_wrap(MODULE, "clock_time_get", clock_time_get)?;
    linker.func_wrap(MODULE, "random_get", random_get)?;
    linker.func_wrap(MODULE, "fd_write", fd_write)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", fd_fdstat_get)?;
    linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
    linker.func_wrap(MODULE, "proc_exit", proc_exit)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Arguments and variables: there are none, and they take no room.
fn no_list(mut caller: Caller<'_, Host>, count: u32, size: u32) -> wasmtime::Result<Errno> {
    let mut bytes = Bytes::of(&mut caller, "args_sizes_get or environ_sizes_get")?;
    bytes.put(count, 0_u32.to_le_bytes())?;
    bytes.put(size, 0_u32.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_res_get(mut caller: Caller<'_, Host>, clock: i32, to: u32) -> wasmtime::Result<Errno> {
    if !matches!(clock, 0 | 1) {
        return Ok(INVAL);
    }
    Bytes::of(&mut caller, "clock_res_get")?.put(to, 1_u64.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_time_get(
    mut caller: Caller<'_, Host>,
    clock: i32,
    _precision: i64,
    to: u32,
) -> wasmtime::Result<Errno> {
    let since = match clock {
        0 => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
        1 => BEGINNING.elapsed(),
        _ => return Ok(INVAL),
    };
    let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    Bytes::of(&mut caller, "clock_time_get")?.put(to, nanoseconds.to_le_bytes())?;
    Ok(SUCCESS)
}

fn random_get(mut caller: Caller<'_, Host>, to: u32, len: u32) -> wasmtime::Result<Errno> {
    if len > MAX_RANDOM {
        return Ok(INVAL);
    }
    rand::fill(Bytes::of(&mut caller, "random_get")?.get(to, len)?);
    Ok(SUCCESS)
}

fn fd_write(
    mut caller: Caller<'_, Host>,
    fd: i32,
    pieces: u32,
    count: u32,
    written: u32,
) -> wasmtime::Result<Errno> {
    let output = match fd {
        1 => Output::Standard,
        2 => Output::Error,
        _ => return Ok(BADF),
    };
    let mut bytes = Bytes::of(&mut caller, "fd_write")?;
    let mut all = Vec::new();
    let mut room = MAX_WRITE;
    for piece in 0..count.min(MAX_PIECES) {
        // An address and a length each.
        let at = pieces.saturating_add(piece.saturating_mul(8));
        let (address, len) = (bytes.u32(at)?, bytes.u32(at.saturating_add(4))?);
        let len = len.min(room);
        all.extend_from_slice(bytes.get(address, len)?);
        room -= len;
    }
    bytes.put(written, (MAX_WRITE - room).to_le_bytes())?;
    bytes.host.log.write(output, &all);
    Ok(SUCCESS)
}

/// Standard output and error are terminals as far as C is concerned, so that it writes line by line.
fn fd_fdstat_get(mut caller: Caller<'_, Host>, fd: i32, to: u32) -> wasmtime::Result<Errno> {
    if !matches!(fd, 1 | 2) {
        return Ok(BADF);
    }
    // `__wasi_fdstat_t`: a character device (2), no flags, of whose rights there is `fd_write` (bit 6), and none to inherit.
    let mut stat = [0; 24];
    if let Some(rights) = stat.get_mut(8) {
        *rights = 1 << 6;
    }
    if let Some(filetype) = stat.first_mut() {
        *filetype = 2;
    }
    Bytes::of(&mut caller, "fd_fdstat_get")?.put(to, stat)?;
    Ok(SUCCESS)
}

fn proc_exit(code: i32) -> wasmtime::Result<()> {
    Err(Offence::Exit(code).into())
}

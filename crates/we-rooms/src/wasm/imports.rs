//! The functions of the module `we`, which guests import. `abi.md` tells what they do.

use std::time::Duration;

use bytes::Bytes as Shared;
use wasmtime::{Caller, Linker};
use we_net::Message;
use we_net::protocol::{CloseCode, CloseFrame, CloseReason, Text};

use super::MAX_MESSAGE_OUT;
use super::host::{Bytes, Host, Offence};
use super::log;
use crate::service::{ClientId, Recipient};

/// The name that guests import from.
pub(super) const MODULE: &str = "we";

/// All of them.
pub(super) const NAMES: [&str; 6] = ["send", "close", "set_timer", "room_name", "log", "fail"];

/// Defines all of them.
pub(super) fn define(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "send", send)?;
    linker.func_wrap(MODULE, "close", close)?;
    linker.func_wrap(MODULE, "set_timer", set_timer)?;
    linker.func_wrap(MODULE, "room_name", room_name)?;
    linker.func_wrap(MODULE, "log", log)?;
    linker.func_wrap(MODULE, "fail", fail)?;
    Ok(())
}

/// Numbers of clients are not negative in Rust. Those that the guest makes up are nobody's.
fn client_id(client: i64) -> ClientId {
    ClientId(client.cast_unsigned())
}

fn send(
    mut caller: Caller<'_, Host>,
    recipient: i32,
    client: i64,
    kind: i32,
    address: u32,
    len: u32,
) -> wasmtime::Result<()> {
    let argument = |parameter, value: i32| Offence::Argument {
        function: "send",
        parameter,
        value: value.into(),
    };
    let client = client_id(client);
    let recipient = match recipient {
        0 => Recipient::Client(client),
        1 => Recipient::Everyone,
        2 => Recipient::EveryoneExcept(client),
        other => return Err(argument("recipient", other).into()),
    };
    if len > MAX_MESSAGE_OUT {
        return Err(Offence::TooLong(len).into());
    }
    let mut bytes = Bytes::of(&mut caller, "send")?;
    let payload = Shared::copy_from_slice(bytes.get(address, len)?);
    let message = match kind {
        0 => Message::binary(payload),
        1 => {
            let function = "send";
            Message::Text(Text::try_from(payload).map_err(|_| Offence::NotUtf8 { function })?)
        }
        other => return Err(argument("kind", other).into()),
    };
    bytes.host.room("send")?.send(recipient, message);
    Ok(())
}

fn close(
    mut caller: Caller<'_, Host>,
    client: i64,
    code: i32,
    address: u32,
    len: u32,
) -> wasmtime::Result<()> {
    let mut bytes = Bytes::of(&mut caller, "close")?;
    let frame = if code < 0 {
        None
    } else {
        let reason = CloseReason::truncated(bytes.text(address, len)?);
        let code = u16::try_from(code)
            .ok()
            .and_then(CloseCode::new)
            .ok_or(Offence::Argument {
                function: "close",
                parameter: "code",
                value: code.into(),
            })?;
        Some(CloseFrame { code, reason })
    };
    bytes.host.room("close")?.close(client_id(client), frame);
    Ok(())
}

fn set_timer(mut caller: Caller<'_, Host>, milliseconds: i64) -> wasmtime::Result<()> {
    let host = caller.data_mut();
    host.room("set_timer")?;
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => host.timer.set(Duration::from_millis(milliseconds)),
        Err(_) => host.timer.clear(),
    }
    Ok(())
}

fn room_name(mut caller: Caller<'_, Host>, address: u32, capacity: u32) -> wasmtime::Result<u32> {
    let mut bytes = Bytes::of(&mut caller, "room_name")?;
    let name = bytes.host.room("room_name")?.name().clone();
    let name = name.as_str().as_bytes();
    let len = u32::try_from(name.len())?;
    let part = name.get(..usize::try_from(capacity)?).unwrap_or(name);
    bytes
        .get(address, u32::try_from(part.len())?)?
        .copy_from_slice(part);
    Ok(len)
}

fn log(mut caller: Caller<'_, Host>, address: u32, len: u32) -> wasmtime::Result<()> {
    let mut bytes = Bytes::of(&mut caller, "log")?;
    let line = log::clean(bytes.get(address, len)?);
    bytes.host.log.line(line.as_bytes());
    Ok(())
}

fn fail(mut caller: Caller<'_, Host>, address: u32, len: u32) -> wasmtime::Result<()> {
    let mut bytes = Bytes::of(&mut caller, "fail")?;
    let cause = log::clean(bytes.get(address, len)?);
    Err(Offence::Told(cause).into())
}

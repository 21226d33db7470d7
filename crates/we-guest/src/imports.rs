//! What the host can do, called through the module's imports.
//!
//! # Why this module may use `unsafe`
//! It calls functions of the host, declared as the host documents them. The host reads from the guest's memory (`send`, `close`, `log`,
//! `fail`) or writes to it (`room_name`), within the address and length that it is given, before it returns. Each address and length here
//! are those of one live slice or array, which is borrowed mutably where the host writes.
#![allow(unsafe_code)]

use std::convert::TryFrom;
use std::time::Duration;

use crate::service::{ClientId, Host, Message, Recipient};

#[link(wasm_import_module = "we")]
extern "C" {
    fn send(recipient: i32, client: u64, kind: i32, address: *const u8, len: usize);
    fn close(client: u64, code: i32, address: *const u8, len: usize);
    fn set_timer(milliseconds: i64);
    fn room_name(address: *mut u8, capacity: usize) -> usize;
    fn log(address: *const u8, len: usize);
    #[link_name = "fail"]
    fn fail_with(address: *const u8, len: usize);
}

/// The longest name of a room in bytes.
const MAX_NAME: usize = 128;

/// The host.
pub(crate) struct Imports;

impl Host for Imports {
    fn name(&self) -> String {
        let mut name = [0; MAX_NAME];
        // SAFETY: see the top of the module.
        let len = unsafe { room_name(name.as_mut_ptr(), name.len()) };
        String::from_utf8_lossy(&name[..len.min(MAX_NAME)]).into_owned()
    }

    fn send(&mut self, recipient: Recipient, data: Message<'_>) {
        let (recipient, client) = match recipient {
            Recipient::Client(client) => (0, client.0),
            Recipient::Everyone => (1, 0),
            Recipient::EveryoneExcept(client) => (2, client.0),
        };
        let kind = i32::from(data.as_text().is_some());
        let bytes = data.as_bytes();
        // SAFETY: see the top of the module.
        unsafe { send(recipient, client, kind, bytes.as_ptr(), bytes.len()) }
    }

    fn close(&mut self, client: ClientId, code: Option<u16>, reason: &str) {
        let code = code.map_or(-1, i32::from);
        // SAFETY: see the top of the module.
        unsafe { close(client.0, code, reason.as_ptr(), reason.len()) }
    }

    fn set_timer(&mut self, after: Option<Duration>) {
        let milliseconds = after.map_or(-1, |after| {
            let whole = after.as_nanos().saturating_add(999_999) / 1_000_000;
            i64::try_from(whole).unwrap_or(i64::MAX)
        });
        // SAFETY: see the top of the module.
        unsafe { set_timer(milliseconds) }
    }

    fn log(&mut self, line: &str) {
        // SAFETY: see the top of the module.
        unsafe { log(line.as_ptr(), line.len()) }
    }
}

/// Ends the service: it has failed for this reason. The host does not return from it.
pub(crate) fn fail(cause: &str) {
    // SAFETY: see the top of the module.
    unsafe { fail_with(cause.as_ptr(), cause.len()) }
}

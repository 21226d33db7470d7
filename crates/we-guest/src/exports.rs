//! What the host calls: the functions that a module exports, and the service that they call in turn.
//!
//! # Why this module may use `unsafe`
//! On wasm32 it exports functions by their names and declares one that the guest defines, which both count as unsafe: a name that
//! something else has too would be called instead. Ours begin with `we_`, and the host looks for these very names. `we_service` is called
//! with the signature that the documentation of [`serve`] gives; with another one the linker makes a call that traps.
//!
//! Nothing here turns a pointer into a reference. `we_alloc` gives out the address of a buffer that a static owns, and the function after it
//! looks into this buffer for as many bytes as the host says to have written there, with the bounds checked as of any slice. All bytes of
//! it are initialized by then, whatever the host has done. One thread runs a module at a time, and a function of the host
//! never calls one of the guest, so nobody writes to the buffer while somebody reads.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

use std::cell::RefCell;

use crate::service::Service;

thread_local! {
    static SERVICE: RefCell<Option<Box<dyn Service>>> = RefCell::new(None);
}

/// Makes `service` the room's. To be called by the function that the host begins with:
///
/// ```
/// # struct Chat;
/// # impl we_guest::Service for Chat {
/// #     fn message(&mut self, _: we_guest::ClientId, _: we_guest::Message<'_>, _: &mut we_guest::Context<'_>) {}
/// # }
/// #[no_mangle]
/// pub extern "C" fn we_service() {
///     we_guest::serve(Chat);
/// }
/// ```
///
/// (Since edition 2024 the attribute is `#[unsafe(no_mangle)]`.)
pub fn serve(service: impl Service + 'static) {
    SERVICE.with(|slot| *slot.borrow_mut() = Some(Box::new(service)));
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    use std::cell::RefCell;

    use super::SERVICE;
    use crate::imports::{self, Imports};
    use crate::service::{ClientId, ClientInfo, Context, Message, Service};

    /// A buffer that is longer is given back after the message.
    const KEEP: usize = 64 << 10;

    thread_local! {
        static INBOX: RefCell<Vec<u8>> = RefCell::new(Vec::new());
    }

    extern "C" {
        fn we_service();
    }

    #[no_mangle]
    extern "C" fn we_abi_version() -> i32 {
        1
    }

    #[no_mangle]
    extern "C" fn we_alloc(len: usize) -> *mut u8 {
        INBOX.with(|inbox| {
            let mut inbox = inbox.borrow_mut();
            if inbox.len() < len {
                inbox.resize(len, 0);
            }
            inbox.as_mut_ptr()
        })
    }

    #[no_mangle]
    extern "C" fn we_init() {
        std::panic::set_hook(Box::new(|panic| imports::fail(&panic.to_string())));
        // SAFETY: see the top of the module.
        unsafe { we_service() };
        call(|service, ctx| service.init(ctx));
    }

    #[no_mangle]
    extern "C" fn we_connect(client: u64, _address: usize, len: usize) {
        receive(len, |info| {
            let info = ClientInfo::new(info);
            call(|service, ctx| service.connect(ClientId(client), &info, ctx));
        });
    }

    #[no_mangle]
    extern "C" fn we_message(client: u64, kind: i32, _address: usize, len: usize) {
        receive(len, |bytes| {
            let message = match (kind, std::str::from_utf8(bytes)) {
                (1, Ok(text)) => Message::Text(text),
                (1, Err(error)) => return imports::fail(&error.to_string()),
                _ => Message::Binary(bytes),
            };
            call(|service, ctx| service.message(ClientId(client), message, ctx));
        });
    }

    #[no_mangle]
    extern "C" fn we_disconnect(client: u64) {
        call(|service, ctx| service.disconnect(ClientId(client), ctx));
    }

    #[no_mangle]
    extern "C" fn we_timer() {
        call(|service, ctx| service.timer(ctx));
    }

    fn call(function: impl FnOnce(&mut dyn Service, &mut Context<'_>)) {
        SERVICE.with(|slot| match slot.borrow_mut().as_deref_mut() {
            Some(service) => function(service, &mut Context::new(&mut Imports)),
            None => imports::fail("we_service has not called we_guest::serve"),
        });
    }

    fn receive(len: usize, function: impl FnOnce(&[u8])) {
        INBOX.with(|inbox| {
            let mut inbox = inbox.borrow_mut();
            function(inbox.get(..len).unwrap_or_default());
            if inbox.capacity() > KEEP {
                *inbox = Vec::new();
            }
        });
    }
}

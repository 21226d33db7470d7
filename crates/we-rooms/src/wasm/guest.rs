//! [`Guest`]: an instance of a module, whose functions are called one after the other.

use std::sync::Arc;

use wasmtime::{Instance, InstancePre, Memory, Store, TypedFunc, WasmParams};
use we_net::Message;
use we_net::socket::Negotiated;

use super::WasmServices;
use super::engine::Ticker;
use super::host::{self, Host, Offence};
use super::log::Log;
use crate::room::RoomSender;
use crate::runner::Failure;
use crate::service::ClientId;

/// A store in which one instance can be made.
pub(super) fn store(services: &WasmServices, room: Option<RoomSender>) -> Store<Host> {
    let name = room.as_ref().map(|room| room.name().clone());
    let log = Log::new(services.tell.clone(), name);
    let host = Host::new(room, log, services.limits, &services.running);
    let mut store = Store::new(services.module.module().engine(), host);
    store.limiter(|host| host);
    store.epoch_deadline_callback(host::on_tick);
    store.set_epoch_deadline(1);
    store
}

/// The service of a room.
pub(super) struct Guest {
    store: Store<Host>,
    ticker: Arc<Ticker>,
    memory: Memory,
    functions: Functions,
}

struct Functions {
    alloc: TypedFunc<u32, u32>,
    message: TypedFunc<(i64, i32, u32, u32), ()>,
    connect: Option<TypedFunc<(i64, u32, u32), ()>>,
    disconnect: Option<TypedFunc<i64, ()>>,
    timer: Option<TypedFunc<(), ()>>,
}

impl Guest {
    /// An instance for this room, initialized.
    pub(super) async fn new(services: &WasmServices, room: RoomSender) -> Result<Self, Failure> {
        let mut store = store(services, Some(room));
        let module: &InstancePre<Host> = &services.module;
        let runs = services.ticker.run();
        let instance = module.instantiate_async(&mut store).await;
        drop(runs);
        let instance = instance.map_err(|error| store.data().failure("its beginning", &error))?;
        let found = Functions::of(&instance, &mut store)
            .and_then(|functions| Ok((functions, memory(&instance, &mut store)?)));
        let (functions, memory) =
            found.map_err(|error| store.data().failure("its beginning", &error))?;
        store.data_mut().set_memory(memory);
        let mut guest = Self {
            store,
            ticker: services.ticker.clone(),
            memory,
            functions,
        };
        for name in ["_initialize", "we_init"] {
            if let Ok(function) = instance.get_typed_func(&mut guest.store, name) {
                guest.call(name, &function, ()).await?;
            }
        }
        Ok(guest)
    }

    /// Waits until the timer that the service has set has run out. Cancel-safe.
    pub(super) async fn time_is_over(&mut self) {
        self.store.data_mut().timer.wait().await;
    }

    pub(super) async fn timer(&mut self) -> Result<(), Failure> {
        match self.functions.timer.clone() {
            Some(function) => self.call("we_timer", &function, ()).await,
            None => Ok(()),
        }
    }

    pub(super) async fn connect(
        &mut self,
        client: ClientId,
        negotiated: &Negotiated,
    ) -> Result<(), Failure> {
        let Some(function) = self.functions.connect.clone() else {
            return Ok(());
        };
        let name = "we_connect";
        let (address, len) = self.give(name, &encode(negotiated)).await?;
        let parameters = (client.0.cast_signed(), address, len);
        self.call_on(name, &function, parameters).await
    }

    pub(super) async fn message(
        &mut self,
        client: ClientId,
        message: &Message,
    ) -> Result<(), Failure> {
        let name = "we_message";
        let kind = match message {
            Message::Binary(_) => 0,
            Message::Text(_) => 1,
        };
        let (address, len) = self.give(name, message.as_bytes()).await?;
        let parameters = (client.0.cast_signed(), kind, address, len);
        let function = self.functions.message.clone();
        self.call_on(name, &function, parameters).await
    }

    pub(super) async fn disconnect(&mut self, client: ClientId) -> Result<(), Failure> {
        let Some(function) = self.functions.disconnect.clone() else {
            return Ok(());
        };
        let client = client.0.cast_signed();
        self.call("we_disconnect", &function, client).await
    }

    /// Writes bytes to where the guest wants them, as the beginning of calling `name`.
    async fn give(&mut self, name: &str, bytes: &[u8]) -> Result<(u32, u32), Failure> {
        self.store.data_mut().begin();
        if bytes.is_empty() {
            return Ok((0, 0));
        }
        let written = self.write(bytes).await;
        written.map_err(|error| self.store.data().failure(name, &error))
    }

    async fn write(&mut self, bytes: &[u8]) -> wasmtime::Result<(u32, u32)> {
        let len = u32::try_from(bytes.len())?;
        self.store.set_epoch_deadline(1);
        let runs = self.ticker.run();
        let alloc = self.functions.alloc.call_async(&mut self.store, len).await;
        drop(runs);
        let address = alloc?;
        let is_written = address != 0
            && self
                .memory
                .write(&mut self.store, usize::try_from(address)?, bytes)
                .is_ok();
        if !is_written {
            return Err(Offence::NoBuffer { address, len }.into());
        }
        Ok((address, len))
    }

    /// Calls a function of the guest. After an error it is over with the guest.
    async fn call<P: WasmParams + Sync>(
        &mut self,
        name: &str,
        function: &TypedFunc<P, ()>,
        parameters: P,
    ) -> Result<(), Failure> {
        self.store.data_mut().begin();
        self.call_on(name, function, parameters).await
    }

    /// The same, when [`give`](Self::give) has begun it.
    async fn call_on<P: WasmParams + Sync>(
        &mut self,
        name: &str,
        function: &TypedFunc<P, ()>,
        parameters: P,
    ) -> Result<(), Failure> {
        self.store.set_epoch_deadline(1);
        let _runs = self.ticker.run();
        let called = function.call_async(&mut self.store, parameters).await;
        called.map_err(|error| self.store.data().failure(name, &error))
    }
}

impl Functions {
    fn of(instance: &Instance, store: &mut Store<Host>) -> wasmtime::Result<Self> {
        Ok(Self {
            alloc: instance.get_typed_func(&mut *store, "we_alloc")?,
            message: instance.get_typed_func(&mut *store, "we_message")?,
            connect: instance.get_typed_func(&mut *store, "we_connect").ok(),
            disconnect: instance.get_typed_func(&mut *store, "we_disconnect").ok(),
            timer: instance.get_typed_func(&mut *store, "we_timer").ok(),
        })
    }
}

fn memory(instance: &Instance, store: &mut Store<Host>) -> wasmtime::Result<Memory> {
    let memory = instance.get_memory(store, "memory");
    Ok(memory.ok_or(Offence::NoRoom("memory"))?)
}

/// A client for `we_connect`: lines, as `abi.md` has them. Neither the target nor a header can hold the end of one.
fn encode(negotiated: &Negotiated) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut line = |parts: &[&[u8]]| {
        for part in parts {
            lines.extend_from_slice(part);
        }
        lines.push(b'\n');
    };
    line(&[negotiated.resource.as_bytes()]);
    line(&[negotiated
        .subprotocol
        .as_deref()
        .unwrap_or_default()
        .as_bytes()]);
    let address = negotiated.peer_addr.map(|address| address.to_string());
    line(&[address.unwrap_or_default().as_bytes()]);
    for header in negotiated.headers.iter() {
        let name = header.name().to_ascii_lowercase();
        line(&[name.as_bytes(), b": ", header.value()]);
    }
    lines
}

//! What ties the platform together in one context: the state that natives find through their `Context`, and
//! [`install`], which defines every interface and global.

use std::{io, rc::Rc};

use boa_engine::{
    Context, JsError, JsResult, JsValue, context::intrinsics::Intrinsics, object::JsObject,
};

use crate::{
    abort::{AbortController, AbortSignal},
    agent::Agent,
    base64,
    binding::{Primordials, define_global, mix_into, register, register_global},
    console,
    dom::{
        DomException, Event, EventTarget, EventTargetObject, ProgressEvent, events,
        exception::define_is_error, global_scope::GlobalScope, message_event::MessageEvent, report,
    },
    encoding::{TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream},
    event_loop::{EventLoop, EventResult, LoopHost, Options},
    eventsource::EventSource,
    fetch,
    file::{Blob, File, FileReader, install_file_reader_sync},
    messaging::{self, BroadcastChannel, MessageChannel, MessagePort, Notice},
    navigator::Navigator,
    network::{SocketEvent, SocketId},
    performance::Performance,
    streams, structured_clone,
    url::{Url, UrlSearchParams},
    websocket::{self, WebSocket, WebSocketError, WebSocketStream},
    worker::{DedicatedWorkerGlobalScope, Worker, WorkerAgent, WorkerGlobalScope, WorkerLocation},
};

/// The event layer, as the event loop sees it.
pub(crate) struct Host(pub(crate) Scope);

/// What kind of agent a loop is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The embedder's own.
    Main,
    DedicatedWorker,
}

impl LoopHost for Host {
    /// The global object of a realm is an event target.
    fn create_global_object(&self, intrinsics: &Intrinsics) -> JsObject {
        let prototype = intrinsics.constructors().object().prototype();
        let scope = match self.0 {
            Scope::Main => GlobalScope::of_main_agent(),
            Scope::DedicatedWorker => GlobalScope::of_worker(),
        };
        JsObject::from_proto_and_data(prototype, EventTargetObject::new(scope))
    }

    fn report_exception(&self, error: JsError, context: &mut Context) {
        report::report_exception(error, context);
    }

    fn fire_unhandled_rejection(
        &self,
        promise: &JsObject,
        reason: &JsValue,
        context: &mut Context,
    ) -> EventResult {
        report::report_rejection(promise.clone(), reason.clone(), context)
    }

    fn fire_rejection_handled(&self, promise: &JsObject, reason: &JsValue, context: &mut Context) {
        report::report_handled_rejection(promise.clone(), reason.clone(), context);
    }

    fn program_started(&self, context: &mut Context) {
        if let Some(worker) = WorkerAgent::of(context) {
            worker.script_has_run(context);
        }
    }

    fn program_failed(&self, error: JsError, context: &mut Context) {
        match WorkerAgent::of(context) {
            Some(worker) => worker.script_failed(error, context),
            None => self.report_exception(error, context),
        }
    }

    fn deliver_notice(&self, notice: Notice, context: &mut Context) {
        messaging::deliver(notice, context);
    }

    fn deliver_socket_event(&self, id: SocketId, event: SocketEvent, context: &mut Context) {
        websocket::deliver(id, event, context);
    }
}

impl EventLoop {
    /// Makes a loop.
    ///
    /// # Errors
    /// Fails if the operating system gives no means to wait for I/O: no file descriptors left.
    pub fn new(options: Options) -> io::Result<Self> {
        Self::with_host(options, Rc::new(Host(Scope::Main)))
    }

    /// Defines the platform's interfaces and functions on the context's global object.
    ///
    /// # Errors
    /// Fails if the global object refuses a property, or the context is not this loop's.
    pub fn install(&self, context: &mut Context) -> JsResult<()> {
        install(context)
    }
}

/// Defines the interfaces and globals in the context's current realm.
fn install(context: &mut Context) -> JsResult<()> {
    context.insert_data(Agent::new());
    Primordials::install(context)?;
    register::<Event>(context)?;
    register::<MessageEvent>(context)?;
    register::<events::CloseEvent>(context)?;
    register::<events::ErrorEvent>(context)?;
    register::<events::PromiseRejectionEvent>(context)?;
    register::<events::CustomEvent>(context)?;
    register::<ProgressEvent>(context)?;
    register::<DomException>(context)?;
    define_is_error(context);
    register::<EventTarget>(context)?;
    let in_worker = WorkerAgent::of(context).is_some();
    if in_worker {
        register::<WorkerGlobalScope>(context)?;
        mix_into::<WorkerGlobalScope>(context)?;
        register::<WorkerLocation>(context)?;
        install_file_reader_sync(context)?;
    }
    register::<AbortSignal>(context)?;
    register::<AbortController>(context)?;
    streams::install(context)?;
    register::<MessagePort>(context)?;
    register::<MessageChannel>(context)?;
    register::<BroadcastChannel>(context)?;
    register::<Blob>(context)?;
    register::<File>(context)?;
    register::<FileReader>(context)?;
    register::<Performance>(context)?;
    if in_worker {
        register::<Navigator<true>>(context)?;
    } else {
        register::<Navigator<false>>(context)?;
    }
    register::<WebSocket>(context)?;
    register::<WebSocketStream>(context)?;
    register::<WebSocketError>(context)?;
    register::<EventSource>(context)?;
    register::<Worker>(context)?;
    register::<TextEncoder>(context)?;
    register::<TextDecoder>(context)?;
    register::<TextEncoderStream>(context)?;
    register::<TextDecoderStream>(context)?;
    register::<Url>(context)?;
    register::<UrlSearchParams>(context)?;
    fetch::install(context)?;
    EventLoop::install_globals(context)?;
    base64::install(context)?;
    structured_clone::install(context)?;
    console::install(context)?;
    if in_worker {
        register_global::<DedicatedWorkerGlobalScope>(context)?;
    } else {
        define_global::<GlobalScope>(context)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::testing::cases;

    #[test]
    fn interfaces_have_their_chains_brands_and_required_arguments() {
        cases(&[
            (
                "const t = new EventTarget(); const log = [];
              t.addEventListener('x', e => log.push(e.type, e.target === t, e.eventPhase, e.isTrusted));
              t.addEventListener('x', { handleEvent() { log.push('object') } }, { once: true });
              t.dispatchEvent(new Event('x')); t.dispatchEvent(new Event('x')); log.join()",
                "x,true,2,false,object,x,true,2,false",
            ),
            (
                "class Foo extends EventTarget { #p = 3; get p() { return this.#p } }
              const f = new Foo(); [f.p, f instanceof EventTarget, String(f)].join()",
                "3,true,[object EventTarget]",
            ),
            ("error(() => Event.prototype.type)", "TypeError"),
            ("error(() => Event('x'))", "TypeError"),
            ("error(() => new Event())", "TypeError"),
            (
                "const e = new CloseEvent('close', { code: 70000, reason: 'a\\ud800', wasClean: 1 });
              [e.code, e.reason, e.wasClean, e instanceof Event, CloseEvent.__proto__ === Event].join()",
                "4464,a\u{fffd},true,true,true",
            ),
            (
                "const d = new DOMException('m', 'DataCloneError');
              [d.code, d instanceof Error, String(d), typeof d.stack, DOMException.ABORT_ERR].join()",
                "25,true,DataCloneError: m,string,20",
            ),
        ]);
    }

    /// Calls everything that the platform defines on everything that it might not expect.
    #[test]
    fn hostile_receivers_and_arguments_throw_and_do_not_panic() {
        let script = r#"
            const thrower = { valueOf() { throw 1 }, toString() { throw 2 }, [Symbol.iterator]() { throw 3 } };
            const traps = new Proxy({}, { get() { throw 4 }, ownKeys() { throw 5 }, getPrototypeOf() { throw 6 } });
            const { proxy: revoked, revoke } = Proxy.revocable({}, {}); revoke();
            const detached = new ArrayBuffer(8), ofDetached = new Uint8Array(detached); detached.transfer();
            const shrunk = new ArrayBuffer(8, { maxByteLength: 8 }), outOfBounds = new DataView(shrunk, 4, 4); shrunk.resize(1);
            const endless = { [Symbol.iterator]: () => ({ next: () => ({ get done() { throw 7 } }) }) };
            const controller = new AbortController();
            const values = [
                undefined, null, true, -1, 1.5, 2 ** 53, NaN, 1n, '', 'a', '\ud800', 'x:/', Symbol(), {}, [], [[]], [['a', 'b']],
                () => { throw 8 }, class {}, thrower, traps, revoked, detached, ofDetached, shrunk, outOfBounds, endless,
                new SharedArrayBuffer(4), new Uint8Array(new SharedArrayBuffer(4)), globalThis, Object.create(null),
                { signal: controller.signal, transfer: [ofDetached.buffer], stream: true, fatal: true },
                new Blob(['x']), new File([], 'x'), new FileReader(), new URL('x:/y'), new URLSearchParams('a=b'), new URLSearchParams('a=b').keys(), new EventTarget(),
                new Event('x'), new CustomEvent('x'), controller, controller.signal, new TextEncoder(), new TextDecoder(),
                new DOMException(), performance, globalThis.navigator, new MessageChannel(), new MessageChannel().port1, new BroadcastChannel('x'),
                new Headers(), new Request('x:/y'), new Response(), new Response('x'), new ReadableStream(),
            ];
            let calls = 0;
            const attempt = f => { calls++; try { const r = f(); if (r instanceof Promise) r.catch(() => {}) } catch {} };
            const skipped = ['fetch', 'setTimeout', 'setInterval', 'reportError', 'queueMicrotask', 'error', 'rejection'];
            const members = new Set();
            const interfaces = Object.getOwnPropertyNames(globalThis).filter(name =>
                typeof globalThis[name] === 'function' && !skipped.includes(name) && !builtIns.includes(name));
            for (const name of interfaces) {
                const f = globalThis[name];
                for (const object of [f, f.prototype]) {
                    for (const key of object ? Reflect.ownKeys(object) : []) {
                        const { get, set, value } = Object.getOwnPropertyDescriptor(object, key);
                        for (const member of [get, set, value]) if (typeof member === 'function' && member !== f) members.add(member);
                    }
                }
                if (f.prototype) {
                    for (const a of values) { attempt(() => new f(a)); for (const b of values) attempt(() => new f(a, b)) }
                } else {
                    members.add(f);
                }
            }
            for (const member of members) {
                for (const receiver of values) {
                    attempt(() => member.call(receiver));
                    for (const argument of values) attempt(() => member.call(receiver, argument, values[calls % values.length]));
                }
            }
            calls > 100000
        "#;
        // What the language itself brings is not ours to test.
        let mut bare = boa_engine::Context::default();
        let built_ins = "JSON.stringify(Object.getOwnPropertyNames(globalThis))";
        let built_ins = bare
            .eval(boa_engine::Source::from_bytes(built_ins))
            .unwrap();
        let built_ins = built_ins
            .to_string(&mut bare)
            .unwrap()
            .to_std_string_lossy();
        let script = format!("const builtIns = {built_ins}; {script}");
        assert_eq!(crate::testing::eval(&script).as_deref(), Ok("true"));
    }
}

//! Workers as the scripts on both sides see them. Those that need files, a server or many workers are in
//! `tests/workers.rs`.
#![allow(clippy::unwrap_used)]

mod failures;
mod origins;

use crate::testing::Agent;

/// What the scripts of these tests use: `worker(f)` runs the body of a function in a worker, `next(target, type)` waits for
/// an event.
const PRELUDE: &str = r"
    globalThis.source = f => `(${f})();`;
    globalThis.worker = (f, options) =>
        new Worker(`data:text/javascript,${encodeURIComponent(source(f))}`, options);
    globalThis.next = (target, type = 'message') => new Promise((resolve, reject) => {
        target.addEventListener(type, resolve, { once: true });
        if (type !== 'error') target.addEventListener('error', e => reject(new Error(e.message)), { once: true });
    });
";

fn eval(script: &str) -> Result<String, String> {
    let mut agent = Agent::new();
    agent.eval(PRELUDE).unwrap();
    agent.eval(script)
}

#[track_caller]
fn cases(table: &[(&str, &str)]) {
    for (script, expected) in table {
        assert_eq!(eval(script).as_deref(), Ok(*expected), "{script}");
    }
}

#[test]
fn messages_go_both_ways_in_order() {
    cases(&[
        (
            "const w = worker(() => { onmessage = e => postMessage(e.data * 2) });
             const log = []; w.postMessage(1); w.postMessage(2); w.postMessage(3);
             w.onmessage = e => log.push(e.data);
             new Promise(r => w.addEventListener('message', () => log.length == 3 && r(log.join())))",
            "2,4,6",
        ),
        (
            "const w = worker(() => { onmessage = e => { const b = e.data; b[0]++; postMessage(b, [b.buffer]) } });
             const bytes = new Uint8Array(4); w.postMessage(bytes, { transfer: [bytes.buffer] });
             next(w).then(e => [bytes.length, e.data[0], e.data.length, e.origin, e.source, e.ports.length, e.isTrusted, e.target === w].join())",
            "0,1,4,,,0,true,true",
        ),
        // A port reaches into the worker, and one comes back.
        (
            "const w = worker(() => { onmessage = ({ ports: [p] }) => { p.onmessage = e => p.postMessage(e.data + 1) } });
             const { port1, port2 } = new MessageChannel(); w.postMessage(null, [port2]); port1.postMessage(41);
             port1.start(); next(port1).then(e => e.data)",
            "42",
        ),
        (
            "const w = worker(() => { const c = new MessageChannel(); c.port1.onmessage = e => c.port1.postMessage([e.data]); postMessage(c.port2, [c.port2]) });
             next(w).then(({ data: port, ports }) => { port.postMessage('x'); port.start(); return next(port).then(e => JSON.stringify(e.data) + (ports[0] === port)) })",
            "[\"x\"]true",
        ),
        // Memory that both sides see.
        (
            "const shared = new Int32Array(new SharedArrayBuffer(8));
             const w = worker(() => { onmessage = e => { Atomics.store(e.data, 0, 7); postMessage(null) } });
             w.postMessage(shared); next(w).then(() => Atomics.load(shared, 0))",
            "7",
        ),
        (
            "const shared = new Int32Array(new SharedArrayBuffer(4));
             const w = worker(() => { onmessage = e => { postMessage(Atomics.wait(e.data, 0, 0, 10000)) } });
             w.postMessage(shared);
             const wake = setInterval(() => Atomics.notify(shared, 0), 1);
             next(w).then(e => { clearInterval(wake); return e.data })",
            "ok",
        ),
        ("const w = worker(() => {}); error(() => w.postMessage(() => {})) + error(() => w.postMessage()) + error(() => w.postMessage(1, 2))", "DataCloneError 25TypeErrorTypeError"),
    ]);
}

#[test]
fn the_constructor_checks_its_arguments() {
    cases(&[
        ("error(() => new Worker())", "TypeError"),
        ("error(() => Worker('data:,'))", "TypeError"),
        ("error(() => new Worker('http://a b/'))", "SyntaxError 12"),
        (
            "error(() => new Worker('data:,', { type: 'x' }))",
            "TypeError",
        ),
        (
            "error(() => new Worker('data:,', { credentials: 'x' }))",
            "TypeError",
        ),
        ("error(() => new Worker('data:,', 1))", "TypeError"),
        (
            "error(() => new Worker({ toString() { throw new RangeError } }))",
            "RangeError",
        ),
        (
            "const w = new Worker('data:,'); [w instanceof EventTarget, String(w), Worker.length, Object.keys(Worker.prototype).sort()].join()",
            "true,[object Worker],1,onerror,onmessage,onmessageerror,postMessage,terminate",
        ),
        (
            "class W extends Worker { x = 1 } const w = new W('data:,'); [w.x, w instanceof W, w.onmessage].join()",
            "1,true,",
        ),
    ]);
}

#[test]
fn the_scope_is_a_dedicated_workers() {
    cases(&[
        (
            "next(worker(() => postMessage([
                self === globalThis, self instanceof DedicatedWorkerGlobalScope, self instanceof WorkerGlobalScope, self instanceof EventTarget,
                String(self), name, location.protocol, location.origin, String(location) === location.href, location instanceof WorkerLocation,
                location === location, typeof importScripts, typeof setTimeout, typeof structuredClone, typeof close,
            ].join()), { name: 'n\\ud83d\\ude42' })).then(e => e.data)",
            "true,true,true,true,[object DedicatedWorkerGlobalScope],n\u{1f642},data:,null,true,true,true,function,function,function,function",
        ),
        // Where the members are.
        (
            "next(worker(() => postMessage([
                ['name', 'postMessage', 'close', 'onmessage'].every(key => Object.hasOwn(self, key)),
                ['self', 'location', 'importScripts', 'onerror', 'setTimeout', 'queueMicrotask', 'structuredClone', 'atob', 'performance', 'reportError']
                    .filter(key => Object.hasOwn(self, key) || !Object.hasOwn(WorkerGlobalScope.prototype, key)).join(),
                Object.keys(DedicatedWorkerGlobalScope.prototype).join(),
                Object.getPrototypeOf(DedicatedWorkerGlobalScope) === WorkerGlobalScope,
            ].join()))).then(e => e.data)",
            "true,,,true",
        ),
        ("next(worker(() => { name = 5; self.performance = 6; postMessage([name, performance, error1()].join()); function error1() { try { new WorkerGlobalScope } catch (e) { return e.name } } })).then(e => e.data)", "5,6,TypeError"),
        ("typeof WorkerGlobalScope + typeof DedicatedWorkerGlobalScope + typeof importScripts + typeof close", "undefinedundefinedundefinedundefined"),
        // Timers, microtasks, nested listeners.
        (
            "next(worker(() => { const log = []; setTimeout(() => { log.push('timer'); postMessage(log.join()) }, 1); Promise.resolve().then(() => log.push('micro')); log.push('sync') })).then(e => e.data)",
            "sync,micro,timer",
        ),
    ]);
}

#[test]
fn modules_and_imported_scripts() {
    cases(&[
        (
            "const w = new Worker(`data:text/javascript,${encodeURIComponent('import x from \"data:text/javascript,export default 5\"; const y = await 2; postMessage(x + y + typeof importScripts + import.meta.url.length)')}`, { type: 'module' });
             next(w).then(e => e.data.startsWith('7function'))",
            "true",
        ),
        (
            "const url = URL.createObjectURL(new Blob(['postMessage(location.href)']));
             next(new Worker(url)).then(e => e.data === url)",
            "true",
        ),
        // What is sent before the module's imports have come waits for them.
        (
            "const w = new Worker(`data:text/javascript,${encodeURIComponent('import x from \"data:text/javascript,export default 5\"; onmessage = e => postMessage(e.data + x); await new Promise(() => {})')}`, { type: 'module' });
             w.postMessage(1); next(w).then(e => e.data)",
            "6",
        ),
        // A URL means what it meant when it was given.
        (
            "const url = URL.createObjectURL(new Blob(['postMessage(1)'])); const w = new Worker(url); URL.revokeObjectURL(url);
             next(w).then(e => e.data)",
            "1",
        ),
        (
            "next(worker(() => {
                const script = text => URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
                globalThis.second = script('postMessage(2)'); importScripts(script('URL.revokeObjectURL(second)'), second) })).then(e => e.data)",
            "2",
        ),
        (
            "next(worker(() => { importScripts('data:text/javascript,var a = 1', 'data:text/javascript,a++'); postMessage(a) })).then(e => e.data)",
            "2",
        ),
        (
            "next(worker(() => {
                const attempt = (...urls) => { try { importScripts(...urls) } catch (e) { return `${e.constructor.name} ${e.name}` } };
                postMessage([attempt('http://a b'), attempt('data:text/plain,1'), attempt('ftp://x/'), attempt('file:///no/such'), attempt('data:text/javascript,let %3D'),
                    attempt('data:text/javascript,throw new RangeError'), attempt()].join());
             })).then(e => e.data)",
            "DOMException SyntaxError,DOMException NetworkError,DOMException NetworkError,DOMException NetworkError,SyntaxError SyntaxError,RangeError RangeError,",
        ),
        (
            "const w = new Worker(`data:text/javascript,${encodeURIComponent('try { importScripts() } catch (e) { postMessage(e.name) }')}`, { type: 'module' });
             next(w).then(e => e.data)",
            "TypeError",
        ),
    ]);
}

#[test]
fn errors_go_to_the_worker_then_to_its_object_then_outside() {
    cases(&[
        (
            "const w = worker(() => { onmessage = () => { throw new RangeError('too far') } }); w.postMessage(1);
             next(w, 'error').then(e => { e.preventDefault(); return [e.constructor.name, e.message, e.error, e.lineno > 0, e.filename.slice(0, 5), e.cancelable, e.bubbles].join() })",
            "ErrorEvent,RangeError: too far,,true,data:,true,false",
        ),
        // Handled inside.
        (
            "const w = worker(() => { onerror = (message, file, line, column, error) => { postMessage([message, error.name].join()); return true }; setTimeout(() => { throw new RangeError('x') }) });
             next(w).then(e => e.data)",
            "RangeError: x,RangeError",
        ),
        // Handled nowhere: the global object of the owner.
        (
            "worker(() => { throw new RangeError('unheard') });
             next(self, 'error').then(e => { e.preventDefault(); return [e.message, e.error].join() })",
            "RangeError: unheard,",
        ),
        (
            "const w = worker(() => { const inner = new Worker('data:text/javascript,null.x'); });
             next(w, 'error').then(e => { e.preventDefault(); return e.message.split(':')[0] })",
            "TypeError",
        ),
        // A script that cannot be fetched or parsed: an event that tells nothing.
        ("next(new Worker('file:///no/such/script.js'), 'error').then(e => [e.constructor.name, e.cancelable].join())", "Event,false"),
        ("next(new Worker('data:text/javascript,let %3D'), 'error').then(e => e.constructor.name)", "Event"),
        ("next(new Worker('data:text/plain,1', { type: 'module' }), 'error').then(e => e.constructor.name)", "Event"),
        // So is a module whose imports cannot be had. What it throws is told.
        ("next(new Worker('data:text/javascript,import \"data:text/javascript,let %3D\"', { type: 'module' }), 'error').then(e => e.constructor.name)", "Event"),
        ("next(new Worker('data:text/javascript,import { x } from \"data:text/javascript,\"', { type: 'module' }), 'error').then(e => e.constructor.name)", "Event"),
        ("next(new Worker('data:text/javascript,import x from \"nowhere\"', { type: 'module' }), 'error').then(e => e.constructor.name)", "Event"),
        (
            "next(new Worker('data:text/javascript,await 0; null.x', { type: 'module' }), 'error').then(e => { e.preventDefault(); return e.constructor.name })",
            "ErrorEvent",
        ),
        // Where the parser stopped, not where the script was imported.
        (
            "const w = worker(() => { importScripts('data:text/javascript,1;%0A let %3D') });
             next(w, 'error').then(e => { e.preventDefault(); return [e.filename, e.lineno, e.colno].join() })",
            "data:text/javascript,1;%0A let %3D,2,7",
        ),
    ]);
}

#[test]
fn close_ends_the_worker_after_its_task() {
    cases(&[
        (
            "const w = worker(() => { postMessage(1); close(); postMessage(2); setTimeout(() => postMessage('timer')); Promise.resolve().then(() => postMessage(3)) });
             const log = []; w.onmessage = e => log.push(e.data); w.onerror = () => log.push('error');
             new Promise(r => setTimeout(function wait() { log.length < 3 ? setTimeout(wait, 1) : r(log.join()) }, 1))",
            "1,2,3",
        ),
        (
            "const w = worker(() => { onmessage = () => { close(); postMessage('closing') } }); w.postMessage(1); w.postMessage(2);
             next(w).then(e => { w.postMessage(3); return e.data })",
            "closing",
        ),
        // What is due already, and what has come already, is dropped.
        (
            "const w = worker(() => { onmessage = () => {
                setTimeout(() => postMessage('timer')); setTimeout(() => postMessage('timer'), 1);
                const end = Date.now() + 5; while (Date.now() < end); close(); postMessage('closing') } });
             w.postMessage(1); w.postMessage(2); w.postMessage(3);
             const log = []; w.onmessage = e => log.push(e.data);
             next(w).then(() => new Promise(r => setTimeout(() => r(log.join()), 30)))",
            "closing",
        ),
    ]);
}

#[test]
fn terminate_stops_what_never_ends() {
    let loops = [
        "() => { postMessage('up'); for (;;); }",
        "() => { postMessage('up'); const again = () => Promise.resolve().then(again); again() }",
        "() => { postMessage('up'); try { for (;;); } finally { for (;;) postMessage('not stopped') } }",
        "() => { postMessage('up'); setInterval(() => { for (;;); }) }",
        "() => { setInterval(() => postMessage('up')) }",
        "() => { const inner = new Worker('data:text/javascript,postMessage(0);for(;;);'); inner.onmessage = () => postMessage('up') }",
    ];
    for script in loops {
        let script = format!(
            "const w = worker({script}); let late = 0;
             next(w).then(async e => {{ w.terminate(); w.onmessage = () => late++; w.postMessage(1); w.terminate(); await new Promise(r => setTimeout(r, 20)); return e.data + late }})"
        );
        let started = std::time::Instant::now();
        assert_eq!(eval(&script).as_deref(), Ok("up0"), "{script}");
        assert!(started.elapsed().as_secs() < 5, "{script}");
    }
}

#[test]
fn a_program_ends_when_nothing_can_happen_any_more() {
    cases(&[
        // The worker listens, but nobody is left who could speak.
        (
            "globalThis.w = worker(() => { onmessage = () => {} }); 'over'",
            "over",
        ),
        (
            "worker(() => { onmessage = e => postMessage(e.data) }).postMessage(1); 'over'",
            "over",
        ),
        (
            "const w = worker(() => { const c = new MessageChannel(); c.port1.onmessage = () => {}; postMessage(0, [c.port2]) }); w.onmessage = ({ ports: [p] }) => { p.onmessage = () => {} }; 'over'",
            "over",
        ),
        // A worker's timer keeps its program running, whether or not anybody listens.
        (
            "const w = worker(() => { setTimeout(() => postMessage('late'), 30) }); globalThis.late = 'nothing'; w.onmessage = e => { late = e.data }; null",
            "null",
        ),
    ]);
    let mut agent = Agent::new();
    agent.eval(PRELUDE).unwrap();
    agent
        .eval("var late; worker(() => { setTimeout(() => postMessage('late'), 30) }).onmessage = e => { late = e.data }")
        .unwrap();
    assert_eq!(agent.eval("late").as_deref(), Ok("late"));
}

#[test]
fn workers_start_workers() {
    cases(&[(
        "const w = worker(() => {
            const inner = new Worker('data:text/javascript,' + encodeURIComponent('onmessage = e => postMessage(e.data.map(x => x * x))'));
            onmessage = e => inner.postMessage(e.data); inner.onmessage = e => postMessage(e.data);
         });
         w.postMessage([1, 2, 3]); next(w).then(e => e.data.join())",
        "1,4,9",
    )]);
}

#[test]
fn a_worker_has_a_navigator_of_its_own_kind() {
    cases(&[(
        "const w = worker(() => postMessage([String(navigator), navigator instanceof WorkerNavigator, typeof Navigator, navigator.userAgent, navigator.languages, origin].join()));
         next(w).then(e => e.data === ['[object WorkerNavigator],true,undefined', navigator.userAgent, navigator.languages, origin].join())",
        "true",
    )]);
}

//! What scripts see of streams, where the standard's own tests are not looked at.
#![allow(clippy::unwrap_used)]

use crate::testing::cases;

#[test]
fn strategies_measure() {
    cases(&[
        (
            "const b = new ByteLengthQueuingStrategy({ highWaterMark: 3 }), c = new CountQueuingStrategy({ highWaterMark: 2 });
             [b.highWaterMark, b.size({ byteLength: 7 }), c.highWaterMark, c.size(), b.size === new ByteLengthQueuingStrategy({ highWaterMark: 0 }).size,
              b.size.name, b.size.length, c.size.length].join()",
            "3,7,2,1,true,size,1,0",
        ),
        ("error(() => new CountQueuingStrategy({}))", "TypeError"),
        ("error(() => new WritableStream({}, { highWaterMark: -1 }))", "RangeError"),
        ("error(() => new ReadableStream({}, { size: 1 }))", "TypeError"),
    ]);
}

#[test]
fn chunks_are_written_one_after_the_other() {
    cases(&[
        (
            "const log = [];
             const ws = new WritableStream({
                 start() { log.push('start') }, write(c) { log.push('write ' + c) }, close() { log.push('close') },
             });
             const w = ws.getWriter(); log.push(w.desiredSize); w.write(1); w.write(2); log.push(w.desiredSize);
             w.close().then(() => log.join())",
            "start,1,-1,write 1,write 2,close",
        ),
        (
            "let signal; const ws = new WritableStream({ start(c) { signal = c.signal } });
             ws.abort('why').then(() => [signal.aborted, signal.reason, signal === signal].join())",
            "true,why,true",
        ),
        (
            "const ws = new WritableStream(); const w = ws.getWriter(); w.releaseLock();
             Promise.all([rejection(w.closed), rejection(w.ready), rejection(w.write(1)), ws.locked]).then(String)",
            "TypeError,TypeError,TypeError,false",
        ),
    ]);
}

#[test]
fn chunks_are_read_and_piped() {
    cases(&[
        (
            "const rs = new ReadableStream({ start(c) { c.enqueue(1); c.enqueue(2); c.close() } });
             (async () => { const log = []; for await (const x of rs) log.push(x); return [log, rs.locked].join() })()",
            "1,2,false",
        ),
        (
            "(async () => { const log = []; for await (const x of ReadableStream.from([1, Promise.resolve(2)])) log.push(x); return log.join() })()",
            "1,2",
        ),
        (
            "const log = []; const ts = new TransformStream({ transform(x, c) { c.enqueue(x * 2) }, flush(c) { c.enqueue('end') } });
             ReadableStream.from([1, 2, 3]).pipeThrough(ts).pipeTo(new WritableStream({ write(x) { log.push(x) } })).then(() => log.join())",
            "2,4,6,end",
        ),
        (
            "const [a, b] = ReadableStream.from('xy').tee(); const all = async s => { const l = []; for await (const c of s) l.push(c); return l };
             Promise.all([all(a), all(b)]).then(String)",
            "x,y,x,y",
        ),
        (
            "const c = new AbortController(); let canceled; const rs = new ReadableStream({ cancel(r) { canceled = r } });
             const p = rs.pipeTo(new WritableStream(), { signal: c.signal }); c.abort('stop');
             p.catch(e => [e, canceled, rs.locked].join())",
            "stop,stop,false",
        ),
    ]);
}

/// Nothing that a script may replace is looked up on the way.
#[test]
fn scripts_cannot_interfere() {
    cases(&[
        (
            "const then = Promise.prototype.then, log = [];
             Promise.prototype.then = function () { log.push('then'); return then.apply(this, arguments) };
             Object.defineProperty(Promise.prototype, 'constructor', { get() { log.push('constructor'); return Promise } });
             Object.defineProperty(Object.prototype, 'then', { get() { log.push('object') }, configurable: true });
             for (const name of ['ReadableStream', 'WritableStream', 'TransformStream', 'Promise']) globalThis[name + '_'] = globalThis[name];
             const [a, b] = new ReadableStream({ start(c) { c.enqueue(1); c.close() } }).tee();
             const got = []; let done;
             a.pipeTo(new WritableStream({ write(x) { got.push(x) } })); b.pipeThrough(new TransformStream());
             setTimeout(() => { delete Object.prototype.then; Promise.prototype.then = then; done([got, log.length].join()) }, 5);
             new Promise(resolve => done = resolve)",
            "1,0",
        ),
    ]);
}

/// What a callback does to its own stream.
#[test]
fn callbacks_may_do_anything() {
    cases(&[
        (
            "let c; const rs = new ReadableStream({ start(x) { c = x } }, { size() { c.error('in size'); return 1 } });
             c.enqueue(1); rejection(rs.getReader().read())",
            "thrown in size",
        ),
        (
            "let c; const rs = new ReadableStream({ start(x) { c = x }, pull() { c.enqueue('p'); c.close() } });
             const r = rs.getReader(); Promise.all([r.read(), r.read()]).then(x => JSON.stringify(x))",
            r#"[{"value":"p","done":false},{"done":true}]"#,
        ),
        (
            "let w; const ws = new WritableStream({}, { size() { w.releaseLock(); return 1 } }); w = ws.getWriter(); rejection(w.write(1))",
            "TypeError",
        ),
    ]);
}

#[test]
fn bytes_are_read_into_buffers() {
    cases(&[
        (
            "const rs = new ReadableStream({ type: 'bytes', start(c) { c.enqueue(new Uint8Array([1, 2, 3])); c.close() } });
             const r = rs.getReader({ mode: 'byob' }), view = new Uint8Array(2);
             (async () => { const a = await r.read(view), b = await r.read(new DataView(new ArrayBuffer(8), 1)), c = await r.read(new Uint8Array(1));
                 return [a.value, view.byteLength, b.value.byteLength, b.value.getUint8(0), b.value.byteOffset, c.done, c.value.length].join('|') })()",
            "1,2|0|1|3|1|true|0",
        ),
        (
            "const rs = new ReadableStream({ type: 'bytes', pull(c) { c.byobRequest.view[0] = 7; c.byobRequest.respond(1) } });
             rs.getReader({ mode: 'byob' }).read(new Uint16Array(2), { min: 2 }).then(({ value }) => value.join())",
            "1799,1799",
        ),
        (
            "const rs = new ReadableStream({ type: 'bytes', pull(c) { c.enqueue(new Uint8Array([9])) } }); const [a, b] = rs.tee();
             Promise.all([a.getReader().read(), b.getReader({ mode: 'byob' }).read(new Uint8Array(4))]).then(l => l.map(x => x.value).join('|'))",
            "9|9",
        ),
        ("error(() => new ReadableStream().getReader({ mode: 'byob' }))", "TypeError"),
        ("const rs = new ReadableStream({ type: 'bytes' }); rejection(rs.getReader({ mode: 'byob' }).read(new Uint8Array(0)))", "TypeError"),
        ("const rs = new ReadableStream({ type: 'bytes' }); rejection(rs.getReader({ mode: 'byob' }).read(new Uint8Array(1), { min: 2 }))", "RangeError"),
        (
            "const rs = new ReadableStream({ type: 'bytes' }), view = new Uint8Array(8);
             rejection(rs.getReader({ mode: 'byob' }).read(view, { get min() { view.buffer.transfer(); return 1 } }))",
            "TypeError",
        ),
    ]);
}

//! What scripts see of structured clones.

use crate::testing::cases;

#[test]
fn primitives_are_themselves() {
    cases(&[
        (
            "[undefined, null, true, 'é\\ud800', 1.5, -0, NaN, 2n ** 70n, -3n].every(v => Object.is(structuredClone(v), v))",
            "true",
        ),
        ("error(() => structuredClone())", "TypeError"),
        (
            "error(() => structuredClone(Symbol()))",
            "DataCloneError 25",
        ),
        (
            "[structuredClone.length, structuredClone.name].join()",
            "1,structuredClone",
        ),
    ]);
}

#[test]
fn wrappers_dates_and_regular_expressions_are_made_anew() {
    cases(&[
        (
            "[Object(true), Object(1), Object('s'), Object(3n)].map(v => { const c = structuredClone(v); return [typeof c, c !== v, c.constructor.name, c.valueOf() === v.valueOf()] }).join('|')",
            "object,true,Boolean,true|object,true,Number,true|object,true,String,true|object,true,BigInt,true",
        ),
        (
            "error(() => structuredClone(Object(Symbol())))",
            "DataCloneError 25",
        ),
        (
            "const d = new Date(86400000); const c = structuredClone(d); [c instanceof Date, +c, c !== d].join()",
            "true,86400000,true",
        ),
        ("isNaN(structuredClone(new Date(NaN)))", "true"),
        (
            "const r = /a\\/(?<n>b)\\n/dgimsy; r.lastIndex = 3; const c = structuredClone(r); [String(c) === String(r), c.lastIndex].join()",
            "true,0",
        ),
        ("String(structuredClone(new RegExp('')))", "/(?:)/"),
        ("structuredClone(/[\\p{L}--a]/v).flags", "v"),
        // What a script has put in the way of the internal slots is not asked.
        (
            "const r = /x/g; Object.defineProperty(r, 'flags', { get() { throw 1 } }); Object.defineProperty(RegExp.prototype, 'global', { get() { throw 2 } }); structuredClone(r).source",
            "x",
        ),
        (
            "const d = new Date(5); d.getTime = d.valueOf = () => 6; Date.prototype.getTime.call(structuredClone(d))",
            "5",
        ),
        (
            "class D extends Date { x = 1 } const c = structuredClone(new D(1)); [c.constructor.name, 'x' in c].join()",
            "Date,false",
        ),
    ]);
}

#[test]
fn objects_and_arrays_keep_their_enumerable_own_string_keys() {
    cases(&[
        (
            "JSON.stringify(structuredClone({ a: 1, b: { c: [1, 'x', null] }, 2: 'two' }))",
            r#"{"2":"two","a":1,"b":{"c":[1,"x",null]}}"#,
        ),
        (
            "const o = Object.create({ inherited: 1 }, { hidden: { value: 1 }, seen: { value: 2, enumerable: true }, [Symbol()]: { value: 3, enumerable: true } }); JSON.stringify(structuredClone(o))",
            r#"{"seen":2}"#,
        ),
        (
            "class C { #p = 1; x = 2 } const c = structuredClone(new C()); [c.constructor.name, c.x].join()",
            "Object,2",
        ),
        (
            "const c = structuredClone(Object.freeze({ get a() { return 1 } })); JSON.stringify(Object.getOwnPropertyDescriptor(c, 'a'))",
            r#"{"value":1,"writable":true,"enumerable":true,"configurable":true}"#,
        ),
        (
            "const a = [1, , 3]; a.named = 'x'; a.length = 10; const c = structuredClone(a); [c.length, 1 in c, c.named, Array.isArray(c)].join()",
            "10,false,x,true",
        ),
        (
            "structuredClone(Object.assign([], { length: 2 ** 32 - 1 })).length",
            "4294967295",
        ),
        (
            "structuredClone({ ['__proto__']: 1 }).hasOwnProperty('__proto__')",
            "true",
        ),
        (
            "Object.getPrototypeOf(structuredClone(Object.create(null))) === Object.prototype",
            "true",
        ),
    ]);
}

#[test]
fn getters_run_in_order_and_their_errors_propagate() {
    cases(&[
        ("error(() => structuredClone({ get a() { throw new RangeError } }))", "RangeError"),
        ("const log = []; const nested = name => ({ get x() { log.push(name + '.x') }, get y() { log.push(name + '.y') } });
          structuredClone({ get a() { log.push('a'); return nested('a') }, get b() { log.push('b'); return [nested('b')] }, c: log.push('c') }); log.join()",
         "c,a,a.x,a.y,b,b.x,b.y"),
        // A property that is gone by its turn is left out; a new one is not looked at.
        ("const o = { get a() { delete o.b; o.c = 1; return 0 }, b: 1 }; Object.keys(structuredClone(o)).join()", "a"),
        ("const m = new Map([[{ get x() { m.set('late', 1); return 1 } }, 2]]); structuredClone(m).size", "1"),
    ]);
}

#[test]
fn maps_and_sets_keep_order_and_identity() {
    cases(&[
        (
            "const k = { k: 1 }; const c = structuredClone(new Map([[k, 'v'], ['self', k], [NaN, -0]])); const [key] = c.keys(); [c instanceof Map, key.k, c.get('self') === key, c.get(NaN), key !== k].join()",
            "true,1,true,0,true",
        ),
        (
            "const s = new Set([1, 'a', {}]); s.add(s); const c = structuredClone(s); [c instanceof Set, c.size, [...c][3] === c].join()",
            "true,4,true",
        ),
        (
            "const m = new Map([[1, new Set([2])]]); Map.prototype.set = Set.prototype.add = () => { throw 1 }; structuredClone(m).get(1).size",
            "1",
        ),
    ]);
}

#[test]
fn cycles_and_shared_objects_stay_so() {
    cases(&[
        (
            "const o = { a: [] }; o.self = o; o.a.push(o, o.a); const c = structuredClone(o); [c.self === c, c.a[0] === c, c.a[1] === c.a, c !== o].join()",
            "true,true,true,true",
        ),
        (
            "const d = new Date(0); const c = structuredClone([d, d, new Date(0)]); [c[0] === c[1], c[0] === c[2]].join()",
            "true,false",
        ),
    ]);
}

#[test]
fn depth_does_not_matter() {
    cases(&[
        (
            "let o = {}; for (let i = 0; i < 100000; i++) o = { o }; let c = structuredClone(o); let n = 0; while (c.o) { c = c.o; n++ } n",
            "100000",
        ),
        (
            "let a = []; for (let i = 0; i < 100000; i++) a = i % 2 ? [a] : new Map([[a, new Set([a])]]); structuredClone(a).length",
            "1",
        ),
        (
            "let e = new Error('0'); for (let i = 1; i < 20000; i++) e = new Error(i, { cause: e }); structuredClone(e).cause.cause.message",
            "19997",
        ),
    ]);
}

#[test]
fn errors_keep_name_message_stack_and_cause() {
    cases(&[
        (
            "[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(E => { const c = structuredClone(new E('m')); return c.constructor === E && c.message === 'm' && Object.prototype.toString.call(c) === '[object Error]' }).join()",
            "true,true,true,true,true,true,true",
        ),
        (
            "class My extends TypeError { get name() { return 'My' } extra = 1 } const c = structuredClone(new My('m')); [c.constructor.name, c.name, 'extra' in c].join()",
            "Error,Error,false",
        ),
        (
            "const e = new RangeError('x', { cause: { e: 1 } }); const c = structuredClone(e); [c.cause.e, c.stack === e.stack, Object.keys(c).length].join()",
            "1,true,0",
        ),
        (
            "structuredClone(new Error()).hasOwnProperty('message')",
            "false",
        ),
        (
            "const e = new Error('x'); Object.defineProperty(e, 'message', { get() { throw 1 } }); structuredClone(e).hasOwnProperty('message')",
            "false",
        ),
        (
            "error(() => structuredClone(Object.defineProperty(new Error(), 'name', { get() { throw new URIError } })))",
            "URIError",
        ),
        (
            "const e = new Error('m'); e.cause = e; const c = structuredClone(e); c.cause === c",
            "true",
        ),
        (
            "const e = new DOMException('m', 'AbortError'); const c = structuredClone(e); [c instanceof DOMException, c.name, c.message, c.code, c.stack === e.stack].join()",
            "true,AbortError,m,20,true",
        ),
    ]);
}

#[test]
fn buffers_are_copied_and_views_keep_their_place() {
    cases(&[
        ("const u = new Uint8Array([1, 2, 3, 4]); const c = structuredClone(u.subarray(1, 3)); c[0] = 9; [c.join(), c.byteOffset, c.buffer.byteLength, u.join()].join('|')", "9,3|1|4|1,2,3,4"),
        ("const b = new ArrayBuffer(16); const c = structuredClone([new Int16Array(b, 2, 3), new DataView(b, 1, 5), b, new BigInt64Array(b, 8)]);
          [c[0].buffer === c[2], c[1].buffer === c[2], c[3].buffer === c[2], c[0].length, c[1].byteOffset, c[1].byteLength, c[3].length, c[0].constructor.name].join()",
         "true,true,true,3,1,5,1,Int16Array"),
        ("[Int8Array, Uint8ClampedArray, Uint32Array, Float32Array, Float64Array, BigUint64Array].every(T => { const c = structuredClone(new T(2)); return c.constructor === T && c.length === 2 })", "true"),
        ("const b = new ArrayBuffer(2); b.transfer(); error(() => structuredClone(b)) + '|' + error(() => structuredClone([b]))", "DataCloneError 25|DataCloneError 25"),
        ("const u = new Uint8Array(2); u.buffer.transfer(); error(() => structuredClone(u))", "DataCloneError 25"),
        ("const s = new SharedArrayBuffer(2); const c = structuredClone(new Uint8Array(s)); c[0] = 7; [new Uint8Array(s)[0], c.buffer instanceof SharedArrayBuffer].join()", "7,true"),
    ]);
}

#[test]
fn resizable_buffers_and_views_that_follow_them_stay_so() {
    cases(&[
        ("const b = new ArrayBuffer(4, { maxByteLength: 8 }); const c = structuredClone(b); c.resize(8); [c.resizable, c.maxByteLength, c.byteLength, b.byteLength].join()", "true,8,8,4"),
        ("const b = new ArrayBuffer(4, { maxByteLength: 8 }); const c = structuredClone([new Uint8Array(b, 1), new Uint8Array(b, 1, 3), new Uint16Array(b)]); c[0].buffer.resize(8); c.map(v => v.length).join()", "7,3,4"),
        ("const at = (length, ...args) => { const b = new ArrayBuffer(length, { maxByteLength: 8 }); new Uint8Array(b).fill(5); const v = structuredClone(new DataView(b, ...args));
            const before = new Uint8Array(b).join('') + new Uint8Array(v.buffer).join(''); let after; v.buffer.resize(length === 8 ? 7 : 8); try { after = v.byteLength } catch { after = 'out' } return [before, after] };
          [at(4), at(4, 1), at(4, 0, 4), at(8), at(8, 2), at(8, 0, 8), at(8, 2, 1)].join('|')",
         "55555555,8|55555555,7|55555555,4|5555555555555555,7|5555555555555555,5|5555555555555555,out|5555555555555555,1"),
        ("const b = new ArrayBuffer(8, { maxByteLength: 8 }); const views = [new Uint8Array(b, 4, 4), new DataView(b, 4, 4), new Uint8Array(b, 6)]; b.resize(5); views.map(v => error(() => structuredClone(v))).join()",
         "DataCloneError 25,DataCloneError 25,DataCloneError 25"),
        ("const b = new ArrayBuffer(4, { maxByteLength: 8 }); const c = structuredClone(b, { transfer: [b] }); [c.maxByteLength, b.detached].join()", "8,true"),
    ]);
}

#[test]
fn transferred_buffers_move() {
    cases(&[
        (
            "const b = new Uint8Array([1, 2]).buffer; const c = structuredClone({ b, u: new Uint8Array(b, 1) }, { transfer: [b] }); [b.detached, c.u[0], c.u.buffer === c.b].join()",
            "true,2,true",
        ),
        (
            "const b = new ArrayBuffer(1); structuredClone(1, { transfer: [b] }); b.detached",
            "true",
        ),
        (
            "const b = new ArrayBuffer(1); error(() => structuredClone(b, { transfer: [b, b] })) + b.detached",
            "DataCloneError 25false",
        ),
        (
            "[{}, new SharedArrayBuffer(1), new Uint8Array(1), new Blob()].map(t => error(() => structuredClone(1, { transfer: [t] }))).join()",
            "DataCloneError 25,DataCloneError 25,DataCloneError 25,DataCloneError 25",
        ),
        (
            "const b = new ArrayBuffer(1); b.transfer(); error(() => structuredClone(1, { transfer: [b] }))",
            "DataCloneError 25",
        ),
        // An error leaves the buffer where it was; a getter may detach it meanwhile.
        (
            "const b = new ArrayBuffer(1); error(() => structuredClone({ b, f() {} }, { transfer: [b] })) + b.detached",
            "DataCloneError 25false",
        ),
        (
            "const b = new ArrayBuffer(1); error(() => structuredClone({ get x() { b.transfer() } }, { transfer: [b] }))",
            "DataCloneError 25",
        ),
        (
            "[1, [1], null].map(transfer => error(() => structuredClone(1, { transfer }))).join()",
            "TypeError,TypeError,TypeError",
        ),
        ("error(() => structuredClone(1, 2))", "TypeError"),
        ("structuredClone(1, { transfer: new Set() })", "1"),
    ]);
}

#[test]
fn blobs_share_their_bytes() {
    cases(&[(
        "const b = new Blob(['abc'], { type: 'text/x' }).slice(1, 3, 'a/b'); const c = structuredClone({ b }).b; c.text().then(t => [t, c.type, c !== b, c instanceof Blob].join())",
        "bc,a/b,true,true",
    )]);
    cases(&[(
        "const f = new File(['abc'], 'n', { type: 'text/x', lastModified: 7 }); const [c, d] = structuredClone([f, f]);
         c.text().then(t => [t, c.name, c.lastModified, c.type, c !== f, c === d, c instanceof File, structuredClone(f.slice(1)) instanceof File].join())",
        "abc,n,7,text/x,true,true,true,false",
    )]);
}

#[test]
fn everything_else_cannot_be_cloned() {
    cases(&[
        ("[() => {}, class {}, Math.max, Promise.resolve(), new WeakMap(), new WeakSet(), new WeakRef({}), new Proxy({}, {}), new Proxy([], {}), [].keys(), (function* () {})(), new URL('a:b'), new EventTarget(), new Event('x'), new AbortController(), globalThis, { a: { b: () => {} } }]
            .map(v => error(() => structuredClone(v))).filter(e => e !== 'DataCloneError 25').length", "0"),
    ]);
}

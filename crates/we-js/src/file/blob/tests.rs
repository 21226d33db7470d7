//! What scripts see of blobs, in the order of the standard.

use crate::testing::cases;

#[test]
fn the_constructor_takes_no_parts_or_a_sequence() {
    cases(&[
        (
            "const b = new Blob(); [b.size, b.type, String(b), Blob.length].join('|')",
            "0||[object Blob]|0",
        ),
        ("new Blob(undefined).size", "0"),
        (
            "[null, true, 1, 'text', new Date(), /x/, {}, { 0: 'x', length: 1 }].map(v => error(() => new Blob(v))).join()",
            "TypeError,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError",
        ),
        ("error(() => Blob())", "TypeError"),
        ("new Blob(new String('xyz')).text()", "xyz"),
        ("new Blob(new Uint8Array([1, 2, 3])).text()", "123"),
        (
            "new Blob({ *[Symbol.iterator]() { yield 'ab'; yield 'cde' } }).text()",
            "abcde",
        ),
    ]);
}

#[test]
fn parts_are_buffers_views_blobs_and_strings() {
    cases(&[
        (
            "new Blob([null, undefined, true, 1.5, ['x', 'y'], {}, 'a\\ud800']).text()",
            "nullundefinedtrue1.5x,y[object Object]a\u{fffd}",
        ),
        (
            "new Blob([new Uint8Array([80, 65, 83, 83]), new Uint16Array([0x4150, 0x5353]), new BigInt64Array([0x5353415053534150n])]).text()",
            "PASSPASSPASSPASS",
        ),
        (
            "new Blob([new DataView(new Uint8Array([65, 66, 67]).buffer, 1, 1), new Uint8Array([68]).buffer]).text()",
            "BD",
        ),
        (
            "const b = new Blob(['foo']); new Blob([b, b, new Blob([b])]).text()",
            "foofoofoo",
        ),
        ("new Blob(['é€😀']).size", "9"),
    ]);
}

#[test]
fn shared_and_resizable_buffers_are_refused_as_their_idl_says() {
    cases(&[
        (
            "new Blob([new SharedArrayBuffer(4)]).text()",
            "[object SharedArrayBuffer]",
        ),
        (
            "error(() => new Blob([new Uint8Array(new SharedArrayBuffer(4))]))",
            "TypeError",
        ),
        (
            "error(() => new Blob([new ArrayBuffer(4, { maxByteLength: 8 })]))",
            "TypeError",
        ),
        (
            "error(() => new Blob([new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 }))]))",
            "TypeError",
        ),
        // The check does not call what a script put in the accessor's place.
        (
            "Object.defineProperty(ArrayBuffer.prototype, 'resizable', { get() { throw 1 } }); new Blob([new ArrayBuffer(2)]).size",
            "2",
        ),
    ]);
}

#[test]
fn a_buffer_that_is_detached_meanwhile_has_no_bytes() {
    cases(&[
        (
            "const b = new ArrayBuffer(4); new Blob([b, { toString() { b.transfer(); return 'x' } }]).text()",
            "x",
        ),
        (
            "const b = new ArrayBuffer(4); b.transfer(); new Blob([b]).size",
            "0",
        ),
    ]);
}

#[test]
fn arguments_are_converted_in_order() {
    cases(&[
        (
            "const log = [];
          new Blob([{ toString() { log.push('part'); return '' } }],
                   { get type() { log.push('type') }, get endings() { log.push('endings') } });
          log.join()",
            "part,endings,type",
        ),
        (
            "error(() => new Blob([{ toString() { throw new RangeError } }], { get type() { throw 1 } }))",
            "RangeError",
        ),
        (
            "const a = [{ toString() { a.pop(); return 'PASS' } }, 'x']; new Blob(a).text()",
            "PASS",
        ),
        (
            "[123, true, 'abc'].map(v => error(() => new Blob([], v))).join()",
            "TypeError,TypeError,TypeError",
        ),
        (
            "[null, /x/, () => {}].map(v => new Blob([], v).type).join()",
            ",,",
        ),
    ]);
}

#[test]
fn line_endings_are_made_native_on_request() {
    let native = if cfg!(windows) {
        "|\\r\\na\\r\\nb\\r\\n\\r\\nc\\r\\n|"
    } else {
        "|\\na\\nb\\n\\nc\\n|"
    };
    cases(&[
        (
            "new Blob(['|\\na\\r\\nb\\n\\rc\\r|'], { endings: 'native' }).text().then(t => t.replace(/\\r/g, '\\\\r').replace(/\\n/g, '\\\\n'))",
            native,
        ),
        (
            "new Blob(['a\\r\\n'], { endings: 'transparent' }).size",
            "3",
        ),
        (
            "error(() => new Blob([], { endings: 'NATIVE' }))",
            "TypeError",
        ),
    ]);
}

#[test]
fn a_type_is_lower_case_printable_ascii_or_nothing() {
    cases(&[
        (
            "['', 'A', 'TEXT/HTML;Charset=UTF-8', ' image/gif '].map(type => new Blob([], { type }).type).join('|')",
            "|a|text/html;charset=utf-8| image/gif ",
        ),
        (
            "['\\u00E5', '\\ud800', '\\timage/gif', 'a\\u007f', 'a\\0', '\\u0130mage'].map(type => new Blob([], { type }).type).join('|')",
            "|||||",
        ),
    ]);
}

#[test]
fn a_slice_counts_from_either_end_and_clamps() {
    cases(&[
        ("const b = new Blob(['0123456789']);
          Promise.all([[], [2], [2, 5], [-3], [-3, -1], [0, 100], [5, 2], [-100, 2], [NaN, 3], [1.5, 2.5], [undefined, 4], [3, undefined],
                       [-Infinity, Infinity], [null, null]]
            .map(a => b.slice(...a).text())).then(t => t.join())",
         "0123456789,23456789,234,789,78,0123456789,,01,012,,0123,3456789,0123456789,"),
        ("const b = new Blob(['x'], { type: 'a/b' }).slice(); [b.type, b instanceof Blob].join()", ",true"),
        ("new Blob(['x']).slice(0, 1, 'Text/Plain').type", "text/plain"),
        ("new Blob(['abc']).slice(1).slice(1).text()", "c"),
    ]);
}

#[test]
fn it_is_read_as_text_array_buffer_and_bytes() {
    cases(&[
        (
            "new Blob([new Uint8Array([0xEF, 0xBB, 0xBF, 0x41, 0xFF])]).text()",
            "A\u{fffd}",
        ),
        (
            "new Blob(['aé']).arrayBuffer().then(b => [b instanceof ArrayBuffer, ...new Uint8Array(b)].join())",
            "true,97,195,169",
        ),
        (
            "new Blob(['aé']).bytes().then(b => [b instanceof Uint8Array, ...b].join())",
            "true,97,195,169",
        ),
        (
            "const b = new Blob(['a']); Promise.all([b.arrayBuffer(), b.arrayBuffer()]).then(([a, b]) => a === b)",
            "false",
        ),
        (
            "const b = new Blob(['a']); b.bytes().then(x => { x[0] = 66; return b.text() })",
            "a",
        ),
        ("rejection(Blob.prototype.text.call({}))", "TypeError"),
        ("new Blob().arrayBuffer().then(b => b.byteLength)", "0"),
    ]);
}

#[test]
fn a_blob_too_large_for_memory_is_an_error() {
    cases(&[
        ("let b = new Blob([new Uint8Array(1 << 20)]); for (let i = 0; i < 5; i++) b = new Blob([b, b]);
          Promise.all([b.size, rejection(b.arrayBuffer()), rejection(b.text()), b.slice(-2).bytes()]).then(a => a.join())",
         "33554432,NotReadableError 0,NotReadableError 0,0,0"),
        ("const part = new Uint8Array(1 << 18); error(() => new Blob(Array(5).fill(part)))", "RangeError"),
    ]);
}

#[test]
fn a_stream_has_the_bytes_in_chunks() {
    cases(&[
        (
            "const blob = new Blob([new Uint8Array(70000).fill(5), 'end']);
             (async () => { const sizes = []; let last; for await (const chunk of blob.stream()) { sizes.push(chunk.length); last = chunk }
                 return [sizes, new TextDecoder().decode(last.subarray(-3)), last instanceof Uint8Array].join() })()",
            "65536,4467,end,true",
        ),
        ("new Blob().stream().getReader().closed.then(() => 'closed')", "closed"),
        ("new Blob(['abc']).stream().getReader({ mode: 'byob' }).read(new Uint8Array(2)).then(r => r.value.join())", "97,98"),
        ("const b = new Blob(['abc']); (async () => { let n = 0; for (const s of [b.stream(), b.stream()]) for await (const c of s) n += c.length; return n })()", "6"),
    ]);
}

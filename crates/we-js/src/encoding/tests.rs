//! What scripts see of encoders and decoders.

use crate::testing::cases;

#[test]
fn the_encoder_makes_utf8() {
    cases(&[
        (
            "const e = new TextEncoder(); [e.encoding, e.encode().length, e.encode(undefined).length, e.encode(null).length].join()",
            "utf-8,0,0,4",
        ),
        (
            "new TextEncoder().encode('aé€😀').join()",
            "97,195,169,226,130,172,240,159,152,128",
        ),
        ("new TextEncoder().encode('é').join()", "195,169"),
        (
            "['\\ud800', 'a\\udc00b', '\\udc00\\ud800'].map(s => new TextEncoder().encode(s)).join('|')",
            "239,191,189|97,239,191,189,98|239,191,189,239,191,189",
        ),
        (
            "const u = new TextEncoder().encode('x'); [u instanceof Uint8Array, u.buffer.byteLength].join()",
            "true,1",
        ),
        (
            "error(() => TextEncoder.prototype.encode.call({}, ''))",
            "TypeError",
        ),
        (
            "error(() => new TextEncoder().encode('€'.repeat(400000)))",
            "RangeError",
        ),
    ]);
}

#[test]
fn encode_into_fills_with_whole_characters() {
    let into = "const into = (s, length, offset = 0) => {
        const u = new Uint8Array(12); const r = new TextEncoder().encodeInto(s, u.subarray(offset, offset + length));
        return [r.read, r.written, u.slice(0, offset + r.written + 1)].join() };";
    let cases_of_into = [
        ("into('abc', 12)", "3,3,97,98,99,0"),
        ("into('abc', 2, 1)", "2,2,0,97,98,0"),
        ("into('é', 1)", "0,0,0"),
        ("into('aé', 2)", "1,1,97,0"),
        ("into('😀a', 4)", "2,4,240,159,152,128,0"),
        ("into('😀a', 3)", "0,0,0"),
        ("into('\\ud800', 3)", "1,3,239,191,189,0"),
        ("into('', 5)", "0,0,0"),
    ];
    for (script, expected) in cases_of_into {
        cases(&[(&format!("{into} {script}"), expected)]);
    }
    cases(&[
        ("const u = new Uint8Array(new SharedArrayBuffer(4), 1); const r = new TextEncoder().encodeInto('aé', u); [r.read, r.written, u].join()",
         "2,3,97,195,169"),
        ("const u = new Uint8Array(4); u.buffer.transfer(); const r = new TextEncoder().encodeInto('abc', u); [r.read, r.written].join()", "0,0"),
        ("[new ArrayBuffer(4), new Int8Array(4), new DataView(new ArrayBuffer(4)), new Uint8ClampedArray(4), [], undefined]
            .map(v => error(() => new TextEncoder().encodeInto('', v))).join()", "TypeError,TypeError,TypeError,TypeError,TypeError,TypeError"),
        // The source may detach the destination when it is converted.
        ("const u = new Uint8Array(4); JSON.stringify(new TextEncoder().encodeInto({ toString() { u.buffer.transfer(); return 'abc' } }, u))",
         "{\"read\":0,\"written\":0}"),
    ]);
}

#[test]
fn the_decoder_knows_all_labels() {
    cases(&[
        (
            "['utf8', ' UTF-8\\n', 'latin1', 'ascii', 'utf-16', 'sjis', 'x-user-defined', 'gb18030', 'iso-8859-8-i'].map(l => new TextDecoder(l).encoding).join()",
            "utf-8,utf-8,windows-1252,windows-1252,utf-16le,shift_jis,x-user-defined,gb18030,iso-8859-8-i",
        ),
        (
            "['', 'utf', 'replacement', 'iso-2022-kr', 'utf-8\\0', '\\u00a0utf-8', 'x\\ud800'].map(l => error(() => new TextDecoder(l))).join()",
            "RangeError,RangeError,RangeError,RangeError,RangeError,RangeError,RangeError",
        ),
        (
            "const d = new TextDecoder(undefined, { fatal: 1, ignoreBOM: 'x' }); [d.encoding, d.fatal, d.ignoreBOM, String(d)].join()",
            "utf-8,true,true,[object TextDecoder]",
        ),
        (
            "const d = new TextDecoder(); [d.fatal, d.ignoreBOM].join()",
            "false,false",
        ),
    ]);
}

#[test]
fn the_decoder_takes_any_buffer_source() {
    cases(&[
        ("const b = new Uint8Array([65, 66, 67, 68]).buffer; const d = new TextDecoder();
          [d.decode(), d.decode(undefined), d.decode(b), d.decode(new Uint8Array(b, 1, 2)), d.decode(new DataView(b, 3)), d.decode(new Uint16Array(b, 2))].join()",
         ",,ABCD,BC,D,CD"),
        ("const u = new Uint8Array(new SharedArrayBuffer(2)); u.fill(65); const d = new TextDecoder(); d.decode(u) + d.decode(u.buffer)", "AAAA"),
        ("const b = new ArrayBuffer(2, { maxByteLength: 4 }); new TextDecoder().decode(b).length", "2"),
        ("const b = new ArrayBuffer(2); b.transfer(); new TextDecoder().decode(b)", ""),
        ("[null, 'x', {}, [65]].map(v => error(() => new TextDecoder().decode(v))).join()", "TypeError,TypeError,TypeError,TypeError"),
        // An odd number of bytes at an odd offset.
        ("new TextDecoder('utf-16le').decode(new Uint8Array([0, 65, 0, 66]).subarray(1))", "A\u{fffd}"),
        ("const u = new Uint8Array([65]); new TextDecoder().decode(u, { get stream() { u.buffer.transfer() } })", ""),
    ]);
}

#[test]
fn malformed_bytes_are_replaced_or_fatal() {
    cases(&[
        (
            "const d = new TextDecoder(); [[0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x41], [0xed, 0xa0, 0x80]].map(b => d.decode(new Uint8Array(b)).length).join()",
            "1,1,1,2,3",
        ),
        (
            "const d = new TextDecoder('utf-8', { fatal: true }); [[0xff], [0xc3], [0xed, 0xa0, 0x80]].map(b => error(() => d.decode(new Uint8Array(b)))).join()",
            "TypeError,TypeError,TypeError",
        ),
        (
            "error(() => new TextDecoder('utf-16le', { fatal: true }).decode(new Uint8Array([0, 0xd8])))",
            "TypeError",
        ),
        (
            "error(() => new TextDecoder('euc-jp', { fatal: true }).decode(new Uint8Array([0xff])))",
            "TypeError",
        ),
        (
            "new TextDecoder('windows-1252').decode(new Uint8Array([0x80, 0xe9]))",
            "€é",
        ),
        (
            "new TextDecoder('shift_jis').decode(new Uint8Array([0x82, 0xa0]))",
            "あ",
        ),
    ]);
}

#[test]
fn a_byte_order_mark_is_removed_once_unless_ignored() {
    cases(&[
        ("const b = [0xef, 0xbb, 0xbf]; const u = new Uint8Array([...b, ...b, 65]);
          [new TextDecoder().decode(u), new TextDecoder('utf-8', { ignoreBOM: true }).decode(u)].map(s => s.length).join()", "2,3"),
        ("new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 65]))", "A"),
        ("new TextDecoder('utf-16be').decode(new Uint8Array([0xfe, 0xff, 0, 65]))", "A"),
        ("new TextDecoder('utf-16le').decode(new Uint8Array([0xfe, 0xff])).length", "1"),
        ("new TextDecoder('windows-1252').decode(new Uint8Array([0xef, 0xbb, 0xbf]))", "ï»¿"),
        ("const d = new TextDecoder(); const parts = [0xef, 0xbb, 0xbf, 65].map(b => d.decode(new Uint8Array([b]), { stream: true })); parts.join('|') + d.decode()",
         "|||A"),
        // Each text has its own.
        ("const d = new TextDecoder(); const u = new Uint8Array([0xef, 0xbb, 0xbf]); d.decode(u).length + d.decode(u).length", "0"),
    ]);
}

#[test]
fn a_stream_keeps_the_rest_of_a_character() {
    cases(&[
        ("const d = new TextDecoder(); let s = ''; for (const b of new TextEncoder().encode('aé€😀')) s += d.decode(new Uint8Array([b]), { stream: true }); s + d.decode()",
         "aé€😀"),
        ("const d = new TextDecoder(); d.decode(new Uint8Array([0xe2, 0x82]), { stream: true }) + '|' + d.decode() + '|' + d.decode(new Uint8Array([65]))", "|\u{fffd}|A"),
        ("const d = new TextDecoder('utf-16le'); d.decode(new Uint8Array([0x3d]), { stream: true }) + d.decode(new Uint8Array([0xd8, 0, 0xde]), { stream: true }) + d.decode()", "😀"),
        ("const d = new TextDecoder('utf-16le', { fatal: true }); const odd = new Uint8Array(1), even = new Uint8Array(2);
          [d.decode(odd, { stream: true }), d.decode(odd).length,
           error(() => { d.decode(even, { stream: true }); d.decode(odd) }), error(() => { d.decode(odd, { stream: true }); d.decode(even) }),
           d.decode(odd, { stream: true }), d.decode(odd).length].join()", ",1,TypeError,TypeError,,1"),
        // What follows an error is still in the queue of a stream.
        ("const d = new TextDecoder('utf-8', { fatal: true }); const bad = new Uint8Array([65, 0xff, 66]);
          [error(() => d.decode(bad, { stream: true })), d.decode(new Uint8Array([67]))].join()", "TypeError,BC"),
    ]);
}

//! What needs no server; the rest is in `tests/fetch.rs`.

use crate::testing::cases;

#[test]
fn headers_are_sorted_combined_and_checked() {
    cases(&[
        (
            "const h = new Headers([['B', ' 2 '], ['a', '1'], ['b', '3'], ['Set-Cookie', 'x'], ['set-cookie', 'y']]);
             [...h].map(p => p.join('=')).join(';') + h.getSetCookie().length + h.get('x') + h.has('A')",
            "a=1;b=2, 3;set-cookie=x;set-cookie=y2nulltrue",
        ),
        // An iterator sees what changes while it runs.
        (
            "const h = new Headers({ b: '1', c: '2' }); const seen = [];
             for (const [name] of h) { seen.push(name); if (seen.length === 1) h.append('a', '0'); if (name === 'c') h.delete('c') }
             seen.join()",
            "b,b,c",
        ),
        ("error(() => new Headers({ 'a b': 'c' }))", "TypeError"),
        ("error(() => new Headers({ a: 'b\\0' }))", "TypeError"),
        ("error(() => new Headers({ a: '\\u0100' }))", "TypeError"),
        ("error(() => new Headers([['a']]))", "TypeError"),
        ("error(() => new Headers(null))", "TypeError"),
        ("error(() => Response.error().headers.append('a', 'b'))", "TypeError"),
    ]);
}

#[test]
fn a_body_is_read_once_and_in_many_forms() {
    cases(&[
        (
            "(async () => {
                const r = new Response('{\"a\":\"\\u00fc\"}');
                const parts = [(await r.clone().json()).a, (await r.clone().arrayBuffer()).byteLength,
                    (await r.clone().bytes()).length, (await r.clone().blob()).type, await r.text(), r.bodyUsed];
                return parts.concat(await rejection(r.text()), error(() => r.clone())).join();
            })()",
            "\u{fc},10,10,text/plain;charset=UTF-8,{\"a\":\"\u{fc}\"},true,TypeError,TypeError",
        ),
        (
            "(async () => {
                const stream = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array([104, 105])); c.close() } });
                return new Response(stream).text();
            })()",
            "hi",
        ),
        (
            "rejection(new Response(new ReadableStream({ pull(c) { c.enqueue('x') } })).text())",
            "TypeError",
        ),
        ("rejection(new Response('{').json())", "SyntaxError"),
        ("rejection(new Response('').formData())", "TypeError"),
        ("new Response(new URLSearchParams('a=b c')).text()", "a=b+c"),
        ("new Response().text()", ""),
        // A limit of the tests' agents: 1 MiB.
        ("new Response('x'.repeat(800_000)).text().then(text => text.length)", "800000"),
        ("rejection(new Response('\u{fc}' + 'x'.repeat(800_000)).text())", "RangeError"),
        ("rejection(new Response('\u{fc}' + 'x'.repeat(800_000)).json())", "RangeError"),
        (
            "const chunk = new Uint8Array(600_000);
             const twice = () => new ReadableStream({ start(c) { c.enqueue(chunk); c.enqueue(chunk); c.close() } });
             rejection(new Response(twice()).arrayBuffer())",
            "RangeError",
        ),
    ]);
}

/// A stream of many chunks that are there already is read in a loop, not by recursion.
#[test]
fn many_chunks_do_not_exhaust_the_stack() {
    cases(&[(
        "const stream = new ReadableStream({ start(c) {
             for (let i = 0; i < 20000; i++) c.enqueue(new Uint8Array(1)); c.close() } });
         new Response(stream).arrayBuffer().then(b => b.byteLength)",
        "20000",
    )]);
}

#[test]
fn responses_are_constructed() {
    cases(&[
        (
            "const r = new Response(null, { status: 201, statusText: 'ok', headers: { 'Set-Cookie': 'a', b: 'c' } });
             [r.type, r.url, r.redirected, r.status, r.ok, r.statusText, [...r.headers], r.body].join()",
            "default,,false,201,true,ok,b,c,",
        ),
        ("error(() => new Response('', { status: 204 }))", "TypeError"),
        ("error(() => new Response('', { status: 199 }))", "RangeError"),
        ("error(() => new Response('', { statusText: '\\n' }))", "TypeError"),
        ("[Response.error().type, Response.error().status].join()", "error,0"),
        (
            "const r = Response.redirect('http://x/y', 303); [r.status, r.headers.get('location')].join()",
            "303,http://x/y",
        ),
        ("error(() => Response.redirect('http://x', 200))", "RangeError"),
        ("error(() => Response.redirect('x'))", "TypeError"),
        ("Response.json({ a: 1 }).text()", "{\"a\":1}"),
        ("Response.json(1).headers.get('content-type')", "application/json"),
        ("error(() => Response.json(undefined))", "TypeError"),
    ]);
}

//! What scripts see of URLs and their queries.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::testing::{Agent, cases};

#[test]
fn a_url_is_parsed_against_a_base() {
    cases(&[
        ("const u = new URL('HTTP://User:Pa%20ss@EXAMPLE.com:8080/a/../b%7C/ü?q=ä b#f r');
          [u.href, u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash].join(' | ')",
         "http://User:Pa%20ss@example.com:8080/b%7C/%C3%BC?q=%C3%A4%20b#f%20r | http://example.com:8080 | http: | User | Pa%20ss | example.com:8080 | example.com | 8080 | /b%7C/%C3%BC | ?q=%C3%A4%20b | #f%20r"),
        ("new URL('../c?d', 'wss://host/a/b/').href", "wss://host/a/c?d"),
        ("new URL('//x', new URL('https://host/')).href", "https://x/"),
        ("[undefined, 'relative', '', 'http://', 'http://a b/', 'http://[::', 'http://a:99999'].map(u => error(() => new URL(u))).join()",
         "TypeError,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError"),
        ("error(() => new URL('http://ok/', 'not a base'))", "TypeError"),
        ("error(() => new URL('x', null))", "TypeError"),
        ("error(() => URL('http://a'))", "TypeError"),
        ("new URL('http://a/\\ud800').href", "http://a/%EF%BF%BD"),
        ("new URL('http://EXÄMPLE.com').host", "xn--exmple-cua.com"),
        ("const u = new URL('a:b'); [String(u), u + '', JSON.stringify(u), u.toString(), Object.prototype.toString.call(u)].join()",
         "a:b,a:b,\"a:b\",a:b,[object URL]"),
    ]);
}

#[test]
fn parse_and_can_parse_do_not_throw() {
    cases(&[
        (
            "[URL.parse('http://a'), URL.parse('b', 'http://a/c'), URL.parse('b'), URL.parse('b', 'c')].join()",
            "http://a/,http://a/b,,",
        ),
        (
            "URL.parse('b') === null && URL.parse('http://a') instanceof URL",
            "true",
        ),
        (
            "[URL.canParse('http://a'), URL.canParse('b'), URL.canParse('b', 'http://a'), URL.canParse('b', 'c')].join()",
            "true,false,true,false",
        ),
        (
            "[error(() => URL.parse()), error(() => URL.canParse())].join()",
            "TypeError,TypeError",
        ),
    ]);
}

#[test]
fn an_origin_is_a_tuple_or_null() {
    cases(&[
        (
            "['https://a:443/b', 'wss://a:1/', 'ftp://a', 'file:///x', 'data:,x', 'blob:https://a:8/x', 'blob:ws://a/', 'blob:file:///x', 'blob:x'].map(u => new URL(u).origin).join()",
            "https://a,wss://a:1,ftp://a,null,null,https://a:8,null,null,null",
        ),
        (
            "new URL('blob:'.repeat(20000) + 'https://a/').origin",
            "null",
        ),
    ]);
}

#[test]
fn setters_change_a_component_or_nothing() {
    let set = "const set = (url, name, value) => { const u = new URL(url); u[name] = value; return u.href };";
    for (script, expected) in [
        ("set('http://a/', 'href', 'https://b')", "https://b/"),
        ("set('http://a/', 'protocol', 'https:x')", "https://a/"),
        ("set('http://a/', 'protocol', 'mailto')", "http://a/"),
        ("set('http://a/', 'username', 'ü:')", "http://%C3%BC%3A@a/"),
        ("set('http://a/', 'password', 'p')", "http://:p@a/"),
        ("set('file:///x', 'username', 'u')", "file:///x"),
        ("set('http://a/', 'host', 'b:81')", "http://b:81/"),
        ("set('http://a:1/', 'host', 'b')", "http://b:1/"),
        ("set('http://a/', 'hostname', 'b:81')", "http://a/"),
        ("set('http://a/', 'hostname', '')", "http://a/"),
        ("set('http://a/', 'port', '80')", "http://a/"),
        ("set('http://a/', 'port', '8080xyz')", "http://a:8080/"),
        ("set('http://a/', 'port', '99999')", "http://a/"),
        ("set('http://a:1/', 'port', '')", "http://a/"),
        ("set('http://a/b', 'pathname', 'c/../d')", "http://a/d"),
        ("set('data:x', 'pathname', 'y')", "data:x"),
        ("set('http://a/?b', 'search', '')", "http://a/"),
        ("set('http://a/', 'search', '??b')", "http://a/??b"),
        ("set('http://a/#b', 'hash', '')", "http://a/"),
        ("set('http://a/', 'hash', '##b')", "http://a/##b"),
    ] {
        cases(&[(&format!("{set} {script}"), expected)]);
    }
    cases(&[
        (
            "const u = new URL('http://a/'); error(() => { u.href = 'b' }) + u",
            "TypeErrorhttp://a/",
        ),
        (
            "'use strict'; error(() => { new URL('http://a/').origin = 'b' })",
            "TypeError",
        ),
    ]);
}

#[test]
fn a_url_and_its_query_object_follow_each_other() {
    cases(&[
        (
            "const u = new URL('http://a/?b=c&b=d'); const p = u.searchParams; [p === u.searchParams, p.getAll('b').join('+'), p.size].join()",
            "true,c+d,2",
        ),
        (
            "const u = new URL('http://a/?b=c#h'); u.searchParams.append('e', 'f g&'); u.href",
            "http://a/?b=c&e=f+g%26#h",
        ),
        (
            "const u = new URL('http://a/?b=c'); u.searchParams.delete('b'); u.href + '|' + u.search",
            "http://a/|",
        ),
        (
            "const u = new URL('http://a/?b=%20'); const before = u.href; u.searchParams.sort(); before + ' ' + u.href",
            "http://a/?b=%20 http://a/?b=+",
        ),
        (
            "const u = new URL('http://a/?b'); const p = u.searchParams; u.search = '?x=1&y'; [...p].join(';')",
            "x,1;y,",
        ),
        (
            "const u = new URL('http://a/?b'); const p = u.searchParams; u.href = 'http://b/?z=2'; [...p].join(';') + (p === u.searchParams)",
            "z,2true",
        ),
        (
            "const u = new URL('http://a/?b'); const p = u.searchParams; u.search = ''; p.size",
            "0",
        ),
        (
            "const u = new URL('http://a/?b'); const p = u.searchParams; u.hash = 'x'; u.pathname = 'y'; p.set('b', 1); u.href",
            "http://a/y?b=1#x",
        ),
        (
            "const u = new URL('http://a/'); new URLSearchParams(u.searchParams).append('x', 'y'); u.href",
            "http://a/",
        ),
        (
            "const u = new URL('data:space    ?q'); u.searchParams.delete('q'); u.pathname.length",
            "11",
        ),
    ]);
}

#[test]
fn params_are_made_of_a_string_a_sequence_or_a_record() {
    cases(&[
        ("new URLSearchParams().toString() + new URLSearchParams(undefined) + new URLSearchParams('')", ""),
        ("[...new URLSearchParams('?a=b&a&=c&&d=e=f&%C3%A4=+%2B&%ff')].map(p => p.join(':')).join('|')", "a:b|a:|:c|d:e=f|ä: +|\u{fffd}:"),
        ("new URLSearchParams('??a').toString()", "%3Fa="),
        ("new URLSearchParams(null).toString()", "null="),
        ("new URLSearchParams([['a', 'b'], new Set([1, 2])]).toString()", "a=b&1=2"),
        ("new URLSearchParams(new URLSearchParams('x=y')).toString()", "x=y"),
        ("new URLSearchParams(new Map([['m', 1]])).toString()", "m=1"),
        ("new URLSearchParams({ b: 1, a: null, 2: 'two' }).toString()", "2=two&b=1&a=null"),
        ("new URLSearchParams({ 'x\\ud800': 1, 'x\\udc00': 2 }).toString()", "x%EF%BF%BD=2"),
        ("new URLSearchParams(Object.defineProperty({ a: 1 }, 'hidden', { value: 2 })).toString()", "a=1"),
        ("[[['a']], [['a', 'b', 'c']], ['ab'], [1], { [Symbol()]: 1 }, { [Symbol.iterator]: 1 }].map(i => error(() => new URLSearchParams(i))).join()",
         "TypeError,TypeError,TypeError,TypeError,TypeError,TypeError"),
        ("const log = []; new URLSearchParams(new Proxy({ a: 1, b: 2 }, {
            ownKeys(t) { log.push('keys'); return Reflect.ownKeys(t) },
            getOwnPropertyDescriptor(t, k) { log.push('descriptor ' + k); return Reflect.getOwnPropertyDescriptor(t, k) },
            get(t, k) { if (typeof k === 'string') log.push('get ' + k); return t[k] } })); log.join()",
         "keys,descriptor a,get a,descriptor b,get b"),
    ]);
}

#[test]
fn params_are_read_and_changed_by_name() {
    let p = "const p = new URLSearchParams('a=1&b=2&a=3&c=4&a=5');";
    for (script, expected) in [
        (
            "[p.get('a'), p.get('z') === null, p.getAll('a').join('+'), p.getAll('z').length].join()",
            "1,true,1+3+5,0",
        ),
        (
            "[p.has('a'), p.has('z'), p.has('a', 3), p.has('a', 4), p.has('a', undefined)].join()",
            "true,false,true,false,true",
        ),
        ("p.set('a', 'x'); p", "a=x&b=2&c=4"),
        ("p.set('z', 'x'); p", "a=1&b=2&a=3&c=4&a=5&z=x"),
        ("p.delete('a'); p", "b=2&c=4"),
        ("p.delete('a', 3); p", "a=1&b=2&c=4&a=5"),
        ("p.delete('a', undefined); p.size", "2"),
        ("p.sort(); p", "a=1&a=3&a=5&b=2&c=4"),
        (
            "[error(() => p.append('a')), error(() => p.get()), error(() => p.set('a')), error(() => p.delete())].join()",
            "TypeError,TypeError,TypeError,TypeError",
        ),
    ] {
        cases(&[(&format!("{p} {script}"), expected)]);
    }
    cases(&[
        (
            "const p = new URLSearchParams(); p.append('a b*-._', '~!\\'()é'); p.toString()",
            "a+b*-._=%7E%21%27%28%29%C3%A9",
        ),
        // U+FB00 comes after U+1F600 by code units, before it by code points.
        (
            "const p = new URLSearchParams([['\\ufb00', 1], ['😀', 2]]); p.sort(); [...p.values()].join()",
            "2,1",
        ),
    ]);
}

#[test]
fn params_are_iterable_while_they_change() {
    cases(&[
        ("const p = new URLSearchParams('a=1&b=2'); [[...p.keys()], [...p.values()], [...p.entries()].flat(), [...p].flat()].join('|')", "a,b|1,2|a,1,b,2|a,1,b,2"),
        ("const p = new URLSearchParams('a=1&b=2&c=3'); const seen = []; for (const [k] of p) { seen.push(k); p.delete(k) } seen.join()", "a,c"),
        ("const p = new URLSearchParams('a=1'); const i = p.keys(); i.next(); const end = i.next().done; p.append('b', 2); [end, i.next().value].join()", "true,b"),
        ("const p = new URLSearchParams('a=1&b=2'); const log = []; p.forEach(function (v, k, o) { log.push(v, k, o === p, this.t) }, { t: 't' }); log.join()",
         "1,a,true,t,2,b,true,t"),
        ("error(() => new URLSearchParams('a').forEach({}))", "TypeError"),
        ("URLSearchParams.prototype[Symbol.iterator] === URLSearchParams.prototype.entries", "true"),
        ("const i = new URLSearchParams().keys(); const proto = Object.getPrototypeOf(i);
          [String(i), i[Symbol.iterator]() === i, Object.keys(proto).join(), Object.getPrototypeOf(proto) === Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()))].join()",
         "[object URLSearchParams Iterator],true,next,true"),
        ("error(() => new URLSearchParams().keys().next.call([].keys()))", "TypeError"),
        ("Object.keys(URLSearchParams.prototype).join()", "size,append,delete,get,getAll,has,set,sort,entries,keys,values,forEach,toString"),
    ]);
}

const COMPONENTS: [&str; 10] = [
    "href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search",
    "hash",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A script can do with a URL what it likes: it may throw, and never panics.
    #[test]
    fn no_sequence_of_setters_panics(
        url in "(https?|wss?|file|data|blob|x):(//)?[a-z@:.\\[\\]/\\\\|? #%]{0,12}",
        changes in prop::collection::vec((0..COMPONENTS.len(), "[a-zA-Z0-9:/\\\\.@#?%|\\[\\] \t\u{e9}]{0,8}"), 1..12),
    ) {
        let mut agent = Agent::new();
        let mut script = format!("const u = URL.parse({}) ?? new URL('x:/'); let n = 0;", json(&url));
        for (component, value) in changes {
            let component = COMPONENTS[component];
            script.push_str(&format!("try {{ u.{component} = {} }} catch {{ n++ }}", json(&value)));
            script.push_str("u.origin; u.searchParams.append('k', 'v'); URL.parse(u.href);");
        }
        agent.eval(&format!("{script} n")).unwrap();
    }
}

fn json(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\t', "\\t")
    )
}

#[test]
fn a_space_at_the_end_of_an_opaque_path_survives() {
    cases(&[
        (
            "['a:b   ?c', 'a:b #d ', 'a:b  c?d', 'a:b ', 'a:/b ?c', 'a: ?#'].map(url => new URL(url).href).join('|')",
            "a:b  %20?c|a:b%20#d|a:b  c?d|a:b|a:/b%20?c|a:%20?#",
        ),
        (
            "const url = new URL('data:space    ?test'); url.searchParams.delete('test'); [url.pathname, url.search, url.href].join('|')",
            "space   %20||data:space   %20",
        ),
    ]);
}

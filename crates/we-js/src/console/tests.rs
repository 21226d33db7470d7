//! What the console prints.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use boa_engine::Source;

use super::{ConsoleLevel, ConsolePrinter};
use crate::{EventLoop, Options};

/// Runs a script; the messages that it prints, with their levels.
fn run(script: &str) -> Vec<(ConsoleLevel, String)> {
    let messages = Arc::<Mutex<Vec<_>>>::default();
    let console = ConsolePrinter::new({
        let messages = messages.clone();
        move |level, text| messages.lock().unwrap().push((level, text.to_owned()))
    });
    let options = Options {
        console,
        ..Options::default()
    };
    let event_loop = EventLoop::new(options).unwrap();
    let mut context = event_loop.context_builder().build().unwrap();
    event_loop.install(&mut context).unwrap();
    context
        .eval(Source::from_bytes(script))
        .unwrap_or_else(|error| panic!("{script}: {error}"));
    std::mem::take(&mut *messages.lock().unwrap())
}

fn printed(script: &str) -> String {
    let texts: Vec<String> = run(script).into_iter().map(|(_, text)| text).collect();
    texts.join("\n")
}

/// What `console.log` prints of each expression.
#[track_caller]
fn logs(table: &[(&str, &str)]) {
    for (expression, expected) in table {
        assert_eq!(
            printed(&format!("console.log({expression})")),
            *expected,
            "{expression}"
        );
    }
}

#[test]
fn strings_are_printed_raw_at_the_top_and_quoted_within() {
    logs(&[
        ("'a\\nb'", "a\nb"),
        ("'a', 'b'", "a b"),
        (
            "['a', \"it's\", '\"\\'', '\\n\\t\\\\\\x1b']",
            r#"[ 'a', "it's", `"'`, '\n\t\\\x1B' ]"#,
        ),
        ("['\\ud800']", "[ '\\uD800' ]"),
        ("''", ""),
        (
            "['x'.repeat(10003)].length, ['x'.repeat(10003)]",
            &format!("1 [\n  '{}'... 3 more characters\n]", "x".repeat(10000)),
        ),
    ]);
    assert!(run("console.log()").is_empty());
}

#[test]
fn primitives_look_like_literals() {
    logs(&[
        (
            "undefined, null, true, 1.5, -0, NaN, 1e21, 12n, Symbol('s'), Symbol()",
            "undefined null true 1.5 -0 NaN 1e+21 12n Symbol(s) Symbol()",
        ),
        ("[-0, [undefined]]", "[ -0, [ undefined ] ]"),
        (
            "Object(1), Object('s'), Object(false), Object(2n), Object(Symbol('x'))",
            "[Number: 1] [String: 's'] [Boolean: false] [BigInt: 2n] [Symbol: Symbol(x)]",
        ),
    ]);
}

#[test]
fn objects_show_class_and_properties() {
    logs(&[
        ("{}", "{}"),
        (
            "{ a: 1, 'b-c': 'x', 3: null, [Symbol('s')]: [] }",
            "{ '3': null, a: 1, 'b-c': 'x', [Symbol(s)]: [] }",
        ),
        ("new (class Foo { x = 1 })", "Foo { x: 1 }"),
        ("Object.create(null)", "[Object: null prototype] {}"),
        (
            "{ get a() { throw 1 }, set b(v) {}, get c() { return 1 }, set c(v) {} }",
            "{ a: [Getter], b: [Setter], c: [Getter/Setter] }",
        ),
        (
            "{ [Symbol.toStringTag]: 'T' }",
            "Object [T] { [Symbol(Symbol.toStringTag)]: 'T' }",
        ),
        (
            "{ a: { b: { c: { d: 1 } } } }",
            "{ a: { b: { c: [Object] } } }",
        ),
        (
            "[[[[1]]], new Proxy({}, { get() { throw 1 } })]",
            "[ [ [ [Array] ] ], [Proxy] ]",
        ),
        (
            "Object.create(new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } }))",
            "[Object: null prototype] {}",
        ),
    ]);
}

#[test]
fn collections_and_buffers_show_their_contents() {
    logs(&[
        ("[1, , 3, , ,]", "[ 1, <1 empty item>, 3, <2 empty items> ]"),
        ("Object.assign([1], { x: 2 })", "[ 1, x: 2 ]"),
        (
            "new (class A extends Array {})(3)",
            "A(3) [ <3 empty items> ]",
        ),
        ("new Array(4294967295)", "[ <4294967295 empty items> ]"),
        (
            "new Map([['a', { b: 1 }]]), new Set([1, 'x'])",
            "Map(1) { 'a' => { b: 1 } } Set(2) { 1, 'x' }",
        ),
        (
            "new Uint8Array([1, 2]), new Float64Array(1)",
            "Uint8Array(2) [ 1, 2 ] Float64Array(1) [ 0 ]",
        ),
        (
            "new Uint8Array([1, 255]).buffer",
            "ArrayBuffer { [Uint8Contents]: <01 ff>, byteLength: 2 }",
        ),
        (
            "new DataView(new ArrayBuffer(1))",
            "DataView {\n  byteLength: 1,\n  byteOffset: 0,\n  buffer: ArrayBuffer { [Uint8Contents]: <00>, byteLength: 1 }\n}",
        ),
        (
            "Promise.resolve(4), new Promise(() => {})",
            "Promise { 4 } Promise { <pending> }",
        ),
        (
            "Array.from({ length: 102 }, () => 0).length, Array(102).fill(0).concat().slice(0, 8)",
            "102 [\n  0, 0, 0, 0, 0, 0, 0, 0\n]"
                .replace(
                    "[\n  0, 0, 0, 0, 0, 0, 0, 0\n]",
                    "[ 0, 0, 0, 0, 0, 0, 0, 0 ]",
                )
                .as_str(),
        ),
    ]);
    assert!(printed("console.log(Array(102).fill(0))").ends_with("... 2 more items\n]"));
    assert_eq!(
        printed("console.log(Array(30).fill(1000))").lines().count(),
        5
    );
}

#[test]
fn functions_dates_and_regular_expressions_are_one_word() {
    logs(&[
        (
            "function f() {}, () => {}, class A {}, class extends Array {}, async () => {}, Math.max, Object.assign(() => {}, { x: 1 })",
            "[Function: f] [Function (anonymous)] [class A] [class (anonymous) extends Array] [AsyncFunction (anonymous)] [Function: max] [Function (anonymous)] { x: 1 }",
        ),
        (
            "new Date(0), new Date(NaN), /a\\/b/gi, new RegExp('c/d')",
            "1970-01-01T00:00:00.000Z Invalid Date /a\\/b/gi /c\\/d/",
        ),
    ]);
}

#[test]
fn errors_show_name_message_stack_and_cause() {
    let text = printed(
        "function thrower() { return new TypeError('bad', { cause: 'why' }) } console.log(thrower())",
    );
    assert!(text.starts_with("TypeError: bad\n    at thrower"), "{text}");
    assert!(text.ends_with(" {\n  [cause]: 'why'\n}"), "{text}");
    logs(&[
        (
            "Object.assign(new Error('m'), { stack: 'my stack' })",
            "my stack { stack: 'my stack' }",
        ),
        (
            "Object.defineProperty(new Error('m'), 'stack', { value: '' })",
            "[Error: m]",
        ),
    ]);
    let text = printed("console.log(new DOMException('m', 'AbortError'))");
    assert!(
        text.starts_with("DOMException [AbortError]: m\n    at "),
        "{text}"
    );
}

#[test]
fn circles_are_marked() {
    logs(&[
        (
            "(o => (o.self = o, o.list = [o], o))({})",
            "<ref *1> { self: [Circular *1], list: [ [Circular *1] ] }",
        ),
        (
            "(m => m.set('m', m))(new Map())",
            "<ref *1> Map(1) { 'm' => [Circular *1] }",
        ),
        // The same object twice is no circle.
        ("(o => [o, o])({ a: 1 })", "[ { a: 1 }, { a: 1 } ]"),
    ]);
}

#[test]
fn long_objects_take_several_lines() {
    logs(&[(
        "{ alpha: 'a'.repeat(30), beta: 'b'.repeat(30), gamma: { delta: 'd'.repeat(40), epsilon: 'e'.repeat(40) } }",
        &format!(
            "{{\n  alpha: '{}',\n  beta: '{}',\n  gamma: {{\n    delta: '{}',\n    epsilon: '{}'\n  }}\n}}",
            "a".repeat(30),
            "b".repeat(30),
            "d".repeat(40),
            "e".repeat(40)
        ),
    )]);
}

#[test]
fn platform_objects_show_their_attributes() {
    let text = printed("console.log(new URL('https://a/b?c'))");
    assert!(
        text.starts_with("URL {\n  href: 'https://a/b?c',"),
        "{text}"
    );
    let text = printed("console.log(new MessageEvent('message', { data: 'hi' }))");
    assert!(
        text.contains("data: 'hi'") && text.contains("type: 'message'"),
        "{text}"
    );
    // A getter that a script puts there is not called.
    let text = printed(
        "Object.defineProperty(Blob.prototype, 'size', { get() { throw 1 } }); console.log(new Blob(['x']))",
    );
    assert_eq!(text, "Blob { type: '' }");
    printed("console.log(Event.prototype, globalThis, URL, Event, document = undefined)");
}

#[test]
fn format_specifiers_take_arguments() {
    logs(&[
        (
            "'%s is %d years and %i, %f%%', 'Bob', 42, 4.9, 1.5, 'rest'",
            "Bob is 42 years and 4, 1.5% rest",
        ),
        (
            "'%o %O %j', { a: [1] }, { b: 2 }, 'x'",
            "{ a: [ 1 ] } { b: 2 } 'x'",
        ),
        ("'%cstyled', 'color: red'", "styled"),
        ("'%s %s', 'one'", "one %s"),
        ("'100%', 1", "100% 1"),
        ("'%x %', 1", "%x % 1"),
        (
            "'%d %i %s', Symbol('a'), {}, { toString() { throw 1 } }",
            "NaN NaN { toString: [Function: toString] }",
        ),
        ("'%d', 10n", "10n"),
        ("1, '%s', 2", "1 %s 2"),
        ("'%s'", "%s"),
    ]);
}

#[test]
fn methods_have_their_levels() {
    use ConsoleLevel::{Debug, Error, Info, Log, Warn};
    let levels: Vec<ConsoleLevel> = run(
        "for (const name of ['debug', 'log', 'info', 'warn', 'error', 'trace', 'dir', 'dirxml', 'table', 'group', 'count']) console[name](1); console.assert(false)",
    )
    .into_iter()
    .map(|(level, _)| level)
    .collect();
    assert_eq!(
        levels,
        [
            Debug, Log, Info, Warn, Error, Error, Log, Log, Log, Log, Info, Error
        ]
    );
}

#[test]
fn assert_prints_only_what_is_false() {
    assert_eq!(
        printed(
            "console.assert(true, 'x'); console.assert(); console.assert(0, 'a %d', 1); console.assert(0, { b: 2 })"
        ),
        "Assertion failed\nAssertion failed: a 1\nAssertion failed: { b: 2 }"
    );
}

#[test]
fn groups_indent() {
    assert_eq!(
        printed(
            "console.group('g'); console.log('a\\nb'); console.groupCollapsed(); console.log('c'); console.groupEnd(); console.groupEnd(); console.groupEnd(); console.log('d')"
        ),
        "g\n  a\n  b\n    c\nd"
    );
}

#[test]
fn counts_and_timers_go_by_label() {
    assert_eq!(
        printed(
            "console.count(); console.count('default'); console.count('x'); console.countReset(); console.count(); console.countReset('no')"
        ),
        "default: 1\ndefault: 2\nx: 1\ndefault: 1\nCount for 'no' does not exist"
    );
    let text = printed(
        "console.time('t'); console.timeLog('t', 'at', 1); console.time('t'); console.timeEnd('t'); console.timeEnd('t')",
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("t: ") && lines[0].ends_with("ms at 1"),
        "{text}"
    );
    assert_eq!(lines[1], "Timer 't' already exists");
    assert!(
        lines[2].starts_with("t: ") && lines[2].ends_with("ms"),
        "{text}"
    );
    assert_eq!(lines[3], "Timer 't' does not exist");
}

#[test]
fn a_trace_has_a_stack() {
    let text = printed("function here() { console.trace('a', 1) } here()");
    assert!(text.starts_with("Trace: a 1\n    at "), "{text}");
    assert!(text.contains("here"), "{text}");
}

#[test]
fn dir_takes_a_depth() {
    assert_eq!(
        printed("console.dir({ a: { b: {} } }, { depth: 0 })"),
        "{ a: [Object] }"
    );
    assert_eq!(
        printed("console.dir({ a: { b: { c: { d: { e: 1 } } } } }, { depth: null })"),
        "{ a: { b: { c: { d: { e: 1 } } } } }"
    );
    // Neither depth nor number of values is without end.
    printed(
        "let o = {}; for (let i = 0; i < 100000; i++) o = { o }; console.dir(o, { depth: Infinity })",
    );
    printed(
        "let o = {}; for (let i = 0; i < 60; i++) o = { a: o, b: o }; console.dir(o, { depth: Infinity })",
    );
}

#[test]
fn tables_have_rows_and_columns() {
    assert_eq!(
        printed("console.table([{ a: 1, b: 'x' }, { a: 2 }, 3])"),
        "┌─────────┬───┬─────┬────────┐\n\
         │ (index) │ a │ b   │ Values │\n\
         ├─────────┼───┼─────┼────────┤\n\
         │ 0       │ 1 │ 'x' │        │\n\
         │ 1       │ 2 │     │        │\n\
         │ 2       │   │     │ 3      │\n\
         └─────────┴───┴─────┴────────┘"
    );
    let chosen = printed("console.table(new Map([['k', { a: 1, b: 2 }]]), ['b'])");
    assert!(
        chosen.contains("│ 'k'     │ 2 │") && !chosen.contains(" a "),
        "{chosen}"
    );
    assert_eq!(printed("console.table('text')"), "text");
}

#[test]
fn the_namespace_object_is_as_the_standard_says() {
    logs(&[(
        "String(console), Object.keys(console).includes('log'), Object.keys(globalThis).includes('console'), Object.keys(Object.getPrototypeOf(console)).length, Object.getPrototypeOf(Object.getPrototypeOf(console)) === Object.prototype",
        "[object console] true false 0 true",
    )]);
    assert_eq!(
        printed("const { log } = console; log(log.name, log.length)"),
        "log 0"
    );
}

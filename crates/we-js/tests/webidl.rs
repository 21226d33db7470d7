//! What WebIDL says of every interface alike: <https://webidl.spec.whatwg.org/#js-interfaces>

mod common;

use common::expect_values;

const INTERFACES: &str = "[Event, MessageEvent, CloseEvent, ErrorEvent, PromiseRejectionEvent, CustomEvent, \
     EventTarget, DOMException, WebSocket, Blob, AbortController, AbortSignal]";

const SETUP: &str = "
    const own = (o, k) => Object.getOwnPropertyDescriptor(o, k);
    const flags = d => (d.writable ? 'w' : '') + (d.enumerable ? 'e' : '') + (d.configurable ? 'c' : '');
";

#[test]
fn interface_objects_are_writable_configurable_and_not_enumerable() {
    let every = format!("{INTERFACES}.every(i => flags(own(globalThis, i.name)) === 'wc')");
    expect_values(SETUP, &[(&every, "true")]);
}

#[test]
fn interface_objects_have_name_length_and_prototype() {
    let prototypes = format!("{INTERFACES}.every(i => flags(own(i, 'prototype')) === '')");
    let constructors =
        format!("{INTERFACES}.every(i => flags(own(i.prototype, 'constructor')) === 'wc')");
    expect_values(
        SETUP,
        &[
            (&prototypes, "true"),
            (&constructors, "true"),
            ("WebSocket.length", "1"),
            ("Event.length", "1"),
            ("PromiseRejectionEvent.length", "2"),
            ("EventTarget.length", "0"),
            ("DOMException.length", "0"),
            (
                "flags(own(WebSocket, 'name')) + flags(own(WebSocket, 'length'))",
                "cc",
            ),
        ],
    );
}

#[test]
fn prototypes_are_chained_as_interfaces_inherit() {
    expect_values(
        "",
        &[
            ("Object.getPrototypeOf(CloseEvent) === Event", "true"),
            (
                "Object.getPrototypeOf(CloseEvent.prototype) === Event.prototype",
                "true",
            ),
            (
                "Object.getPrototypeOf(WebSocket.prototype) === EventTarget.prototype",
                "true",
            ),
            ("Object.getPrototypeOf(WebSocket) === EventTarget", "true"),
            (
                "Object.getPrototypeOf(Event) === Function.prototype",
                "true",
            ),
            (
                "Object.getPrototypeOf(DOMException) === Function.prototype",
                "true",
            ),
            (
                "Object.getPrototypeOf(DOMException.prototype) === Error.prototype",
                "true",
            ),
            ("globalThis instanceof EventTarget", "true"),
        ],
    );
}

#[test]
fn attributes_operations_and_constants_have_the_property_attributes_of_webidl() {
    expect_values(
        SETUP,
        &[
            ("flags(own(WebSocket.prototype, 'readyState'))", "ec"),
            (
                "own(WebSocket.prototype, 'readyState').get.name",
                "get readyState",
            ),
            ("own(WebSocket.prototype, 'readyState').get.length", "0"),
            ("own(WebSocket.prototype, 'readyState').set", "undefined"),
            ("own(WebSocket.prototype, 'onopen').set.name", "set onopen"),
            ("own(WebSocket.prototype, 'onopen').set.length", "1"),
            ("flags(own(WebSocket.prototype, 'close'))", "wec"),
            (
                "WebSocket.prototype.close.length + ' ' + WebSocket.prototype.send.length",
                "0 1",
            ),
            ("'prototype' in WebSocket.prototype.close", "false"),
            (
                "flags(own(WebSocket, 'OPEN')) + flags(own(WebSocket.prototype, 'OPEN'))",
                "ee",
            ),
            (
                "[WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED]",
                "0,1,2,3",
            ),
            ("flags(own(WebSocket.prototype, Symbol.toStringTag))", "c"),
            (
                "Object.prototype.toString.call(new Event('x'))",
                "[object Event]",
            ),
        ],
    );
}

#[test]
fn interface_objects_must_be_constructed_and_members_need_their_brand() {
    expect_values(
        SETUP,
        &[
            (
                "Event('x')",
                "threw TypeError: Constructor Event requires 'new'",
            ),
            ("new Event()", "threw TypeError"),
            ("new AbortSignal()", "threw TypeError: Illegal constructor"),
            (
                "Event.prototype.type",
                "threw TypeError: Illegal invocation",
            ),
            (
                "own(CloseEvent.prototype, 'code').get.call(new Event('x'))",
                "threw TypeError: Illegal invocation",
            ),
            (
                "own(Event.prototype, 'type').get.call(new CloseEvent('x'))",
                "x",
            ),
            (
                "own(WebSocket.prototype, 'url').get.call({})",
                "threw TypeError: Illegal invocation",
            ),
            (
                "EventTarget.prototype.addEventListener.call(3, 'x', null)",
                "threw TypeError: Illegal invocation",
            ),
            // A missing `this` is the global object.
            (
                "(0, EventTarget.prototype.addEventListener)('x', null)",
                "undefined",
            ),
        ],
    );
}

#[test]
fn subclasses_have_the_interface_and_their_own_members() {
    let setup = "
        class Chat extends EventTarget { #nick = 'kim'; get nick() { return this.#nick } }
        const chat = new Chat;
        let heard = 0; chat.addEventListener('say', () => heard++); chat.dispatchEvent(new Event('say'));
        function Old() {} Old.prototype = null;
        const odd = Reflect.construct(Event, ['x'], Old);
    ";
    expect_values(
        setup,
        &[
            ("chat.nick", "kim"),
            ("heard", "1"),
            (
                "chat instanceof Chat && chat instanceof EventTarget",
                "true",
            ),
            ("Object.getPrototypeOf(odd) === Event.prototype", "true"),
            (
                "Object.getPrototypeOf(Reflect.construct(Event, ['x'], Chat)) === Chat.prototype",
                "true",
            ),
        ],
    );
}

#[test]
fn integers_are_converted_by_their_type() {
    expect_values(
        "const code = v => new CloseEvent('close', { code: v }).code;",
        &[
            ("code(65536)", "0"),
            ("code(-1)", "65535"),
            ("code(1.9)", "1"),
            ("code(NaN)", "0"),
            ("code(Infinity)", "0"),
            ("code('7')", "7"),
            ("code(2 ** 40 + 3)", "3"),
            ("code(Symbol())", "threw TypeError"),
            ("code(1n)", "threw TypeError"),
        ],
    );
}

//! The `console` namespace: <https://console.spec.whatwg.org/>
//!
//! What is printed goes, as text, to the embedder's [`ConsolePrinter`]. [`inspect`](mod@inspect) is how values look:
//! as script authors know them from Node.js, and without running the script's code.

mod format;
mod inspect;
mod printer;
mod table;

#[cfg(test)]
mod tests;

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Instant};

use boa_engine::{
    Context, JsArgs, JsResult, JsString, JsSymbol, JsValue, js_string,
    object::JsObject,
    property::{Attribute, PropertyKey},
};

use self::{
    format::format,
    inspect::{Inspector, stack_here},
};
use crate::{
    binding::{Dictionary, namespace_operation, property},
    event_loop::LoopState,
};

pub use printer::{ConsoleLevel, ConsolePrinter};

/// The state of one context's console.
#[derive(Default)]
struct Console {
    /// The [count map](https://console.spec.whatwg.org/#count-map).
    counts: RefCell<HashMap<JsString, u32>>,
    /// The [timer table](https://console.spec.whatwg.org/#timer-table).
    timers: RefCell<HashMap<JsString, Instant>>,
    /// How many groups are open: the [group stack](https://console.spec.whatwg.org/#concept-group-stack).
    groups: RefCell<usize>,
}

impl Console {
    fn of(context: &mut Context) -> Rc<Self> {
        if let Some(console) = context.get_data::<Rc<Self>>() {
            return console.clone();
        }
        let console = Rc::<Self>::default();
        context.insert_data(console.clone());
        console
    }
}

/// [Printer](https://console.spec.whatwg.org/#printer): text, each line within the open groups.
fn print(level: ConsoleLevel, text: &str, context: &mut Context) {
    let groups = *Console::of(context).groups.borrow();
    let printer = LoopState::of(context)
        .map(|state| state.options().console.clone())
        .unwrap_or_default();
    if groups == 0 {
        return printer.print(level, text);
    }
    let indentation = "  ".repeat(groups);
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| format!("{indentation}{line}"))
        .collect();
    printer.print(level, &lines.join("\n"));
}

/// [Logger](https://console.spec.whatwg.org/#logger)
fn log(level: ConsoleLevel, arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    if !arguments.is_empty() {
        let text = format(arguments, context)?;
        print(level, &text, context);
    }
    Ok(())
}

/// Defines `console` on the global object.
pub(crate) fn install(context: &mut Context) -> JsResult<()> {
    // A namespace object's prototype is an empty object. <https://console.spec.whatwg.org/#console-namespace>
    let prototype = JsObject::with_object_proto(context.intrinsics());
    let console = JsObject::with_object_proto(context.intrinsics());
    console.set_prototype(Some(prototype));
    console.insert_property(
        JsSymbol::to_string_tag(),
        property(js_string!("console"), Attribute::CONFIGURABLE),
    );

    for (name, level) in [
        ("debug", ConsoleLevel::Debug),
        ("error", ConsoleLevel::Error),
        ("info", ConsoleLevel::Info),
        ("log", ConsoleLevel::Log),
        ("warn", ConsoleLevel::Warn),
        // There is no tree of XML here: what the standard says for such things, "log".
        ("dirxml", ConsoleLevel::Log),
    ] {
        operation(
            &console,
            name,
            move |arguments, context| log(level, arguments, context),
            context,
        );
    }
    operation(&console, "assert", assert, context);
    // There is nothing to clear: what was printed is the embedder's.
    operation(
        &console,
        "clear",
        |_, context| {
            Console::of(context).groups.replace(0);
            Ok(())
        },
        context,
    );
    operation(&console, "dir", dir, context);
    operation(&console, "table", table, context);
    operation(&console, "trace", trace, context);

    operation(&console, "count", count, context);
    operation(&console, "countReset", count_reset, context);

    operation(&console, "group", group, context);
    operation(&console, "groupCollapsed", group, context);
    operation(&console, "groupEnd", group_end, context);

    operation(&console, "time", time, context);
    operation(
        &console,
        "timeLog",
        |arguments, context| time_log(arguments, Timer::Goes, context),
        context,
    );
    operation(
        &console,
        "timeEnd",
        |arguments, context| time_log(arguments, Timer::Ends, context),
        context,
    );

    let hidden = Attribute::WRITABLE | Attribute::CONFIGURABLE;
    context.register_global_property(js_string!("console"), console, hidden)
}

fn operation(
    console: &JsObject,
    name: &'static str,
    steps: impl Fn(&[JsValue], &mut Context) -> JsResult<()> + Copy + 'static,
    context: &Context,
) {
    let steps = move |arguments: &[JsValue], context: &mut Context| {
        steps(arguments, context).map(|()| JsValue::undefined())
    };
    let function = namespace_operation("console", name, 0, steps, context);
    console.insert_property(
        PropertyKey::from(JsString::from(name)),
        property(function, Attribute::all()),
    );
}

/// <https://console.spec.whatwg.org/#assert>
fn assert(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    // 1.
    let (condition, data) = arguments
        .split_first()
        .map_or((false, arguments), |(first, rest)| {
            (first.to_boolean(), rest)
        });
    if condition {
        return Ok(());
    }
    // 2. to 4.
    let data: Vec<JsValue> = match data.split_first() {
        None => vec![js_string!("Assertion failed").into()],
        Some((first, rest)) => {
            let (message, rest) = match first.as_string() {
                Some(first) => (js_string!(&js_string!("Assertion failed: "), &first), rest),
                None => (js_string!("Assertion failed:"), data),
            };
            let message = JsValue::from(message);
            std::iter::once(message)
                .chain(rest.iter().cloned())
                .collect()
        }
    };
    // 5.
    log(ConsoleLevel::Error, &data, context)
}

/// <https://console.spec.whatwg.org/#dir>, with the options `depth` and `showHidden` of Node.js.
fn dir(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    let mut inspector = Inspector::default();
    let options = arguments.get_or_undefined(1);
    if options.is_object()
        && let Some(depth) = Dictionary::new(options)?.get("depth", context)?
    {
        inspector = Inspector::with_depth(if depth.is_null() {
            f64::INFINITY
        } else {
            depth.to_number(context)?
        });
    }
    let text = inspector.inspect(arguments.get_or_undefined(0), context)?;
    print(ConsoleLevel::Log, &text, context);
    Ok(())
}

/// <https://console.spec.whatwg.org/#table>
fn table(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    match table::render(
        arguments.get_or_undefined(0),
        arguments.get_or_undefined(1),
        context,
    )? {
        Some(text) => print(ConsoleLevel::Log, &text, context),
        None => log(ConsoleLevel::Log, arguments, context)?,
    }
    Ok(())
}

/// <https://console.spec.whatwg.org/#trace>
fn trace(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    let mut text = String::from("Trace");
    if !arguments.is_empty() {
        text.push_str(": ");
        text.push_str(&format(arguments, context)?);
    }
    for line in stack_here(context)?.lines() {
        text.push('\n');
        text.push_str(line);
    }
    print(ConsoleLevel::Error, &text, context);
    Ok(())
}

/// `optional DOMString label = "default"`
fn label(arguments: &[JsValue], context: &mut Context) -> JsResult<JsString> {
    match arguments.get_or_undefined(0) {
        value if value.is_undefined() => Ok(js_string!("default")),
        value => value.to_string(context),
    }
}

/// <https://console.spec.whatwg.org/#count>
fn count(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    let label = label(arguments, context)?;
    let count = {
        let console = Console::of(context);
        let mut counts = console.counts.borrow_mut();
        let count = counts.entry(label.clone()).or_insert(0);
        *count = count.saturating_add(1);
        *count
    };
    print(
        ConsoleLevel::Info,
        &format!("{}: {count}", label.to_std_string_lossy()),
        context,
    );
    Ok(())
}

/// <https://console.spec.whatwg.org/#countreset>
fn count_reset(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    let label = label(arguments, context)?;
    let before = Console::of(context).counts.borrow_mut().remove(&label);
    if before.is_none() {
        let message = format!("Count for '{}' does not exist", label.to_std_string_lossy());
        print(ConsoleLevel::Warn, &message, context);
    }
    Ok(())
}

/// <https://console.spec.whatwg.org/#group>
fn group(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    log(ConsoleLevel::Log, arguments, context)?;
    *Console::of(context).groups.borrow_mut() += 1;
    Ok(())
}

/// <https://console.spec.whatwg.org/#groupend>
fn group_end(_: &[JsValue], context: &mut Context) -> JsResult<()> {
    let console = Console::of(context);
    let mut groups = console.groups.borrow_mut();
    *groups = groups.saturating_sub(1);
    Ok(())
}

/// <https://console.spec.whatwg.org/#time>
fn time(arguments: &[JsValue], context: &mut Context) -> JsResult<()> {
    let label = label(arguments, context)?;
    let console = Console::of(context);
    if console.timers.borrow().contains_key(&label) {
        let message = format!("Timer '{}' already exists", label.to_std_string_lossy());
        print(ConsoleLevel::Warn, &message, context);
    } else {
        console.timers.borrow_mut().insert(label, Instant::now());
    }
    Ok(())
}

/// Whether a timer goes on after it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Timer {
    Goes,
    Ends,
}

/// <https://console.spec.whatwg.org/#timelog> and <https://console.spec.whatwg.org/#timeend>
fn time_log(arguments: &[JsValue], then: Timer, context: &mut Context) -> JsResult<()> {
    let label = label(arguments, context)?;
    let console = Console::of(context);
    let started = match then {
        Timer::Goes => console.timers.borrow().get(&label).copied(),
        Timer::Ends => console.timers.borrow_mut().remove(&label),
    };
    let label = label.to_std_string_lossy();
    let Some(started) = started else {
        print(
            ConsoleLevel::Warn,
            &format!("Timer '{label}' does not exist"),
            context,
        );
        return Ok(());
    };
    let mut text = format!("{label}: {:.3}ms", started.elapsed().as_secs_f64() * 1000.0);
    let data = arguments.get(1..).unwrap_or_default();
    if then == Timer::Goes && !data.is_empty() {
        text.push(' ');
        text.push_str(&format(data, context)?);
    }
    print(ConsoleLevel::Info, &text, context);
    Ok(())
}

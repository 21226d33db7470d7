//! [Formatter](https://console.spec.whatwg.org/#formatter): the first argument's format specifiers, and spaces
//! between the rest.

use boa_engine::{Context, JsResult, JsValue};

use super::inspect::{Inspector, number_to_string};
use crate::binding::to_usv_string;

/// The text of the arguments of `console.log` and its like.
pub(super) fn format(arguments: &[JsValue], context: &mut Context) -> JsResult<String> {
    let Some((first, mut rest)) = arguments.split_first() else {
        return Ok(String::new());
    };
    let mut text = match first.as_string() {
        Some(target) if !rest.is_empty() => {
            substitute(&to_usv_string(&target), &mut rest, context)?
        }
        _ => at_top(first, context)?,
    };
    for argument in rest {
        text.push(' ');
        text.push_str(&at_top(argument, context)?);
    }
    Ok(text)
}

/// A string as it is, anything else as it is inspected.
fn at_top(value: &JsValue, context: &mut Context) -> JsResult<String> {
    match value.as_string() {
        Some(string) => Ok(to_usv_string(&string)),
        None => Inspector::default().inspect(value, context),
    }
}

/// Replaces format specifiers as long as there are arguments for them.
fn substitute(target: &str, arguments: &mut &[JsValue], context: &mut Context) -> JsResult<String> {
    let mut text = String::with_capacity(target.len());
    let mut characters = target.chars().peekable();
    while let Some(character) = characters.next() {
        let specifier = (character == '%')
            .then(|| characters.peek().copied())
            .flatten();
        match (specifier, arguments.split_first()) {
            (Some('%'), _) => {
                characters.next();
                text.push('%');
            }
            (
                Some(specifier @ ('s' | 'd' | 'i' | 'f' | 'o' | 'O' | 'c' | 'j')),
                Some((argument, rest)),
            ) => {
                characters.next();
                *arguments = rest;
                text.push_str(&converted(specifier, argument, context)?);
            }
            _ => text.push(character),
        }
    }
    Ok(text)
}

fn converted(specifier: char, argument: &JsValue, context: &mut Context) -> JsResult<String> {
    match specifier {
        's' if argument.is_object() => Inspector::with_depth(0.0).inspect(argument, context),
        's' if argument.is_symbol() => Inspector::default().inspect(argument, context),
        's' => Ok(to_usv_string(&argument.to_string(context)?)),
        'd' | 'i' if argument.is_bigint() => Inspector::default().inspect(argument, context),
        'd' | 'i' | 'f' => Ok(number_to_string(number(specifier, argument, context)?)),
        // Styles have no place in plain text.
        'c' => Ok(String::new()),
        'o' => Inspector::with_depth(4.0).inspect(argument, context),
        _ => Inspector::default().inspect(argument, context),
    }
}

/// The number that an argument stands for, `NaN` for objects: they would have to be asked.
fn number(specifier: char, argument: &JsValue, context: &mut Context) -> JsResult<f64> {
    if argument.is_object() || argument.is_symbol() {
        return Ok(f64::NAN);
    }
    let number = argument.to_number(context)?;
    Ok(if specifier == 'i' {
        number.trunc()
    } else {
        number
    })
}

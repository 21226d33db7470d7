//! WebIDL conversions from JavaScript values, by the text of
//! <https://webidl.spec.whatwg.org/#js-type-mapping>.
//!
//! A conversion may run script (`toString`, `valueOf`, getters, iterators), so all arguments are
//! converted before any state is borrowed.

use std::{collections::HashMap, hash::Hash};

use boa_engine::{
    Context, JsNativeError, JsResult, JsString, JsSymbol, JsValue, js_string, object::JsObject,
    string::JsStr,
};

use super::{Primordials, to_usv_string};

/// How an integer type treats a number outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntegerConversion {
    /// Taken modulo 2^bits, as the language's own ToUint32.
    Wrap,
    /// `[Clamp]`: the nearest value that the type has, halves to the even one.
    Clamp,
    /// `[EnforceRange]`: a TypeError.
    EnforceRange,
}

/// [ConvertToInt] for the unsigned types of `bits` bits (8, 16, 32, or 64, of which 53 are exact).
///
/// [ConvertToInt]: https://webidl.spec.whatwg.org/#abstract-opdef-converttoint
pub(crate) fn unsigned_integer(
    value: &JsValue,
    bits: u32,
    conversion: IntegerConversion,
    context: &mut Context,
) -> JsResult<u64> {
    // Steps 1 to 3: the bounds of the type.
    let upper = if bits == 64 {
        9_007_199_254_740_991.0
    } else {
        2_f64.powi(bits.cast_signed()) - 1.0
    };
    integer(value, 0.0, upper, bits, conversion, context).map(|number| number as u64)
}

/// [ConvertToInt] for the signed types, `long` (32) and `long long` (64).
///
/// [ConvertToInt]: https://webidl.spec.whatwg.org/#abstract-opdef-converttoint
pub(crate) fn signed_integer(
    value: &JsValue,
    bits: u32,
    conversion: IntegerConversion,
    context: &mut Context,
) -> JsResult<i64> {
    let upper = if bits == 64 {
        9_007_199_254_740_991.0
    } else {
        2_f64.powi(bits.cast_signed() - 1) - 1.0
    };
    let lower = if bits == 64 { -upper } else { -upper - 1.0 };
    integer(value, lower, upper, bits, conversion, context).map(|number| number as i64)
}

fn integer(
    value: &JsValue,
    lower: f64,
    upper: f64,
    bits: u32,
    conversion: IntegerConversion,
    context: &mut Context,
) -> JsResult<f64> {
    // Steps 4, 5
    let number = value.to_number(context)?;
    match conversion {
        // Step 6
        IntegerConversion::EnforceRange => {
            let whole = number.trunc();
            if !number.is_finite() || whole < lower || whole > upper {
                let message = format!("{number} is not an integer between {lower} and {upper}");
                return Err(JsNativeError::typ().with_message(message).into());
            }
            Ok(whole + 0.0)
        }
        // Step 7
        IntegerConversion::Clamp if number.is_nan() => Ok(0.0),
        IntegerConversion::Clamp => Ok(number.clamp(lower, upper).round_ties_even() + 0.0),
        // Steps 8 to 12
        IntegerConversion::Wrap => {
            if !number.is_finite() {
                return Ok(0.0);
            }
            let modulus = 2_f64.powi(bits.cast_signed());
            // Exact, and of the number's sign: a small negative number must not be rounded to the modulus.
            let rest = number.trunc() % modulus;
            let (least, bound) = if lower < 0.0 {
                (-modulus / 2.0, modulus / 2.0)
            } else {
                (0.0, modulus)
            };
            Ok(if rest >= bound {
                rest - modulus
            } else if rest < least {
                rest + modulus
            } else {
                rest
            } + 0.0)
        }
    }
}

/// `USVString`: lone surrogates become U+FFFD.
pub(crate) fn usv_string(value: &JsValue, context: &mut Context) -> JsResult<String> {
    Ok(to_usv_string(&value.to_string(context)?))
}

/// The value of a `dictionary` argument, its members yet to be read.
///
/// Members are to be read in the order of their names, parents first, since getters see the order.
/// <https://webidl.spec.whatwg.org/#js-dictionary>
pub(crate) struct Dictionary(Option<JsObject>);

impl Dictionary {
    pub(crate) fn new(value: &JsValue) -> JsResult<Self> {
        if value.is_null_or_undefined() {
            return Ok(Self(None));
        }
        match value.as_object() {
            Some(object) => Ok(Self(Some(object))),
            None => Err(JsNativeError::typ()
                .with_message("an object, null or undefined is required")
                .into()),
        }
    }

    /// The member `name`, `None` where it is missing or undefined.
    pub(crate) fn get(
        &self,
        name: &'static str,
        context: &mut Context,
    ) -> JsResult<Option<JsValue>> {
        let Some(object) = &self.0 else {
            return Ok(None);
        };
        let value = object.get(js_string!(name), context)?;
        Ok(if value.is_undefined() {
            None
        } else {
            Some(value)
        })
    }

    /// A `boolean` member.
    pub(crate) fn boolean(
        &self,
        name: &'static str,
        default: bool,
        context: &mut Context,
    ) -> JsResult<bool> {
        Ok(self
            .get(name, context)?
            .map_or(default, |value| value.to_boolean()))
    }

    /// A member of a callback function type: anything that can be called.
    pub(crate) fn function(
        &self,
        name: &'static str,
        context: &mut Context,
    ) -> JsResult<Option<JsObject>> {
        let Some(value) = self.get(name, context)? else {
            return Ok(None);
        };
        match value.as_callable() {
            Some(function) => Ok(Some(function)),
            None => Err(JsNativeError::typ()
                .with_message(format!("'{name}' is not a function"))
                .into()),
        }
    }

    /// A `DOMString` member.
    pub(crate) fn string(
        &self,
        name: &'static str,
        context: &mut Context,
    ) -> JsResult<Option<JsString>> {
        self.get(name, context)?
            .map(|value| value.to_string(context))
            .transpose()
    }

    /// A `USVString` member.
    pub(crate) fn usv_string(
        &self,
        name: &'static str,
        context: &mut Context,
    ) -> JsResult<Option<JsString>> {
        let string = self.string(name, context)?;
        Ok(string.map(|string| super::from_utf8(&to_usv_string(&string))))
    }
}

/// The values of a `sequence<T>`, before they are converted to `T`; `None` if `value` cannot be one, being
/// no object or not iterable. <https://webidl.spec.whatwg.org/#js-sequence>
///
/// The standard converts each value before it asks for the next: `convert` is called at that point.
pub(crate) fn sequence<T>(
    value: &JsValue,
    context: &mut Context,
    mut convert: impl FnMut(JsValue, &mut Context) -> JsResult<T>,
) -> JsResult<Option<Vec<T>>> {
    let Some(object) = value.as_object() else {
        return Ok(None);
    };
    // GetMethod(V, %Symbol.iterator%)
    let method = object.get(JsSymbol::iterator(), context)?;
    if method.is_null_or_undefined() {
        return Ok(None);
    }
    let method = method
        .as_callable()
        .ok_or_else(|| JsNativeError::typ().with_message("the iterator is not callable"))?;
    // https://webidl.spec.whatwg.org/#create-sequence-from-iterable
    let iterator = method.call(value, &[], context)?;
    let iterator = iterator
        .as_object()
        .ok_or_else(|| JsNativeError::typ().with_message("the iterator is not an object"))?;
    let next = iterator.get(js_string!("next"), context)?;
    let next = next
        .as_callable()
        .ok_or_else(|| JsNativeError::typ().with_message("iterator.next is not callable"))?;
    let mut values = Vec::new();
    loop {
        let result = next.call(&iterator.clone().into(), &[], context)?;
        let result = result
            .as_object()
            .ok_or_else(|| JsNativeError::typ().with_message("iterator.next() is not an object"))?;
        if result.get(js_string!("done"), context)?.to_boolean() {
            return Ok(Some(values));
        }
        let value = result.get(js_string!("value"), context)?;
        values.push(convert(value, context)?);
    }
}

/// `ByteString`: each code unit is a byte. <https://webidl.spec.whatwg.org/#js-ByteString>
pub(crate) fn byte_string(value: &JsValue, context: &mut Context) -> JsResult<Vec<u8>> {
    let string = value.to_string(context)?;
    let bytes: Result<Vec<u8>, _> = string.iter().map(u8::try_from).collect();
    bytes.map_err(|_| {
        JsNativeError::typ()
            .with_message("a string has a character that is no byte")
            .into()
    })
}

/// The string whose code units are these bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> JsString {
    JsString::from(JsStr::latin1(bytes))
}

/// `record<USVString, USVString>`
pub(crate) fn usv_string_record(
    object: &JsObject,
    context: &mut Context,
) -> JsResult<Vec<(String, String)>> {
    record(object, usv_string, context)
}

/// `record<ByteString, ByteString>`
pub(crate) fn byte_string_record(
    object: &JsObject,
    context: &mut Context,
) -> JsResult<Vec<(Vec<u8>, Vec<u8>)>> {
    record(object, byte_string, context)
}

/// `record<T, T>`: the enumerable own properties of an object, in their order.
/// <https://webidl.spec.whatwg.org/#js-record>
fn record<T: Clone + Eq + Hash>(
    object: &JsObject,
    convert: fn(&JsValue, &mut Context) -> JsResult<T>,
    context: &mut Context,
) -> JsResult<Vec<(T, T)>> {
    let descriptor_of = Primordials::get(context, |it| &it.object_get_own_property_descriptor)?;
    let mut record: Vec<(T, T)> = Vec::new();
    let mut places: HashMap<T, usize> = HashMap::new();
    // 3.
    let keys = object.own_property_keys(context)?;
    // 4.
    for key in keys {
        // 4.1: a proxy sees this question.
        let arguments = [object.clone().into(), JsValue::from(&key)];
        let descriptor = descriptor_of.call(&JsValue::undefined(), &arguments, context)?;
        // 4.2
        let Some(descriptor) = descriptor.as_object() else {
            continue;
        };
        if !descriptor
            .get(js_string!("enumerable"), context)?
            .to_boolean()
        {
            continue;
        }
        // A symbol is no string: a TypeError.
        let name = convert(&JsValue::from(&key), context)?;
        let value = object.get(key, context)?;
        let value = convert(&value, context)?;
        // Names that differ in lone surrogates only are the same by now: the last value counts.
        let place = *places.entry(name.clone()).or_insert(record.len());
        match record.get_mut(place) {
            Some((_, before)) => *before = value,
            None => record.push((name, value)),
        }
    }
    Ok(record)
}

//! Queuing strategies: <https://streams.spec.whatwg.org/#qs>

use boa_engine::{Context, JsArgs, JsData, JsNativeError, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};

use crate::binding::{Definition, Dictionary, Interface, PlatformObject, namespace_operation};
use crate::event_loop;

/// How a stream measures its chunks, and from which sum on its queue is full.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct Strategy {
    pub(crate) high_water_mark: f64,
    pub(crate) size: SizeAlgorithm,
}

impl Strategy {
    /// Chunks count one each, and the queue is full when there are so many.
    pub(crate) fn count(high_water_mark: f64) -> Self {
        Self {
            high_water_mark,
            size: SizeAlgorithm::One,
        }
    }
}

/// The size of a chunk.
#[derive(Clone, Trace, Finalize)]
pub(crate) enum SizeAlgorithm {
    One,
    /// A strategy's `size` function.
    Script(JsObject),
}

impl SizeAlgorithm {
    /// The callback `QueuingStrategySize` returns an unrestricted double.
    pub(super) fn measure(&self, chunk: &JsValue, context: &mut Context) -> JsResult<f64> {
        match self {
            Self::One => Ok(1.0),
            Self::Script(size) => {
                let chunk = std::slice::from_ref(chunk);
                event_loop::call(size, &JsValue::undefined(), chunk, context)?.to_number(context)
            }
        }
    }
}

/// The dictionary `QueuingStrategy`: <https://streams.spec.whatwg.org/#dictdef-queuingstrategy>
pub(super) struct QueuingStrategy {
    high_water_mark: Option<f64>,
    size: Option<JsObject>,
}

impl QueuingStrategy {
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let high_water_mark = dictionary.get("highWaterMark", context)?;
        let high_water_mark = high_water_mark
            .map(|value| value.to_number(context))
            .transpose()?;
        let size = dictionary.function("size", context)?;
        Ok(Self {
            high_water_mark,
            size,
        })
    }

    pub(super) fn has_size(&self) -> bool {
        self.size.is_some()
    }

    /// <https://streams.spec.whatwg.org/#validate-and-normalize-high-water-mark>
    pub(super) fn high_water_mark(&self, default: f64) -> JsResult<f64> {
        match self.high_water_mark {
            None => Ok(default),
            Some(mark) if mark.is_nan() || mark < 0.0 => Err(JsNativeError::range()
                .with_message("highWaterMark is not a non-negative number")
                .into()),
            Some(mark) => Ok(mark),
        }
    }

    /// <https://streams.spec.whatwg.org/#make-size-algorithm-from-size-function>
    pub(super) fn size_algorithm(&self) -> SizeAlgorithm {
        self.size
            .clone()
            .map_or(SizeAlgorithm::One, SizeAlgorithm::Script)
    }

    /// Both at once.
    pub(super) fn strategy(&self, default_mark: f64) -> JsResult<Strategy> {
        Ok(Strategy {
            high_water_mark: self.high_water_mark(default_mark)?,
            size: self.size_algorithm(),
        })
    }
}

/// A number that IDL has as `unrestricted double?`.
pub(super) fn nullable(number: Option<f64>) -> JsValue {
    number.map_or_else(JsValue::null, JsValue::from)
}

/// The `size` functions of a realm: <https://streams.spec.whatwg.org/#count-queuing-strategy-size-function>
#[derive(Trace, Finalize, JsData)]
struct SizeFunctions {
    byte_length: JsObject,
    count: JsObject,
}

/// Makes the realm's two `size` functions.
pub(super) fn install(context: &mut Context) {
    let byte_length = namespace_operation(
        "ByteLengthQueuingStrategy",
        "size",
        1,
        |args, context| {
            // GetV: a primitive has properties too, null and undefined have none.
            args.get_or_undefined(0)
                .to_object(context)?
                .get(boa_engine::js_string!("byteLength"), context)
        },
        context,
    );
    let count = namespace_operation("CountQueuingStrategy", "size", 0, |_, _| Ok(1), context);
    let functions = SizeFunctions {
        byte_length: byte_length.into(),
        count: count.into(),
    };
    let realm = context.realm().clone();
    realm.host_defined_mut().insert(functions);
}

fn size_function(pick: fn(&SizeFunctions) -> &JsObject, context: &Context) -> JsResult<JsObject> {
    let slot = context.realm().host_defined();
    slot.get::<SizeFunctions>()
        .map(|functions| pick(functions).clone())
        .ok_or_else(|| {
            JsNativeError::typ()
                .with_message("streams are not installed in this realm")
                .into()
        })
}

/// The dictionary `QueuingStrategyInit`, whose one member is required.
fn high_water_mark_of_init(args: &[JsValue], context: &mut Context) -> JsResult<f64> {
    let init = Dictionary::new(args.get_or_undefined(0))?;
    match init.get("highWaterMark", context)? {
        Some(mark) => mark.to_number(context),
        None => Err(JsNativeError::typ()
            .with_message("highWaterMark is required")
            .into()),
    }
}

/// <https://streams.spec.whatwg.org/#blqs-class>
#[derive(Trace, Finalize, JsData)]
pub(crate) struct ByteLengthQueuingStrategy {
    high_water_mark: f64,
}

impl PlatformObject for ByteLengthQueuingStrategy {}

impl Interface for ByteLengthQueuingStrategy {
    const NAME: &'static str = "ByteLengthQueuingStrategy";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, |new_target, args, context| {
            let high_water_mark = high_water_mark_of_init(args, context)?;
            new_target.create(Self { high_water_mark }, context)
        });
        idl.readonly("highWaterMark", |this, _| Ok(this.state().high_water_mark));
        idl.readonly("size", |_, context| {
            size_function(|functions| &functions.byte_length, context)
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#cqs-class>
#[derive(Trace, Finalize, JsData)]
pub(crate) struct CountQueuingStrategy {
    high_water_mark: f64,
}

impl PlatformObject for CountQueuingStrategy {}

impl Interface for CountQueuingStrategy {
    const NAME: &'static str = "CountQueuingStrategy";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, |new_target, args, context| {
            let high_water_mark = high_water_mark_of_init(args, context)?;
            new_target.create(Self { high_water_mark }, context)
        });
        idl.readonly("highWaterMark", |this, _| Ok(this.state().high_water_mark));
        idl.readonly("size", |_, context| {
            size_function(|functions| &functions.count, context)
        });
        Ok(())
    }
}

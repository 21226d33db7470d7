//! `TransformStreamDefaultController`: <https://streams.spec.whatwg.org/#ts-default-controller-class>

use boa_engine::{Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsValue};
use boa_gc::{Finalize, Trace};

use super::TransformStream;
use crate::{
    binding::{Definition, Interface, PlatformObject, thrown, type_error},
    streams::strategy::nullable,
};

/// The object that a transformer is given: the stream's controller, whose slots are the stream's.
#[derive(Trace, Finalize, JsData)]
pub(super) struct TransformStreamDefaultController(pub(super) TransformStream);

impl PlatformObject for TransformStreamDefaultController {}

impl Interface for TransformStreamDefaultController {
    const NAME: &'static str = "TransformStreamDefaultController";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("desiredSize", |this, _| {
            let sides = this.state().0.sides()?;
            Ok(nullable(sides.readable_controller.desired_size()))
        });
        idl.operation("enqueue", 0, |this, args, context| {
            let stream = this.state().0.clone();
            stream.enqueue(args.get_or_undefined(0).clone(), context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("error", 0, |this, args, context| {
            let stream = this.state().0.clone();
            stream.error(args.get_or_undefined(0).clone(), context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("terminate", 0, |this, _, context| {
            let stream = this.state().0.clone();
            stream.terminate(context)?;
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#ts-default-controller-abstract-ops>
impl TransformStream {
    /// <https://streams.spec.whatwg.org/#transform-stream-default-controller-enqueue>
    pub(crate) fn enqueue(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        // 1. to 3.
        let sides = self.sides()?;
        let controller = sides.readable_controller.clone();
        if !controller.can_close_or_enqueue() {
            return Err(JsNativeError::typ()
                .with_message("the readable side is not open for chunks")
                .into());
        }
        // 4., 5.
        if let Err(error) = controller.enqueue(chunk, context) {
            let error = thrown(error, context)?;
            self.error_writable_and_unblock_write(error, context)?;
            return Err(JsError::from_opaque(sides.readable.stored_error()));
        }
        // 6., 7.
        let backpressure = !controller.should_call_pull();
        if backpressure != self.0.state.borrow().backpressure {
            self.set_backpressure(true, context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-default-controller-terminate>
    fn terminate(&self, context: &mut Context) -> JsResult<()> {
        let controller = self.sides()?.readable_controller.clone();
        controller.close(context)?;
        let error = type_error("the transform stream has been terminated", context);
        self.error_writable_and_unblock_write(error, context)
    }
}

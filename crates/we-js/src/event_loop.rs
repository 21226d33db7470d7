//! placeholder
use boa_engine::Context;
pub(crate) fn clean_up_after_callback(context: &mut Context) {
    if context.stack_trace().next().is_none() {
        let _ = context.run_jobs();
    }
}

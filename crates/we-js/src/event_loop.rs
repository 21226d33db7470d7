//! placeholder
use boa_engine::Context;
pub(crate) fn clean_up_after_callback(context: &mut Context) {
    if context.stack_trace().next().is_none() {
        let _ = context.run_jobs();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskSource {
    FileReading,
}
/// placeholder: to queue a task
pub(crate) fn queue_task(
    _source: TaskSource,
    steps: impl FnOnce(&mut Context) + 'static,
    context: &mut Context,
) -> boa_engine::JsResult<()> {
    steps(context);
    Ok(())
}
/// placeholder: to count bytes that the collector does not see
pub(crate) fn account_external(_bytes: usize, _context: &Context) {}

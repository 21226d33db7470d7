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
/// placeholder: to run steps after a timeout, without keeping the loop alive for it
pub(crate) fn set_native_timeout(
    delay: std::time::Duration,
    steps: impl FnOnce(&mut Context) + 'static,
    context: &mut Context,
) -> boa_engine::JsResult<()> {
    use boa_engine::job::{Job, NativeJob, TimeoutJob};
    let job = NativeJob::new(move |context| {
        steps(context);
        Ok(boa_engine::JsValue::undefined())
    });
    let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    context.enqueue_job(Job::TimeoutJob(TimeoutJob::new(job, milliseconds)));
    Ok(())
}

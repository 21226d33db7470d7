//! `importScripts()`: <https://html.spec.whatwg.org/multipage/workers.html#importing-scripts-and-libraries>

use std::path::Path;

use boa_engine::{Context, JsNativeError, JsResult, JsValue, Script, Source};
use url::Url;

use super::{WorkerAgent, owner::is_terminated};
use crate::{
    binding::usv_string,
    dom::{DomException, ErrorName},
    event_loop::{LoopState, ScriptKind, syntax_error},
    fetch::{Destination, Target},
};

/// <https://html.spec.whatwg.org/multipage/workers.html#import-scripts-into-worker-global-scope>
pub(super) fn import_scripts(args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let urls = args
        .iter()
        .map(|url| usv_string(url, context))
        .collect::<JsResult<Vec<_>>>()?;
    // 1.
    if WorkerAgent::of(context).is_none_or(|agent| agent.kind == ScriptKind::Module) {
        return Err(JsNativeError::typ()
            .with_message("importScripts() is for classic workers: a module uses import")
            .into());
    }
    // 2. to 4.
    let state = LoopState::of(context)?;
    let mut records = Vec::with_capacity(urls.len());
    for url in urls {
        match Url::options().base_url(state.base_url()).parse(&url) {
            Ok(url) => records.push(Target::new(url)),
            Err(error) => {
                let message =
                    format!("importScripts: \"{url}\" is not the URL of a script: {error}");
                return Err(DomException::error(ErrorName::Syntax, &message, context));
            }
        }
    }
    // 5.
    let fetcher = state.fetcher();
    for target in records {
        // 5.1
        let fetched = state.block_on(fetcher.fetch(&target, Destination::ImportScripts));
        let fetched = match fetched {
            Some(Ok(fetched)) => fetched,
            Some(Err(error)) => {
                return Err(DomException::error(
                    ErrorName::Network,
                    &error.to_string(),
                    context,
                ));
            }
            // The engine lets no more script run, whatever is returned.
            None => return Ok(JsValue::undefined()),
        };
        // 5.2
        if fetched.is_cross_origin {
            state.mute_errors_of(fetched.url.as_str());
        }
        let path = Path::new(fetched.url.as_str());
        let source = Source::from_bytes(&fetched.text).with_path(path);
        let result = match Script::parse(source, None, context) {
            Ok(script) => script.evaluate(context),
            Err(error) => Err(syntax_error(&error, path, &fetched.text, context)),
        };
        if is_terminated(context) {
            break;
        }
        match result {
            Ok(_) => {}
            // https://html.spec.whatwg.org/multipage/webappapis.html#muted-errors
            Err(error) if fetched.is_cross_origin && error.as_engine().is_none() => {
                let message = format!(
                    "importScripts: {}, which is of another origin, threw an error",
                    fetched.url
                );
                return Err(DomException::error(ErrorName::Network, &message, context));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(JsValue::undefined())
}

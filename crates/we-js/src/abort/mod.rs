//! Aborting ongoing activities: <https://dom.spec.whatwg.org/#aborting-ongoing-activities>
//!
//! A script that can abort something holds an [`AbortController`]; what can be aborted is given its
//! [`AbortSignal`], and either listens for the `abort` event or adds an algorithm.

mod algorithm;
mod controller;
mod signal;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use signal::gathered;

pub(crate) use algorithm::AbortAlgorithm;
pub(crate) use controller::AbortController;
pub(crate) use signal::{
    AbortSignal, dependent, keep_observed_signal, remove_listener_on_abort, signal_abort,
};

//! Tests of the protocol core through its public interface: frame vectors, the rules of RFC 6455
//! one by one, properties over all inputs, and pairs of endpoints in a simulated network.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod buffered;
mod closing;
mod deflate;
mod extension;
mod frames;
mod inflate;
mod properties;
mod sending;
mod support;
mod vectors;
mod vigil;

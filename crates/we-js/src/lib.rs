//! The web platform on the Boa engine.
#![allow(dead_code)]

mod abort;
mod binding;
mod dom;
mod event_loop;
mod platform;
mod websocket;

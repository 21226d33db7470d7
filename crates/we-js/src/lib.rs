//! The web platform on Boa.

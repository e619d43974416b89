//! Python objects to JSON text and back, without files.
//!
//! The text is byte for byte that of the standard library's `json`, because
//! whatever the encoder here does not cover is left to `json` itself.

mod buffer;
mod clone;
mod decode;
mod encode;
mod escape;
mod fault;
mod number;
mod objects;
mod scan;
mod standard;

pub(crate) use clone::clone;
pub(crate) use decode::{DecodeError, decode};
pub(crate) use encode::{EncodeError, encode};
pub(crate) use standard::EncodeOptions;

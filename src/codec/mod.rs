//! Python objects to JSON text and back, without files.
//!
//! The text is byte for byte that of the standard library's `json`, because
//! whatever the encoder here does not cover is left to `json` itself.

#![allow(clippy::inline_always, reason = "a tenth of the time of a read")]

#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the parser needs some of it"))]
mod buffer;
pub mod parse;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "as above"))]
mod scan;

#[cfg(feature = "python")]
mod clone;
#[cfg(feature = "python")]
mod collector;
#[cfg(feature = "python")]
mod corrupt;
#[cfg(feature = "python")]
mod decode;
#[cfg(feature = "python")]
mod encode;
#[cfg(feature = "python")]
mod escape;
#[cfg(feature = "python")]
mod fault;
#[cfg(feature = "python")]
mod names;
#[cfg(feature = "python")]
mod number;
#[cfg(feature = "python")]
mod objects;
#[cfg(feature = "python")]
mod recursion;
#[cfg(feature = "python")]
mod standard;

#[cfg(feature = "python")]
pub(crate) use self::{
    clone::Plan,
    corrupt::DecodeError,
    decode::decode,
    encode::{EncodeError, encode},
    objects::ascii_of,
    standard::EncodeOptions,
};

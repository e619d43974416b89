//! Converts Python objects to JSON text and back. Knows no files.
//!
//! The text is byte for byte what the standard library's `json` writes, and the
//! objects are equal to those that `json` reads. `decode` handles usual documents by
//! itself, and leaves every other document to `json` (`stdlib.rs`). `encode` takes the
//! steps that `json` takes, and leaves single values to it.
//!
//! | file | subject |
//! | --- | --- |
//! | `scan.rs`, `escape.rs`, `copy.rs`, `buffer.rs` | bytes: finding them, and writing them without a crash when memory runs out |
//! | `parse.rs`, `decimal.rs` | JSON's grammar and decimal numbers, without Python |
//! | `no_mutation.rs` | containers read in place, while no Python code runs |
//! | `objects.rs`, `strings.rs`, `key_cache.rs`, `gc_pause.rs` | Python's objects, read and made through the C API |
//! | `encode_string.rs`, `encode_number.rs` | strings and numbers as text |
//! | `kind.rs` | what `json` takes a value for |
//! | `encode_layout.rs` | what stands between values |
//! | `encode_options.rs`, `stdlib.rs`, `recursion.rs` | the options, and calls of `json` |
//! | `encode_error.rs`, `decode_error.rs` | what is wrong, and where |
//! | `encode.rs`, `encode_other.rs`, `encode_sorted.rs`, `decode.rs`, `clone.rs` | the three operations |

#![allow(clippy::inline_always, reason = "without it a load takes a tenth longer")]

#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the encoder needs the rest"))]
mod buffer;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the encoder needs the rest"))]
mod copy;
mod decimal;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the encoder needs the rest"))]
mod escape;
pub mod parse;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the encoder needs the rest"))]
mod scan;

#[cfg(feature = "python")]
mod clone;
#[cfg(feature = "python")]
mod decode;
#[cfg(feature = "python")]
mod decode_error;
#[cfg(feature = "python")]
mod encode;
#[cfg(feature = "python")]
mod encode_error;
#[cfg(feature = "python")]
mod encode_layout;
#[cfg(feature = "python")]
mod encode_number;
#[cfg(feature = "python")]
mod encode_options;
#[cfg(feature = "python")]
mod encode_other;
#[cfg(feature = "python")]
mod encode_sorted;
#[cfg(feature = "python")]
mod encode_string;
#[cfg(feature = "python")]
mod gc_pause;
#[cfg(feature = "python")]
mod key_cache;
#[cfg(feature = "python")]
mod kind;
#[cfg(feature = "python")]
mod no_mutation;
#[cfg(feature = "python")]
mod objects;
#[cfg(feature = "python")]
mod recursion;
#[cfg(feature = "python")]
mod stdlib;
#[cfg(feature = "python")]
mod strings;

#[cfg(feature = "python")]
pub(crate) use self::{
    clone::CopyPlan, decode::decode, decode_error::DecodeError, encode::Encoded, encode::encode,
    encode::encode_noting, encode_error::EncodeError, encode_error::place_of,
    encode_options::EncodeOptions, strings::ascii_of,
};

//! Converts Python objects to JSON text and back. Knows no files.
//!
//! The text is byte for byte what the standard library's `json` writes, and the
//! objects are equal to those that `json` reads. `encode` and `decode` handle usual
//! documents by themselves, and leave every other document to `json` (`stdlib.rs`):
//! this fallback is why the results are the same for every document.
//!
//! | file | subject |
//! | --- | --- |
//! | `scan.rs`, `buffer.rs` | bytes: finding them, and writing them without a crash when memory runs out |
//! | `fast_path.rs` | where the codec stops and `json` takes over |
//! | `parse.rs`, `decimal.rs` | JSON's grammar and decimal numbers, without Python |
//! | `objects.rs`, `key_cache.rs`, `gc_pause.rs` | Python's objects, read and made through the C API |
//! | `encode_string.rs`, `encode_number.rs` | strings and numbers as text |
//! | `encode_options.rs`, `stdlib.rs`, `recursion.rs` | the options, and calls of `json` |
//! | `encode_error.rs`, `decode_error.rs` | what is wrong, and where |
//! | `encode.rs`, `decode.rs`, `clone.rs` | the three operations |

#![allow(clippy::inline_always, reason = "without it a load takes a tenth longer")]

#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the encoder needs the rest"))]
mod buffer;
mod decimal;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "the encoder needs the rest"))]
mod fast_path;
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
mod encode_number;
#[cfg(feature = "python")]
mod encode_options;
#[cfg(feature = "python")]
mod encode_string;
#[cfg(feature = "python")]
mod gc_pause;
#[cfg(feature = "python")]
mod key_cache;
#[cfg(feature = "python")]
mod objects;
#[cfg(feature = "python")]
mod recursion;
#[cfg(feature = "python")]
mod stdlib;

#[cfg(feature = "python")]
pub(crate) use self::{
    clone::CopyPlan, decode::decode, decode_error::DecodeError, encode::encode,
    encode_error::EncodeError, encode_options::EncodeOptions, objects::ascii_of,
};

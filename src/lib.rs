//! Keeps JSON data files safe.
//!
//! Three layers, and data flows through them one way:
//!
//! * [`files`] knows bytes, paths and errors: locks, temporary files, syncs,
//!   renames, backups. No Python.
//! * `codec` knows Python objects and JSON text. No files.
//! * `python` joins the two: convert, release the interpreter, call, convert
//!   back.
//!
//! [`cache`] holds what a load decoded, for as long as [`files::identity`]
//! says that the file is still the one that was read.

pub mod cache;
pub mod codec;
pub mod error;
pub mod files;
pub mod settings;
mod stack;
pub mod statistics;

#[cfg(feature = "python")]
mod imported;
#[cfg(feature = "python")]
mod python;

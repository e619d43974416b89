//! Keeps JSON data safe.
//!
//! Four floors; each knows only the floors below it:
//!
//! * `python`: the face. Arguments in, results and exceptions out, and the interpreter's
//!   lock. No decision about documents.
//! * [`documents`]: what is true of a document wherever it lies.
//! * [`engine`], the one door to [`files`] and `postgres`: bytes, paths and errors; locks, temporary files,
//!   syncs, renames, backups. No Python.
//! * The ground: `codec` (Python objects and JSON text, no files), [`cache`], [`error`],
//!   [`settings`], [`statistics`].

pub mod cache;
pub mod codec;
pub mod documents;
pub mod engine;
pub mod error;
pub mod files;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod settings;
mod stack;
pub mod statistics;

#[cfg(feature = "python")]
mod imported;
#[cfg(feature = "python")]
mod python;

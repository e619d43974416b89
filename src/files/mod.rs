//! One host's file system: what makes a save atomic and durable, and a load trustworthy.
//! Knows bytes, paths and errors; no Python.

mod attributes;
pub mod backup;
pub mod batch;
pub mod fork;
mod hint;
pub mod identity;
pub mod inspect;
mod judging;
pub mod layout;
pub mod lease;
pub mod live;
pub mod lock;
mod locked;
mod prepare;
pub mod read;
pub mod session;
pub mod sidecar;
mod sweep;
pub mod sys;
pub mod target;
pub mod temporary;

//! Files, without Python: what makes a save atomic and durable, and a load
//! trustworthy.

pub mod atomic;
pub mod backup;
pub mod batch;
pub mod compression;
pub mod fork;
pub mod host;
pub mod identity;
mod index;
pub mod journal;
mod keeping;
pub mod lease;
pub mod lock;
pub mod recovery;
pub mod remark;
pub mod sidecar;
pub mod snapshot;
pub mod store;
pub mod target;
pub mod temporary;

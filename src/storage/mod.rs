//! Files, without Python: what makes a save atomic and durable, and a load
//! trustworthy.

pub mod access_list;
mod adoption;
pub mod atomic;
pub mod backup;
pub mod batch;
pub mod compression;
mod decision;
mod folders;
pub mod fork;
mod holder;
pub mod host;
pub mod identity;
mod index;
mod interrupted;
pub mod journal;
mod keeping;
pub mod lease;
pub mod lock;
pub mod lock_file;
pub mod notice;
pub mod recovery;
pub mod remark;
mod roll_forward;
pub mod sidecar;
pub mod snapshot;
pub mod store;
mod taken;
pub mod target;
pub mod temporary;

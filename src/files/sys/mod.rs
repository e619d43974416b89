//! Calls to the kernel that differ by platform.

pub mod access_list;
pub(crate) mod sync;

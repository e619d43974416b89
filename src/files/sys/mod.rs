//! The calls that differ by platform, or that no safe crate has. Ordinary calls (`openat`,
//! `statat`, `renameat`) go to rustix wherever they are needed.

pub mod access_list;
pub(crate) mod clock;
pub(crate) mod futex;
pub mod lease;
pub(crate) mod listing;
pub(crate) mod lock;
pub(crate) mod open;
#[cfg(feature = "postgres")]
pub(crate) mod socket;
pub mod stat;
pub(crate) mod sync;
pub(crate) mod xattr;

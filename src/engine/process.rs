//! What concerns the whole process: which stores there are, and forks.

use std::path::PathBuf;

use crate::files::{fork, lock};
#[cfg(feature = "postgres")]
use crate::postgres;

/// Puts stores in force, each with its folder and URL, in place of all others.
///
/// # Errors
///
/// The folder whose URL cannot be used, and why; nothing is changed.
pub fn configure_stores(
    stores: Vec<(PathBuf, String)>,
) -> std::result::Result<(), (PathBuf, String)> {
    #[cfg(feature = "postgres")]
    return postgres::configure(stores);
    #[cfg(not(feature = "postgres"))]
    match stores.into_iter().next() {
        None => Ok(()),
        Some((folder, _)) => Err((folder, "needs a build with the feature postgres".to_owned())),
    }
}

/// To be called before `fork`, in the forking thread, with no Python lock held.
pub fn before_fork() {
    fork::before();
}

/// To be called after `fork` in the parent.
pub fn after_fork_in_parent() {
    fork::after_in_parent();
}

/// To be called after `fork` in the child.
pub fn after_fork_in_child() {
    fork::after_in_child(lock::after_fork_in_child);
}

//! What a write that happened has to say: for the log.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::error::Error;
use crate::files::layout::TEMP;

/// One warning.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    /// Something beside the write failed: a backup that could not be pruned.
    #[error(transparent)]
    Failed(#[from] Error),
    /// A file was replaced that a reader had found to be no document.
    #[error("what it replaced did not parse when it was loaded; it is kept as {}", kept.display())]
    CorruptReplaced {
        /// The name of the backup, beside the file.
        kept: OsString,
    },
    /// Killed writers left temporary files, and the file was no document.
    #[error(
        "what was in the file did not parse, so what killed writers left was not removed: {}; \
         one of these may be the only good copy: look at them now, since the next save removes them",
        listed(names)
    )]
    LeftoversKept {
        /// The temporary files, seen from the file's folder.
        names: Vec<PathBuf>,
    },
    /// What the replaced file had and the kernel did not let the new one have.
    #[error("{what} could not be kept ({cause}): {instead}")]
    NotKept {
        /// The owner, group, mode or attribute, with its value or name.
        what: String,
        /// The errno.
        cause: io::Error,
        /// What there is now.
        instead: String,
    },
    /// A new file is open to fewer than a new file in its folder.
    #[error(
        "a new file in this folder could not be made like others there, since {TEMP} is \
         another user's and not in line with the folder ({cause}): its mode is 0600; a new \
         document saved by that user or by root puts that folder in line"
    )]
    NotOfItsFolder {
        /// Why it was not found out what others are like.
        cause: Box<Error>,
    },
}

fn listed(names: &[PathBuf]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.display().to_string()).collect();
    names.join(", ")
}

//! What a write tells beside its success, for the log.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::error::Error;
use crate::files::layout::TEMP;

/// What went wrong, or was done differently, although the write happened.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    /// A step beside the write failed: a backup could not be pruned, say.
    #[error(transparent)]
    Failed(#[from] Error),
    /// The write replaced a file that a reader had found to be no document.
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
    /// The replaced file had something that the kernel did not let the new file have.
    #[error("{what} could not be kept ({cause}): {instead}")]
    NotKept {
        /// The owner, group, mode or attribute, with its value or name.
        what: String,
        /// The errno.
        cause: io::Error,
        /// What the file has instead.
        instead: String,
    },
    /// A new file is open to fewer people than other new files in its folder.
    #[error(
        "a new file in this folder could not be made like others there, since {TEMP} is \
         another user's and not in line with the folder ({cause}): its mode is 0600; a new \
         document saved by that user or by root puts that folder in line"
    )]
    NotOfItsFolder {
        /// Why the file could not be made like others.
        cause: Box<Error>,
    },
}

fn listed(names: &[PathBuf]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.display().to_string()).collect();
    names.join(", ")
}

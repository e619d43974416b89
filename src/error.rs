//! The one error of the storage core. Each variant carries the caller's path;
//! the text of each names the file without its folder, because callers hand
//! that text to clients.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

/// What a storage operation returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a storage operation did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A syscall failed before anything was published: the file is as it was.
    #[error("{}: {call} failed: {source}{hint}", name(path))]
    Syscall {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// What failed, in words that name the syscall.
        call: &'static str,
        /// The errno.
        source: io::Error,
        /// What to do about it, or nothing.
        hint: String,
    },
    /// There is no such file.
    #[error("{}: no such file", name(path))]
    NotFound {
        /// The file, as the caller gave it.
        path: PathBuf,
    },
    /// The path leads to something that cannot hold a document.
    #[error("{}: is {kind}, not a regular file; name the JSON file itself", name(path))]
    NotAFile {
        /// The path, as the caller gave it.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// Another writer kept the lock until the deadline.
    #[error(
        "{}: still locked {} after {:.3} s{}",
        name(path), holder_text(*holder, holder_host.as_deref(), *by_this_thread), waited.as_secs_f64(),
        holder_advice(*by_this_thread)
    )]
    LockTimeout {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// How long the caller was willing to wait.
        waited: Duration,
        /// The process that holds the lock, where the kernel tells.
        holder: Option<u32>,
        /// The host of that process, where the document is in a database that tells.
        holder_host: Option<String>,
        /// Whether the calling thread took the lock itself, and left it held.
        by_this_thread: bool,
    },
    /// The calling thread holds the lock itself, and would wait for ever.
    #[error("{}: {why}", name(path))]
    AlreadyLocked {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// Why the thread would wait for itself.
        why: Standstill,
    },
    /// The lock was let go, or taken before a fork, and this is the child; or the
    /// application has closed its descriptor, or somebody removed its file.
    #[error(
        "{}: is no longer locked by this process; a change begun before a fork is the parent's to make, and what closes all descriptors (to become a daemon, say) or removes .oasis_data lets the lock go: begin the change again after that",
        name(path)
    )]
    LockGone {
        /// The file, as the caller gave it.
        path: PathBuf,
    },
    /// There is no backup to restore.
    #[error(
        "{}: has no backup that can be restored{}",
        name(path), if tried.is_empty() { String::new() } else { format!("; {}", tried.join("; ")) }
    )]
    NoBackup {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// What was tried, each with its fault.
        tried: Vec<String>,
    },
    /// A signal arrived while waiting for the lock, or for what comes through a pipe.
    #[error("{}: interrupted while waiting for it", name(path))]
    Interrupted {
        /// The file, as the caller gave it.
        path: PathBuf,
    },
    /// The file is not the version that the caller based its change on.
    #[error(
        "{}: {}; load it again and repeat the change",
        name(path), conflict_text(expected.as_deref(), found.as_deref())
    )]
    VersionConflict {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// The version asked for; `None` asks that there be no file.
        expected: Option<String>,
        /// The version there is; `None` is no file.
        found: Option<String>,
    },
    /// The path is one of several that a batch names, and another leads to the
    /// same file.
    #[error("{}: is the same file as {} in this batch; name it once", name(path), name(twin))]
    NamedTwice {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// The same file, as the caller gave it elsewhere.
        twin: PathBuf,
    },
    /// A batch of a writer that died can be neither rolled forward nor rolled back.
    #[error("{}: belongs to a batch of saves that was interrupted, and {reason}", name(path))]
    Unrecovered {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A batch was decided, so that its files will change, but is not done.
    #[error(
        "{}: the batch of saves with this file is decided, but not yet in place: {cause}; the next use of any of its files completes it",
        name(path)
    )]
    Unfinished {
        /// One of the batch's files, as the caller gave it.
        path: PathBuf,
        /// What stopped it.
        cause: Box<Error>,
    },
    /// The new content is in place, but its directory entry was not synced.
    #[error(
        "{}: the change is in place, but syncing its folder failed: {source}; it may not survive a power cut{}",
        name(path),
        sync_advice(source)
    )]
    NotDurable {
        /// The file, as the caller gave it.
        path: PathBuf,
        /// The errno.
        source: io::Error,
    },
    /// The change is committed on the server, but no standby has confirmed it.
    #[error(
        "{}: the change is committed, but the wait for a standby was ended on the server; a failover may lose it: look at the standbys, and save again",
        name(path)
    )]
    NotReplicated {
        /// The document, as the caller gave it.
        path: PathBuf,
    },
    /// The answer to a commit did not come.
    #[error(
        "{}: whether the change was made is not known, since the server of its store did not answer to the commit ({cause}); load it again before you repeat the change",
        name(path)
    )]
    OutcomeUnknown {
        /// The document, as the caller gave it.
        path: PathBuf,
        /// What came in place of the answer.
        cause: Box<Error>,
    },
    /// An edit of a document in a database took too long, and its lock was given up.
    #[error(
        "{}: the edit took longer than {after} s, and the server has given its lock to others; nothing was saved: do less inside the edit, or raise edit_timeout",
        name(path)
    )]
    EditExpired {
        /// The document, as the caller gave it.
        path: PathBuf,
        /// How long an edit may take, in seconds.
        after: f64,
    },
    /// A batch names documents that do not lie in one store.
    #[error(
        "{}: does not lie in one store with {}, so that both cannot be saved as one; nothing was saved: save them one after the other, or move them into one store",
        name(path),
        name(twin)
    )]
    SeveralStores {
        /// The document, as the caller gave it.
        path: PathBuf,
        /// The first document of the batch, as the caller gave it.
        twin: PathBuf,
    },
    /// A judge refuses the state that the write would lead to.
    #[error("{}: {reason}", name(path))]
    Refused {
        /// The document, or the first of a batch, as the caller gave it.
        path: PathBuf,
        /// What the judge says.
        reason: Refusal,
    },
    /// A document refers to a document in another store, or another document of that store to
    /// it.
    #[error(
        "{}: does not lie in one store with {}, so that references between them cannot be kept; nothing was changed: move them into one store, or take the reference out of the rules",
        name(path),
        name(other)
    )]
    ReferenceToOtherStore {
        /// The document, as the caller gave it.
        path: PathBuf,
        /// The other document.
        other: PathBuf,
    },
}

/// What a judge says against a state.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// The file, as the caller gave it.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Syscall { path, .. }
            | Self::NotFound { path }
            | Self::NotAFile { path, .. }
            | Self::LockTimeout { path, .. }
            | Self::AlreadyLocked { path, .. }
            | Self::LockGone { path }
            | Self::NoBackup { path, .. }
            | Self::Interrupted { path }
            | Self::VersionConflict { path, .. }
            | Self::NamedTwice { path, .. }
            | Self::Unrecovered { path, .. }
            | Self::Unfinished { path, .. }
            | Self::NotDurable { path, .. }
            | Self::NotReplicated { path }
            | Self::OutcomeUnknown { path, .. }
            | Self::EditExpired { path, .. }
            | Self::SeveralStores { path, .. }
            | Self::Refused { path, .. }
            | Self::ReferenceToOtherStore { path, .. } => path,
        }
    }

    /// The errno behind the error, where there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Syscall { source, .. } | Self::NotDurable { source, .. } => source.raw_os_error(),
            Self::NotFound { .. } => Some(Errno::NOENT.raw_os_error()),
            Self::NotAFile { kind, .. } if *kind == A_DIRECTORY => {
                Some(Errno::ISDIR.raw_os_error())
            }
            Self::NotAFile { .. } => Some(Errno::INVAL.raw_os_error()),
            Self::LockTimeout { .. } => Some(Errno::TIMEDOUT.raw_os_error()),
            Self::AlreadyLocked { .. } => Some(Errno::DEADLK.raw_os_error()),
            Self::Unfinished { cause, .. } | Self::OutcomeUnknown { cause, .. } => cause.errno(),
            Self::SeveralStores { .. } | Self::ReferenceToOtherStore { .. } => {
                Some(Errno::XDEV.raw_os_error())
            }
            Self::NoBackup { .. }
            | Self::NamedTwice { .. }
            | Self::Unrecovered { .. }
            | Self::LockGone { .. }
            | Self::NotReplicated { .. }
            | Self::EditExpired { .. }
            | Self::Interrupted { .. }
            | Self::VersionConflict { .. }
            | Self::Refused { .. } => None,
        }
    }
}

/// What a caller can do about an error in a call of its own. The face says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Have the save make the missing folders.
    MakeFolders,
    /// Save without a backup.
    SaveWithoutBackup,
    /// Save without syncs.
    SaveWithoutSync,
    /// Look at the backups that there are.
    ListBackups,
    /// Leave the block that holds the lock.
    LeaveBlock,
    /// Do not wait inside a block that holds the lock.
    DoNotWait(Standstill),
}

impl Error {
    /// What the caller can do about it in a call of its own, where there is such a thing.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match (self, self.errno().map(Errno::from_raw_os_error)) {
            (Self::NoBackup { tried, .. }, _)
                if tried.iter().any(|fault| fault.ends_with(NO_SUCH_BACKUP)) =>
            {
                Some(Remedy::ListBackups)
            }
            (Self::AlreadyLocked { why, .. }, _) => Some(Remedy::DoNotWait(*why)),
            (Self::LockTimeout { by_this_thread: true, .. }, _) => Some(Remedy::LeaveBlock),
            (Self::NotDurable { .. }, Some(errno)) if is_without_sync(errno) => {
                Some(Remedy::SaveWithoutSync)
            }
            (Self::Syscall { call, .. }, Some(errno)) => match errno {
                errno if call.starts_with("fsync") && is_without_sync(errno) => {
                    Some(Remedy::SaveWithoutSync)
                }
                Errno::NOENT if *call == OPEN_FOLDER => Some(Remedy::MakeFolders),
                Errno::NAMETOOLONG if *call != NAME_IN_STORE => Some(Remedy::SaveWithoutBackup),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is about what a file holds (no whole gzip file), so that it will
    /// be the same at the next try.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        matches!(self, Self::Syscall { source, .. }
            if [InvalidData, InvalidInput, UnexpectedEof].contains(&source.kind())
                && source.raw_os_error().is_none())
    }

    /// The end of a wait, as that of a wait for the file at `path`; any other error as it is.
    #[must_use]
    pub fn of_wait_for(mut self, path: &Path) -> Self {
        if let Self::LockTimeout { path: own, .. }
        | Self::AlreadyLocked { path: own, .. }
        | Self::Interrupted { path: own } = &mut self
        {
            path.clone_into(own);
        }
        self
    }

    /// The same failure, when putting things back failed too.
    #[must_use]
    pub fn followed_by(mut self, also: &Self, remedy: &str) -> Self {
        if let Self::Syscall { hint, .. } = &mut self {
            *hint = format!("{hint}; then {also}: {remedy}");
        }
        self
    }
}

/// The `call` of opening the folder that a file is in.
pub const OPEN_FOLDER: &str = "open of its folder";

/// The `call` of opening what is locked for a file: the first thing in the sidecar
/// that a write needs.
pub const OPEN_LOCK: &str = "open of its lock";

/// The `call` of going through a symlink that the kernel would not follow.
pub const FOLLOW_LINK: &str = "following a symlink";

/// The `call` of putting a file in the place of another.
pub const RENAME: &str = "rename";

/// The same where a batch is decided already.
pub const RENAME_OF_BATCH: &str = "rename (to complete a batch)";

/// The `call` of deleting a file.
pub const UNLINK: &str = "unlink";

/// The `call` of taking the lock.
pub const LOCK_CALL: &str = "flock";

/// The `call` of entering or leaving the queue for the lock.
pub const QUEUE_CALL: &str = "fcntl of its lock";

/// The `call` of giving a new file the owner of the one it replaces.
pub const KEEP_OWNER: &str = "fchown (to keep the file's owner)";

/// The `call` of opening the file that a save replaces, which has to read it.
pub const OPEN_REPLACED: &str = "open (to keep the file's attributes)";

/// The `call` of finding out the name that a document has in a database.
pub const NAME_IN_STORE: &str = "naming it in its store";

/// The fault, in [`Error::NoBackup`], of a name that no backup has.
pub const NO_SUCH_BACKUP: &str = "there is no such backup";

/// The `kind` of [`Error::NotAFile`] that has an errno of its own.
pub const A_DIRECTORY: &str = "a directory";

/// The file's name without its folder, fit for a message.
#[must_use]
pub fn name(path: &Path) -> String {
    let last = path.components().next_back().map_or(OsStr::new("''"), Component::as_os_str);
    let name = last.to_string_lossy();
    // A name with control characters must not act on terminals and logs.
    name.chars()
        .flat_map(|letter| {
            let escaped = letter.is_control().then(|| letter.escape_default());
            let plain = escaped.is_none().then_some(letter);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Why a thread that waited for a lock would wait for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Standstill {
    /// It is inside the block that holds the lock.
    #[error("this thread is already writing it")]
    Nested,
    /// A coroutine of its event loop holds the lock: its own, or one that is suspended.
    #[error("a task of this thread holds its lock, and cannot go on while this thread waits")]
    Await,
    /// A greenlet of it holds the lock, and is suspended.
    #[error(
        "another stack of this thread holds its lock, and cannot go on while this thread waits"
    )]
    Switch,
}

fn holder_text(holder: Option<u32>, host: Option<&str>, by_this_thread: bool) -> String {
    if by_this_thread {
        return "by this thread itself".to_owned();
    }
    let host = host.map(|host| format!(" on {host}")).unwrap_or_default();
    let process = |pid| format!("by process {pid}{host}");
    holder.map_or_else(|| "by another writer".to_owned(), process)
}

fn holder_advice(by_this_thread: bool) -> &'static str {
    if by_this_thread { "" } else { "; try again, or look at what that process is doing" }
}

fn conflict_text(expected: Option<&str>, found: Option<&str>) -> String {
    match (expected.map(shown), found.map(shown)) {
        (None, Some(found)) => format!("exists already (version {found})"),
        (Some(expected), None) => format!("is gone (expected version {expected})"),
        (expected, found) => format!(
            "changed since it was read (expected version {}, found {})",
            expected.unwrap_or_default(),
            found.unwrap_or_default()
        ),
    }
}

/// A version may come from a client's header: of any length, with anything in it.
fn shown(version: &str) -> String {
    const LENGTH: usize = 40;
    let start: String = version.chars().take(LENGTH).flat_map(char::escape_default).collect();
    if version.chars().nth(LENGTH).is_some() { format!("{start}…") } else { start }
}

/// Whether a sync that failed with `errno` will never be done there.
#[must_use]
pub fn is_without_sync(errno: Errno) -> bool {
    [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS].contains(&errno)
}

fn sync_advice(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        // The next save would end just so.
        Some(errno) if is_without_sync(errno) => {
            ", nor may any save there: its file system has no sync of folders (some network and shared ones have none)"
        }
        _ => ", so check the disk and save again",
    }
}

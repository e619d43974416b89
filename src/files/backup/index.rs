//! Which backups a file has, before a writer makes the next. In a small folder the writer
//! lists the folder. In a large folder it reads an index in the lock file, so that a save
//! costs the same beside a hundred thousand files.
//!
//! The index names the backups that the last writer left. A writer trusts the index only
//! where nothing can have happened unseen since:
//!
//! - Whoever changes the file or its backups holds the lock, and takes the index away until
//!   the change is done. A writer that is killed leaves no index.
//! - A writer that does not know the index (an earlier release, a batch that somebody else
//!   completed, a program without the lock) leaves another file in place, and the index
//!   names the file that it was made for.
//! - The index is never synced, so it holds for one run of the kernel only.
//! - Each backup in the index is looked for.
//!
//! So an index can lack only backups that somebody put beside the file by hand. The next
//! listing finds them.

use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::Stat;

use crate::error::Result;
use crate::files::backup::{self, Backup, Taken};
use crate::files::identity::Identity;
use crate::files::layout;
use crate::files::locked::LockedFile;

/// The size of a folder (`stat`), in bytes, up to which each save lists it: some hundred
/// names.
const SMALL_FOLDER: i64 = 16 * 1024;

/// Where the index begins in the lock file.
const PLACE: u64 = layout::INDEX_PLACE as u64;

/// Backups that an index may name. With more, a listing is no slower than a look for each.
const MOST: usize = 100;

/// Bytes of an index with so many backups.
const LONGEST: usize = 4096;

/// A file of which the backups are asked for.
pub(crate) struct BackupQuery<'a> {
    pub(crate) locked: &'a LockedFile,
    /// The identity of the file now.
    pub(crate) live: Option<Identity>,
    /// Whether the folder is listed where there is no index.
    pub(crate) needed: bool,
}

/// A file's backups, oldest first.
#[derive(Debug, Default)]
pub(crate) struct KnownBackups {
    pub(crate) all: Vec<Backup>,
    /// Whether these are all backups, so that the next writer may find them in an index.
    pub(crate) indexed: bool,
    /// Which names are taken.
    pub(crate) taken: Taken,
}

/// The backups of each of many files. Each folder is listed at most once.
pub(crate) fn known_each(asked: &[BackupQuery<'_>]) -> Vec<Result<KnownBackups>> {
    let mut known: Vec<Option<Result<KnownBackups>>> = asked.iter().map(|_| None).collect();
    let (mut places, mut unknown) = (Vec::new(), Vec::new());
    for (place, asked) in asked.iter().enumerate() {
        let BackupQuery { locked, live, needed } = asked;
        let folder = match locked.target.folder_stat() {
            Ok(folder) => folder,
            Err(error) => {
                known[place] = Some(Err(error));
                continue;
            }
        };
        let large = is_large(&folder);
        // safeguard: index-of-large-folder
        match large.then(|| locked.indexed(live.as_ref())).flatten() {
            Some(all) => {
                let taken = Taken::Unknown;
                known[place] = Some(Ok(KnownBackups { all, indexed: true, taken }));
            }
            None if *needed => {
                places.push((place, large));
                unknown.push((&locked.target, Identity::of(&folder).key()));
            }
            None => known[place] = Some(Ok(KnownBackups::default())),
        }
    }
    let listed = backup::list_each(&unknown);
    for ((place, indexed), listed) in places.into_iter().zip(listed) {
        known[place] = Some(listed.map(|listed| {
            let taken = listed.taken();
            KnownBackups { all: listed.backups, indexed, taken }
        }));
    }
    known.into_iter().flatten().collect()
}

impl LockedFile {
    /// The file's backups, whatever an index says.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub(crate) fn listed(&self) -> Result<Vec<Backup>> {
        let all = backup::list(&self.target)?;
        if is_large(&self.target.folder_stat()?) {
            self.leave_index(&all);
        }
        Ok(all)
    }

    /// Writes an index for the next writer, or none where there are too many backups. A
    /// failure does no harm: the index only saves work.
    pub(crate) fn leave_index(&self, backups: &[Backup]) {
        let stat = self.target.stat().ok().filter(|_| backups.len() <= MOST);
        let head = stat.and_then(|stat| self.head(stat.as_ref().map(Identity::of).as_ref()));
        let Some(mut text) = head else { return self.take_index_away() };
        for backup in backups {
            text.push(' ');
            text.push_str(&backup.stamp_text());
        }
        self.lock.write_at(sealed(&text).as_bytes(), PLACE);
    }

    /// Removes the index: what it names is about to change.
    pub(crate) fn take_index_away(&self) {
        self.lock.write_at(b"-", PLACE);
    }

    /// The backups that the index names and that are still there; nothing where there is no
    /// index of this file as it is now.
    fn indexed(&self, live: Option<&Identity>) -> Option<Vec<Backup>> {
        let found = self.lock.read_at(LONGEST, PLACE)?;
        let text = found.split_inclusive(|&byte| byte == b'\n').next()?;
        let text = std::str::from_utf8(text).ok()?;
        // safeguard: index-whole
        let (text, _) = text.rsplit_once(' ').filter(|(head, _)| sealed(head) == text)?;
        let stamps = text.strip_prefix(&self.head(live)?)?.split_whitespace();
        let found = stamps.map(|stamp| backup::find(&self.target, stamp));
        let found: Vec<_> = found.collect::<Result<_>>().ok()?;
        Some(found.into_iter().flatten().collect())
    }

    /// The beginning of an index of this file as it is now, in this run of the kernel.
    fn head(&self, live: Option<&Identity>) -> Option<String> {
        // safeguard: index-content
        let content = live.map_or_else(|| "none".to_owned(), Identity::content);
        // safeguard: index-head
        Some(format!("backups 1 {} {} {content}", run_of_the_kernel()?, self.lock.key()))
    }
}

fn is_large(folder: &Stat) -> bool {
    folder.st_size > SMALL_FOLDER
}

/// The line with its checksum, which tells whether the line is whole.
fn sealed(text: &str) -> String {
    let checksum = blake3::hash(text.as_bytes()).to_hex();
    format!("{text} {}\n", &checksum[..16])
}

/// The name of this run of the kernel; nothing where the kernel does not tell it.
fn run_of_the_kernel() -> Option<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Some(boot);
    }
    let boot = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).ok()?;
    let boot = boot.trim();
    (!boot.is_empty() && !boot.contains(char::is_whitespace))
        .then(|| BOOT.get_or_init(|| boot.to_owned()).as_str())
}

//! Several files as one commit: all of them are replaced, or none, whatever
//! happens in between.
//!
//! Under the locks of all files: the new contents are written and synced beside
//! them, then a journal, which decides; then come the renames, one sync for
//! each folder, and the journal's removal.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use super::atomic;
use super::fork;
use super::identity::{FileKey, Identity};
use super::index::{self, Asked};
use super::journal::{self, Change, Journal, Name, Place};
use super::keeping::BackedUp;
use super::lock::{Deadline, Signals};
use super::recovery;
use super::remark::Remark;
use super::sidecar;
use super::snapshot::Same;
use super::store::{Locked, Preparation, Prepared, WriteOptions, Written};
use super::target::Target;
use crate::error::{Error, Result};
use crate::settings::Durability;
use crate::statistics::COUNTERS;

/// Syncs that wait at the same time. The disk's own journal takes those that
/// wait together in one go.
const SYNCS_AT_ONCE: usize = 8;

/// One file of a batch.
#[derive(Debug)]
pub struct Save<'a> {
    /// Which.
    pub path: &'a Path,
    /// Its new content.
    pub bytes: &'a [u8],
    /// What its version must be, if that matters.
    pub if_version: Option<String>,
}

/// Replaces the content of all files, or of none. What happened to each is
/// returned in the order of `saves`.
///
/// # Errors
///
/// [`Error::NamedTwice`] for two paths to one file. After
/// [`Error::Unfinished`] the batch stands, and after [`Error::NotDurable`] too;
/// after any other error all files are as they were.
pub fn save_many(
    saves: &[Save<'_>],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Vec<Written>> {
    let deadline = Deadline::after(options.timeout);
    let files = lock_files(saves, options, &deadline, signals)?;
    let mut written: Vec<Written> = Vec::new();
    written.resize_with(saves.len(), Written::default);
    let mut in_place = Vec::new();
    let mut changed = Vec::new();
    for (index, locked) in &files {
        let save = &saves[*index];
        let options = WriteOptions { if_version: save.if_version.clone(), ..options.clone() };
        match locked.prepare(save.bytes, None, &options)? {
            Preparation::InPlace(unchanged) => in_place.push((locked, unchanged)),
            Preparation::Change(prepared) => {
                changed.push(Changed {
                    index: *index,
                    locked,
                    prepared: *prepared,
                    synced: OnceLock::new(),
                });
            }
        }
    }
    if options.durability == Durability::Full {
        sync_contents(&changed, &in_place)?;
    }
    COUNTERS.unchanged_saves.add(in_place.len() as u64);
    for (index, done) in publish(changed, options, &deadline, signals)? {
        written[index] = done;
    }
    drop(in_place);
    let (indices, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    for (index, remarks) in indices.into_iter().zip(Locked::close_all(files, options)) {
        written[index].remarks.extend(remarks);
    }
    COUNTERS.batches.count();
    Ok(written)
}

/// A file that the batch replaces.
struct Changed<'a> {
    /// Its place in what the caller gave.
    index: usize,
    locked: &'a Locked,
    prepared: Prepared<'a>,
    /// What was synced, once it is.
    synced: OnceLock<Identity>,
}

impl Changed<'_> {
    fn target(&self) -> &Target {
        self.locked.target()
    }
}

/// Locks all files, in the one order that every batch takes them in.
fn lock_files(
    saves: &[Save<'_>],
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<(usize, Locked)>> {
    let mut targets = BTreeMap::new();
    let mut inodes: HashMap<FileKey, PathBuf> = HashMap::new();
    for (index, save) in saves.iter().enumerate() {
        let target = Target::resolve(save.path, options.make_parents)?;
        let twice = |twin| Err(Error::NamedTwice { path: save.path.into(), twin });
        // Two names of one file that is no hard link: a folder that does not
        // tell upper from lower case.
        if let Some(live) = target.stat()?.filter(|live| live.st_nlink == 1)
            && let Some(twin) = inodes.insert(Identity::of(&live).key(), save.path.into())
        {
            return twice(twin);
        }
        let key = (target.folder_key()?, target.name.clone());
        if let Some((_, twin)) = targets.insert(key, (index, target)) {
            return twice(twin.spelt);
        }
    }
    targets
        .into_values()
        .map(|(index, target)| Ok((index, Locked::acquire(target, deadline, signals)?)))
        .collect()
}

/// Puts what stands ready in place.
fn publish(
    changed: Vec<Changed<'_>>,
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<(usize, Written)>> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let folders = Folders::of(&changed)?;
    let locks = folders.lock(deadline, signals)?;
    let backed_up = back_up(&changed, options)?;
    let full = options.durability == Durability::Full;
    let decided = folders.decide(&changed, options, full);
    let decision = match decided {
        Ok(decision) => decision,
        Err(error) => return Err(take_back(error, &changed, &backed_up)),
    };
    let first = changed[0].target().spelt.clone();
    let mut done = Vec::with_capacity(changed.len());
    let mut locked = Vec::with_capacity(changed.len());
    for Changed { index, locked: file, prepared, synced } in changed {
        prepared.temporary.leave();
        done.push((index, prepared.written));
        locked.push((file, synced));
    }
    let ways = folders.by_way();
    let unfinished = |cause| Error::Unfinished { path: first, cause: Box::new(cause) };
    let renamed = recovery::rename(&decision, &ways, false);
    // Before anything that takes long: whoever waits to write into a replaced
    // file would get into its backup, should this writer die.
    let mut backups = Vec::with_capacity(done.len());
    for (((_, written), (file, synced)), backed_up) in done.iter_mut().zip(&locked).zip(backed_up) {
        backups.push(file.let_go(backed_up, written));
        file.note(synced.get());
    }
    let synced = renamed.and_then(|()| if full { recovery::sync(&ways) } else { Ok(()) });
    synced.map_err(unfinished)?;
    // What cannot be removed is found by the next use, and is nothing to do.
    done[0].1.remarks.extend(recovery::close(&ways).err().map(Remark::from));
    drop(locks);
    for (((_, written), (file, _)), backups) in done.iter_mut().zip(&locked).zip(backups) {
        file.tidy(backups, options, &mut written.remarks);
    }
    Ok(done)
}

fn back_up(changed: &[Changed<'_>], options: &WriteOptions) -> Result<Vec<BackedUp>> {
    let asked = changed.iter().map(|Changed { locked, prepared, .. }| Asked {
        locked,
        live: prepared.before,
        needed: prepared.kept.is_some(),
    });
    let earlier = index::known_each(&asked.collect::<Vec<_>>());
    let earlier = earlier.into_iter().collect::<Result<Vec<_>>>()?;
    let mut backed_up = Vec::with_capacity(changed.len());
    for (change, earlier) in changed.iter().zip(earlier) {
        let kept = change.prepared.kept.as_ref();
        match change.locked.back_up(kept, earlier, options) {
            Ok(taken) => backed_up.push(taken),
            Err(error) => return Err(take_back(error, changed, &backed_up)),
        }
    }
    Ok(backed_up)
}

fn take_back(error: Error, changed: &[Changed<'_>], backed_up: &[BackedUp]) -> Error {
    let taken = changed.iter().zip(backed_up);
    taken.fold(error, |error, (change, backed_up)| change.locked.take_back(error, backed_up))
}

/// Makes every reader that has the old content cached look again, and find the
/// journal: it could not tell otherwise, should this writer die before the rename.
fn change_identity(change: &Changed<'_>) {
    let target = change.target();
    let Ok(Some(live)) = target.stat() else { return };
    // A chmod to the mode that it has sets the ctime. Where it fails, the
    // batch stands all the same.
    let _ = target
        .open_to_read(target.name.as_os_str())
        .and_then(|file| fs::fchmod(file, Mode::from_raw_mode(live.st_mode & 0o7777)));
}

/// The folders of a batch; the decision is in the first.
struct Folders<'a> {
    /// Each with the way to it from the first.
    folders: Vec<(FileKey, PathBuf, &'a Target)>,
}

impl<'a> Folders<'a> {
    fn of(changed: &[Changed<'a>]) -> Result<Self> {
        let mut folders: Vec<(FileKey, PathBuf, &'a Target)> = Vec::new();
        for change in changed {
            let target = change.locked.target();
            let key = target.folder_key()?;
            if folders.iter().all(|(known, ..)| *known != key) {
                let first = folders.first().map_or(target, |(_, _, first)| first);
                folders.push((key, journal::way(first, target)?.to_path(), target));
            }
        }
        Ok(Self { folders })
    }

    fn by_way(&self) -> BTreeMap<&Path, &Target> {
        self.folders.iter().map(|(_, way, target)| (way.as_path(), *target)).collect()
    }

    /// Locks the journals of all folders, and leaves none of a dead writer.
    fn lock(&self, deadline: &Deadline, signals: &dyn Signals) -> Result<Vec<super::lock::Lock>> {
        loop {
            for (_, _, target) in &self.folders {
                recovery::recover_any(target, deadline, signals)?;
            }
            let targets = self.folders.iter().map(|(_, _, target)| *target);
            let locks = recovery::lock_journals(targets, deadline, signals)?;
            if !self.folders.iter().any(|(_, _, target)| journal::exists(&target.folder)) {
                return Ok(locks);
            }
        }
    }

    fn way_to(&self, change: &Changed<'_>) -> Result<&Path> {
        let own = change.target().folder_key()?;
        let found = self.folders.iter().find(|(key, ..)| *key == own);
        found
            .map(|(_, way, _)| way.as_path())
            .ok_or_else(|| change.target().failed("fstat of its folder", Errno::STALE))
    }

    /// The marks by which a recovery knows the folders, if there are several.
    fn marks(&self, changed: &[Changed<'_>], sync: bool) -> Result<Vec<String>> {
        if self.folders.len() == 1 {
            return Ok(Vec::new());
        }
        let marks = self.folders.iter().map(|(_, way, target)| {
            let new = changed.iter().find(|change| self.way_to(change).is_ok_and(|own| own == way));
            // Letters that were drawn for a temporary file, and for no other.
            let letters = new.and_then(|change| change.prepared.temporary.name().extension());
            let letters = letters.and_then(OsStr::to_str).unwrap_or_default();
            journal::mark(target, letters, sync)
        });
        marks.collect()
    }

    /// Writes the journals, the decision last. On an error there are none.
    fn decide(
        &self,
        changed: &[Changed<'_>],
        options: &WriteOptions,
        sync: bool,
    ) -> Result<Journal> {
        let (_, _, first) = &self.folders[0];
        // The name of a temporary file is given only once.
        let batch = name_of(&changed[0]).to_path().display().to_string();
        let backups = (options.backups_kept > 0).then(|| options.zone.local_minus_utc());
        let mut all = Vec::with_capacity(changed.len());
        for change in changed {
            all.push(change_of(change, self.way_to(change)?));
        }
        let marks = self.marks(changed, sync)?;
        let place = |folder: Name, mark: &str| Place { folder, mark: mark.to_owned() };
        let others = self.folders.iter().zip(&marks).skip(1);
        let places = others.map(|((_, way, _), mark)| place(way.as_os_str().into(), mark));
        let decision = Journal::new(&batch, None, backups, places.collect(), all);
        let written = (|| {
            let targets = self.folders.iter().map(|(_, _, target)| *target);
            let begun: Vec<File> = targets.map(journal::begin).collect::<Result<_>>()?;
            // With the journals in sight, so that nobody caches what is read
            // after this; before the decision, so that nobody misses it who had
            // it cached.
            for change in changed {
                change_identity(change);
            }
            let mut leading = Vec::new();
            for ((_, way, target), file) in self.folders.iter().zip(&begun).skip(1) {
                let own = changed
                    .iter()
                    .filter(|change| self.way_to(change).is_ok_and(|other| other == way));
                let own = own.map(|change| change_of(change, Path::new("."))).collect();
                let back = journal::way(target, first)?;
                let places = vec![place(back.clone(), &marks[0])];
                let journal = Journal::new(&batch, Some(back), backups, places, own);
                leading.push((*target, file, journal));
            }
            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            journal::write(first, &begun[0], &decision, sync)
        })();
        match written {
            Ok(()) => Ok(decision),
            Err(error) => {
                Err(self.folders.iter().fold(error, |error, (_, _, target)| match journal::remove(
                    target,
                ) {
                    Ok(()) => error,
                    Err(also) => error.followed_by(&also, "remove .oasis_data/journal by hand"),
                }))
            }
        }
    }
}

fn change_of(change: &Changed<'_>, way: &Path) -> Change {
    Change {
        folder: Name::from(way.as_os_str()),
        name: Name::from(change.target().name.as_os_str()),
        temporary: name_of(change),
        replaces: change.prepared.before.map(|before| before.content()),
    }
}

fn name_of(change: &Changed<'_>) -> Name {
    Name::from(change.prepared.temporary.name().file_name().unwrap_or_default())
}

/// Waits until all contents are on the disk, and the names under which the
/// journal will find them.
fn sync_contents(changed: &[Changed<'_>], in_place: &[(&Locked, Same)]) -> Result<()> {
    let mut syncs: Vec<Sync<'_>> = Vec::new();
    let mut folders = BTreeMap::new();
    for change in changed {
        syncs.push(Box::new(|| {
            let synced = change.prepared.temporary.sync()?;
            // Set once: each content is synced once.
            let _ = change.synced.set(synced);
            Ok(())
        }));
        folders.insert(change.target().folder_key()?, change.target());
    }
    // A sidecar that is new must not be missing where a journal leads to it.
    let several = folders.len() > 1;
    for target in folders.into_values() {
        syncs.push(Box::new(|| sync_temporary_folder(target)));
        if several {
            syncs.push(Box::new(|| {
                atomic::flush(&target.folder)
                    .map_err(|errno| target.failed("fsync of its folder", errno))
            }));
        }
    }
    for (locked, unchanged) in in_place {
        syncs.push(Box::new(|| {
            locked.settle(unchanged).map_err(|error| match error {
                // Nothing has been decided yet.
                Error::NotDurable { source, .. } => {
                    locked.target().failed("fsync of its folder", source)
                }
                error => error,
            })
        }));
    }
    at_once(&syncs)
}

type Sync<'a> = Box<dyn Fn() -> Result<()> + std::marker::Sync + 'a>;

fn sync_temporary_folder(target: &Target) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(&target.folder, sidecar::TEMP, flags, Mode::empty())
        .and_then(atomic::flush)
        .map_err(|errno| target.failed("fsync of .oasis_data/temp", errno))
}

/// Does all of it, several at a time, and returns the first error.
fn at_once(syncs: &[Sync<'_>]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(sync) = syncs.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // Where no thread can be had, this one does the work of all. In a handler
        // around a fork others would wait for that fork, and it for them.
        let threads = if fork::is_forking() { 1 } else { SYNCS_AT_ONCE.min(syncs.len()) };
        let others: Vec<_> = (1..threads)
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let own = work();
        let died = || Err(Error::syscall(Path::new(""), "fsync", Errno::IO));
        others.into_iter().fold(own, |outcome, other| {
            let other = other.join().unwrap_or_else(|_| died());
            outcome.and(other)
        })
    })
}

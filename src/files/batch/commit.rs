//! Several files as one commit: all of them are replaced, or none, whatever happens in
//! between.
//!
//! Under the locks of all files, the new contents are written and synced beside them. Then a
//! journal is written, which decides the batch. Then come the renames, a sync of each folder,
//! and the removal of the journal.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs;
use rustix::io::Errno;

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::engine::warning::Warning;
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, RENAME, Result};
use crate::files::backup::closing;
use crate::files::backup::index::{self, BackupQuery};
use crate::files::backup::source::BackedUp;
use crate::files::batch::decision::{Changed, Folders};
use crate::files::batch::preconditions::require_replaceable;
use crate::files::batch::roll_forward;
use crate::files::fork;
use crate::files::identity::{FileKey, Identity, Synced};
use crate::files::judging::{self, Change};
use crate::files::layout;
use crate::files::live::Same;
use crate::files::prepare::Preparation;
use crate::files::session::Session;
use crate::files::sys::sync;
use crate::files::target::Target;
use crate::files::temporary;
use crate::settings::Durability;
use crate::statistics::COUNTERS;

/// Syncs that wait at the same time. The file system's own journal writes the syncs that wait
/// together in one go.
const SYNCS_AT_ONCE: usize = 8;

/// One file of a batch.
#[derive(Debug)]
pub struct Save<'a> {
    /// The path of the file.
    pub path: &'a Path,
    /// The new content.
    pub bytes: &'a [u8],
    /// What the file's version must be, if that matters.
    pub if_version: Option<String>,
}

/// Replaces the content of all files, or of none. What happened to each is
/// returned in the order of `saves`.
///
/// # Errors
///
/// [`Error::NamedTwice`] for two paths to one file. After [`Error::Unfinished`] and after
/// [`Error::NotDurable`] the batch is decided, and stays so. After any other error all files
/// are as they were.
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
    for (index, session) in &files {
        let save = &saves[*index];
        let options = WriteOptions { if_version: save.if_version.clone(), ..options.clone() };
        match session.locked().prepare(save.bytes, None, &options)? {
            Preparation::InPlace(unchanged) => in_place.push((session, unchanged)),
            Preparation::Change(prepared) => {
                changed.push(Changed {
                    index: *index,
                    session,
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
    let mut states: Vec<_> = files
        .iter()
        .map(|(index, session)| {
            (*index, Change { file: session.locked(), content: Some(saves[*index].bytes) })
        })
        .collect();
    states.sort_by_key(|(index, _)| *index);
    // All of them, and those too that have the content already.
    // safeguard: batch-judged-as-one
    let states: Vec<_> = states.into_iter().map(|(_, change)| change).collect();
    for (index, done) in publish(changed, &states, options, &deadline, signals)? {
        written[index] = done;
    }
    drop(in_place);
    let (indices, files): (Vec<_>, Vec<_>) =
        files.into_iter().map(|(index, session)| (index, session.into_locked())).unzip();
    let compressions = closing::begin(&files, &[], options);
    for file in &files {
        file.lock.release();
    }
    for (index, warnings) in indices.into_iter().zip(compressions.finish(options)) {
        written[index].warnings.extend(warnings);
    }
    COUNTERS.batches.count();
    Ok(written)
}

/// Locks all files, in an order that is the same for every batch.
fn lock_files(
    saves: &[Save<'_>],
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<(usize, Session)>> {
    let mut targets = BTreeMap::new();
    let mut inodes: HashMap<FileKey, PathBuf> = HashMap::new();
    for (index, save) in saves.iter().enumerate() {
        let target = Target::resolve(save.path, options.make_parents)?;
        let twice = |twin| Err(Error::NamedTwice { path: save.path.into(), twin });
        // Two names of a file without a second hard link: the folder does not tell upper from
        // lower case.
        if let Some(live) = target.stat()?.filter(|live| live.st_nlink == 1)
            && let Some(twin) = inodes.insert(Identity::of(&live).key(), save.path.into())
        {
            return twice(twin);
        }
        let key = (target.folder_key()?, target.name.clone());
        if let Some((_, twin)) = targets.insert(key, (index, target)) {
            return twice(twin.given_path);
        }
    }
    targets
        .into_values()
        .map(|(index, target)| Ok((index, Session::acquire(target, deadline, signals)?)))
        .collect()
}

/// Publishes the contents that are written and synced.
fn publish(
    changed: Vec<Changed<'_>>,
    states: &[Change<'_>],
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<(usize, Written)>> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    // Once decided, the batch could neither be rolled forward nor rolled back.
    // safeguard: batch-asks-beforehand
    changed.iter().try_for_each(|change| require_replaceable(change.target()))?;
    let folders = Folders::of(&changed)?;
    // safeguard: batch-published-under-group-lock
    let judged = judging::judge(states, options, deadline, signals)?;
    let (locks, slots) = folders.lock(deadline, signals)?;
    let backed_up = back_up(&changed, options)?;
    let full = options.durability == Durability::Full;
    let decided = folders.decide(&changed, &backed_up, &slots, options, full);
    if let Err(error) = decided {
        return Err(take_back(error, &changed, &backed_up));
    }
    let refused = match rename(&changed) {
        Renamed::All => None,
        Renamed::Some(refused) => Some(refused),
        // Nobody has seen any of the new contents: a reader of the journals waits for their
        // lock.
        Renamed::None(error) => {
            let error = folders.roll_back(error, &slots, full);
            return Err(take_back(error, &changed, &backed_up));
        }
    };
    // Whoever is judged by these files from now on recovers the batch first if it has to.
    drop(judged);
    let mut done = Vec::with_capacity(changed.len());
    let mut locked = Vec::with_capacity(changed.len());
    for Changed { index, session, prepared, synced } in changed {
        prepared.temporary.leave();
        done.push((index, prepared.written));
        locked.push((session.locked(), synced));
    }
    // Before anything that takes long: should this writer die, a program that waits to write
    // into a replaced file would write into its backup.
    let (mut backups, mut stamped) = (Vec::with_capacity(done.len()), Vec::new());
    for (((_, written), (file, synced)), backed_up) in done.iter_mut().zip(&locked).zip(backed_up) {
        backups.push(file.release_source(backed_up, options, written));
        stamped.push(file.stamp_content(synced.get()));
    }
    let unfinished = |cause: Error| Error::Unfinished {
        path: cause.path().to_path_buf(),
        cause: Box::new(cause),
    };
    // safeguard: batch-folders-sync
    let synced = if full { roll_forward::sync(&folders.routes()) } else { Ok(()) };
    refused.map_or(synced, Err).map_err(unfinished)?;
    for ((file, _), stamped) in locked.iter().zip(&stamped) {
        file.stamp_name(stamped.as_ref());
    }
    // The next use finds a journal that cannot be removed now, and has nothing to do for it.
    done[0].1.warnings.extend(folders.close(&slots).err().map(Warning::from));
    drop(locks);
    for (((_, written), (file, _)), backups) in done.iter_mut().zip(&locked).zip(backups) {
        backups.prune(&file.target, &mut written.warnings);
    }
    Ok(done)
}

/// What the kernel let happen of a batch's renames.
enum Renamed {
    All,
    Some(Error),
    None(Error),
}

/// Renames all contents that the kernel lets it rename.
fn rename(changed: &[Changed<'_>]) -> Renamed {
    let mut refused = Vec::new();
    for change in changed {
        let target = change.target();
        let from = change.prepared.temporary.name();
        refused.extend(temporary::publish(target, from, &target.name, RENAME).err());
    }
    let all = refused.len() == changed.len();
    match refused.into_iter().next() {
        None => Renamed::All,
        // safeguard: batch-taken-back
        Some(error) if all => Renamed::None(error),
        Some(error) => Renamed::Some(error),
    }
}

fn back_up(changed: &[Changed<'_>], options: &WriteOptions) -> Result<Vec<BackedUp>> {
    let asked = changed.iter().map(|Changed { session, prepared, .. }| BackupQuery {
        locked: session.locked(),
        live: prepared.before,
        needed: prepared.source.is_some(),
    });
    let earlier = index::known_each(&asked.collect::<Vec<_>>());
    let earlier = earlier.into_iter().collect::<Result<Vec<_>>>()?;
    let mut backed_up = Vec::with_capacity(changed.len());
    for (change, earlier) in changed.iter().zip(earlier) {
        let source = change.prepared.source.as_ref();
        match change.session.locked().back_up(source, earlier, options) {
            Ok(taken) => backed_up.push(taken),
            Err(error) => return Err(take_back(error, changed, &backed_up)),
        }
    }
    Ok(backed_up)
}

fn take_back(error: Error, changed: &[Changed<'_>], backed_up: &[BackedUp]) -> Error {
    let taken = changed.iter().zip(backed_up);
    taken.fold(error, |error, (change, backed_up)| {
        change.session.locked().take_back(error, backed_up)
    })
}

/// Waits until all contents are on the disk, and the names by which a recovery finds them.
fn sync_contents(changed: &[Changed<'_>], in_place: &[(&Session, Same)]) -> Result<()> {
    let mut syncs: Vec<Sync<'_>> = Vec::new();
    let mut folders = BTreeMap::new();
    for change in changed {
        syncs.push(Box::new(|| {
            // safeguard: batch-content-sync
            let synced = change.prepared.temporary.sync()?;
            // Each content is synced once, so the cell is empty.
            let _ = change.synced.set(synced);
            Ok(())
        }));
        let synced = synced(change);
        // The journal tells which content is replaced, so that content has to be on the disk.
        // A save has synced it; another program may not have.
        // safeguard: replaced-content-sync
        if synced.is_none() && change.prepared.before.is_some() {
            syncs.push(Box::new(|| sync_replaced(change.target())));
        }
        // And its name, or that there is no file: a save or a deletion may have returned the
        // lock, and not be done yet with its sync.
        // safeguard: replaced-name-sync
        let unnamed = synced != Some(Synced::ContentAndName);
        let (_, sync_names) =
            folders.entry(change.target().folder_key()?).or_insert((change.target(), false));
        *sync_names |= unnamed;
    }
    // A new sidecar must not be missing after a power cut where a journal leads to it.
    // safeguard: batch-sidecars-sync
    let several = folders.len() > 1;
    for (target, sync_names) in folders.into_values() {
        // safeguard: batch-names-sync
        syncs.push(Box::new(|| sync_temporary_folder(target)));
        if several || sync_names {
            syncs.push(Box::new(|| {
                sync::sync_folder(&target.folder)
                    .map_err(|errno| target.failed("fsync of its folder", errno))
            }));
        }
    }
    for (session, unchanged) in in_place {
        syncs.push(Box::new(|| {
            session.locked().ensure_durable(unchanged).map_err(|error| match error {
                // Nothing has been decided yet.
                Error::NotDurable { source, .. } => {
                    session.target().failed("fsync of its folder", source)
                }
                error => error,
            })
        }));
    }
    at_once(&syncs)
}

/// What of the replaced content is known to be on the disk.
fn synced(change: &Changed<'_>) -> Option<Synced> {
    match (&change.prepared.source, &change.prepared.before) {
        (Some(source), _) => source.synced(),
        (None, Some(before)) => change.session.locked().lock.synced(before),
        (None, None) => None,
    }
}

fn sync_replaced(target: &Target) -> Result<()> {
    let file = target
        .open_to_read(target.name.as_os_str())
        .map_err(|errno| target.failed("open (to sync what is replaced)", errno))?;
    fs::fsync(file).map_err(|errno| target.failed("fsync of what is replaced", errno))
}

type Sync<'a> = Box<dyn Fn() -> Result<()> + std::marker::Sync + 'a>;

fn sync_temporary_folder(target: &Target) -> Result<()> {
    sync::sync_folder_at(&target.folder, layout::TEMP)
        .map_err(|errno| target.failed("fsync of .oasis_data/temp", errno))
}

/// Does all syncs, several at a time, and returns the first error.
fn at_once(syncs: &[Sync<'_>]) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(sync) = syncs.get(next.fetch_add(1, Ordering::Relaxed)) {
            sync()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // Where no thread can be started, this thread does all the work. In a handler around a
        // fork, other threads would wait for that fork, and the fork for them.
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

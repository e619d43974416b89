//! Every name on disk: the sidecar folder and what is in it, the names of locks, temporary
//! files, journals and backups, and the places inside a lock file.
//!
//! ```text
//! tanks.json
//! tanks.json.backup.20260131_235959_000001        a backup
//! tanks.json.backup.20260130_120000_000000.gz     a compressed backup
//! .oasis_data/
//!     .gitignore               `*`: the folder ignores itself
//!     locks/tanks.json.lock    one per data file; never truncated, replaced only under its lock
//!     locks/tanks.json.group   the lock of the documents that refer to each other; as above
//!     temp/tanks.json.<random> new content before its rename; its writer holds it locked
//!     journal, journal.1, ...  what a batch of saves is about to rename
//!     journal.lock             held by that batch, and by whoever recovers it
//! ```
//!
//! Functions over names only: nothing here asks the file system. Paths are as seen from the
//! data file's folder.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};

/// The sidecar: the hidden folder beside the data files.
pub const FOLDER: &str = ".oasis_data";
/// What keeps the sidecar out of git.
pub const GITIGNORE: &str = ".oasis_data/.gitignore";
/// The folder of lock files.
pub const LOCKS: &str = ".oasis_data/locks";
/// The folder of temporary files. Separate from the locks, so that a search for leftovers
/// does not read the name of every lock.
pub const TEMP: &str = ".oasis_data/temp";
/// The first journal of a folder.
pub const JOURNAL: &str = ".oasis_data/journal";
/// The lock of a folder's journals. Not among the locks of data files: a data file may be
/// called `journal`.
pub const JOURNAL_LOCK: &str = ".oasis_data/journal.lock";

/// What a lock file's name ends with.
const LOCK_SUFFIX: &str = ".lock";
/// What the name of the lock file of a group ends with.
const GROUP_SUFFIX: &str = ".group";
/// What is added to the name of a lock file that is about to replace a shared lock file.
const NEW_SUFFIX: &str = ".new";
/// Letters that make the name of a temporary file unique.
pub const RANDOM_LETTERS: usize = 12;
/// The longest name of a data file that leaves room for a suffix within `NAME_MAX`.
const LONGEST_STEM: usize = 200;

/// Where the sync stamp stands in a lock file.
pub const SYNC_STAMP_PLACE: u64 = 0;
/// How the stamp of content begins of which only the content is synced.
pub const CONTENT_SYNCED: &str = "filled ";
/// How the stamp of content begins of which the name is synced too.
pub const NAME_SYNCED: &str = "synced ";
/// Where the word stands in a lock file that changes when the lock is released.
pub const LOCK_WORD_PLACE: usize = 128;
/// Where the word stands that changes when the queue for the lock is left.
pub const QUEUE_WORD_PLACE: usize = LOCK_WORD_PLACE + 4;
/// Where the index of backups begins in a lock file: behind the sync stamp and the words.
pub const INDEX_PLACE: usize = 256;

const BACKUP_MARK: &[u8] = b".backup.";
const COMPRESSED_SUFFIX: &[u8] = b".gz";
/// The length of a stamp in the name of a backup.
const STAMP_LENGTH: usize = "YYYYmmdd_HHMMSS_ffffff".len();
/// The years that a stamp may have: Python's `datetime` has no earlier year, and after the
/// last year of four digits there would be no later name.
const YEARS: Range<i32> = 1..9999;
/// `NAME_MAX` of every Linux file system with hard links.
pub const LONGEST_NAME: usize = 255;

/// What the sidecar calls a data file: its name, or a digest of a long name.
#[must_use]
pub fn stem(name: &OsStr) -> PathBuf {
    if name.len() <= LONGEST_STEM {
        PathBuf::from(name)
    } else {
        PathBuf::from(blake3::hash(name.as_bytes()).to_hex().as_str())
    }
}

/// A path in the sidecar, as seen from the sidecar.
#[must_use]
pub fn within_sidecar(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The lock file of a data file.
#[must_use]
pub fn lock(name: &OsStr) -> PathBuf {
    lock_with(name, LOCK_SUFFIX)
}

/// The lock file of the group that is named by this data file.
#[must_use]
pub fn group_lock(name: &OsStr) -> PathBuf {
    lock_with(name, GROUP_SUFFIX)
}

fn lock_with(name: &OsStr, suffix: &str) -> PathBuf {
    let mut lock = stem(name).into_os_string();
    lock.push(suffix);
    Path::new(LOCKS).join(lock)
}

/// Whether this is the name of a lock file, of a data file or a group.
#[must_use]
pub fn is_lock(name: &OsStr) -> bool {
    [LOCK_SUFFIX, GROUP_SUFFIX].iter().any(|suffix| name.as_bytes().ends_with(suffix.as_bytes()))
}

/// The lock file of this name among the locks.
#[must_use]
pub fn in_locks(lock: &OsStr) -> PathBuf {
    Path::new(LOCKS).join(lock)
}

/// The file that is about to replace a lock file.
#[must_use]
pub fn new_lock(lock: &Path) -> PathBuf {
    let mut new = lock.as_os_str().to_owned();
    new.push(NEW_SUFFIX);
    new.into()
}

/// The stem of the data file that a lock file is of, or nothing for the name of another
/// file.
#[must_use]
pub fn stem_of_lock(name: &OsStr) -> Option<&OsStr> {
    name.as_bytes().strip_suffix(LOCK_SUFFIX.as_bytes()).map(OsStr::from_bytes)
}

/// What the name of each temporary file of a data file begins with; random letters follow.
#[must_use]
pub fn temporary_prefix(name: &OsStr) -> OsString {
    let mut prefix = stem(name).into_os_string();
    prefix.push(".");
    prefix
}

/// The temporary file of this name; the folders in `name` do not count.
#[must_use]
pub fn in_temp(name: &Path) -> PathBuf {
    Path::new(TEMP).join(name.file_name().unwrap_or_default())
}

/// The copy of a temporary file in the data folder: hidden, and removed by the sweep that
/// finds the temporary file.
#[must_use]
pub fn copy_beside_data(temporary: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(temporary.file_name().unwrap_or_default());
    name.into()
}

/// Whether this is the name of a temporary file of the data file with this stem.
#[must_use]
pub fn is_temporary_of(name: &OsStr, stem: &OsStr) -> bool {
    let Some(suffix) = name.as_bytes().strip_prefix(stem.as_bytes()) else { return false };
    suffix.strip_prefix(b".").is_some_and(is_random)
}

/// Whether these are the random letters of a temporary file's name.
#[must_use]
pub fn is_random(letters: &[u8]) -> bool {
    letters.len() == RANDOM_LETTERS && letters.iter().all(u8::is_ascii_alphanumeric)
}

/// The stem of the data file that a temporary file is of, or nothing for the name of another
/// file.
#[must_use]
pub fn stem_of_temporary(name: &OsStr) -> Option<&OsStr> {
    let dot = name.as_bytes().iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
    let (stem, letters) = name.as_bytes().split_at(dot);
    is_random(&letters[1..]).then(|| OsStr::from_bytes(stem))
}

/// Whether a stem is the digest of a long name: the name itself cannot be told from it.
#[must_use]
pub fn is_digest(stem: &OsStr) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    stem.len() == blake3::OUT_LEN * 2 && stem.as_bytes().iter().all(is_digit)
}

/// The journal of this number: `journal`, `journal.1`, `journal.2` and so on.
#[must_use]
pub fn journal(number: u32) -> String {
    if number == 0 { JOURNAL.to_owned() } else { format!("{JOURNAL}.{number}") }
}

/// Whether a folder of the sidecar may have an entry of this name.
#[must_use]
pub fn is_name_of_sidecar(name: &[u8]) -> bool {
    let temporary = || {
        let dot = name.iter().rposition(|&byte| byte == b'.');
        dot.is_some_and(|dot| is_random(&name[dot + 1..]))
    };
    let lock = name.strip_suffix(NEW_SUFFIX.as_bytes()).unwrap_or(name);
    [".", "..", within_sidecar(GITIGNORE), within_sidecar(LOCKS), within_sidecar(TEMP)]
        .iter()
        .any(|known| known.as_bytes() == name)
        || name.starts_with(within_sidecar(JOURNAL).as_bytes())
        || is_lock(OsStr::from_bytes(lock))
        || temporary()
}

/// The name of the backup of a data file with this stamp, not compressed.
#[must_use]
pub fn backup(name: &OsStr, stamp: NaiveDateTime) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(BACKUP_MARK);
    let (date, time) = (stamp.date(), stamp.time());
    let [year, month, day] = [date.year().unsigned_abs(), date.month(), date.day()];
    let [hour, minute, second] = [time.hour(), time.minute(), time.second()];
    let micros = time.nanosecond() / 1000;
    let digits = format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}_{micros:06}");
    bytes.extend_from_slice(digits.as_bytes());
    OsString::from_vec(bytes)
}

/// Whether the name of a data file leaves room for the name of a backup.
#[must_use]
pub fn has_room_for_backup(name: &OsStr) -> bool {
    name.len() + BACKUP_MARK.len() + STAMP_LENGTH <= LONGEST_NAME
}

/// A backup's name without the suffix of a compressed backup.
#[must_use]
pub fn plain_backup(name: &OsStr) -> &OsStr {
    let name = name.as_bytes();
    OsStr::from_bytes(name.strip_suffix(COMPRESSED_SUFFIX).unwrap_or(name))
}

/// The name of a compressed backup.
#[must_use]
pub fn compressed_backup(plain: &OsStr) -> OsString {
    let mut name = plain.to_os_string();
    name.push(OsStr::from_bytes(COMPRESSED_SUFFIX));
    name
}

/// The data file that a backup of this name would be of, and the text of the stamp, which
/// [`parse_stamp`] has yet to find valid.
#[must_use]
pub fn split_backup(plain: &OsStr) -> Option<(&OsStr, &[u8])> {
    let (start, stamp) = plain.as_bytes().split_last_chunk::<STAMP_LENGTH>()?;
    Some((OsStr::from_bytes(start.strip_suffix(BACKUP_MARK)?), stamp))
}

/// The stamp as text, as it stands in the name of a backup.
#[must_use]
pub fn stamp_text(plain: &OsStr) -> String {
    let name = plain.as_bytes();
    let stamp = &name[name.len().saturating_sub(STAMP_LENGTH)..];
    String::from_utf8_lossy(stamp).into_owned()
}

/// The stamp in this text. Digit by digit: chrono's parser takes signs and spaces too, and
/// reads its format again for each name.
#[must_use]
pub fn parse_stamp(text: &[u8]) -> Option<NaiveDateTime> {
    let stamp: &[u8; STAMP_LENGTH] = text.try_into().ok()?;
    let number = |digits: Range<usize>| {
        stamp[digits].iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| 10 * number + u32::from(byte - b'0'))
        })
    };
    let year = i32::try_from(number(0..4)?).ok()?;
    if !YEARS.contains(&year) || stamp[8] != b'_' || stamp[15] != b'_' {
        return None;
    }
    NaiveDate::from_ymd_opt(year, number(4..6)?, number(6..8)?)?.and_hms_micro_opt(
        number(9..11)?,
        number(11..13)?,
        number(13..15)?,
        number(16..22)?,
    )
}

/// Whether the name of a backup can have this stamp.
#[must_use]
pub fn is_stamp(stamp: &NaiveDateTime) -> bool {
    YEARS.contains(&stamp.year())
}

/// The stamp of a backup's name that comes after all names with `stamp`, if there is one.
#[must_use]
pub fn next_stamp(stamp: NaiveDateTime) -> Option<NaiveDateTime> {
    // safeguard: last-possible-stamp
    Some(stamp + TimeDelta::microseconds(1)).filter(is_stamp)
}

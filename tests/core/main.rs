//! Tests of the storage core, without Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod access_lists;
mod backups;
mod batches;
mod cache;
mod compression;
mod documents;
mod group_locks;
mod hints;
mod identity;
mod index;
mod inspect;
mod judging;
mod layout;
mod leases;
mod locks;
mod parse;
mod recoveries;
mod saves;
#[cfg(feature = "postgres")]
mod stores;
mod sweep;
mod watch;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use oasis_data::engine::Key;
use oasis_data::engine::host::Host;
use oasis_data::engine::signals::Signals;
use oasis_data::engine::write::{WriteOptions, Written};
use oasis_data::error::Result;
use oasis_data::files::session::{self};
use oasis_data::settings::Durability;
use rustix::fs::{self, Mode, OFlags, XattrFlags};

/// Nobody presses Ctrl-C in here.
struct Quiet;

impl Signals for Quiet {
    fn pending(&self) -> bool {
        false
    }
}

/// Takes everything for a document that does not begin with "torn".
#[derive(Debug)]
struct Plain;

impl Host for Plain {
    fn parses(&self, bytes: &[u8]) -> bool {
        !bytes.starts_with(b"torn")
    }

    fn found_corrupt(&self, _: Key) -> bool {
        false
    }
}

fn options() -> WriteOptions {
    WriteOptions {
        timeout: Duration::from_secs(10),
        backups_kept: 10,
        backups_max_age: None,
        compressed_above: None,
        if_version: None,
        make_parents: false,
        skip_unchanged: true,
        durability: Durability::Process,
        zone: chrono::FixedOffset::east_opt(3600).unwrap(),
        host: &Plain,
        judge: None,
    }
}

fn save(path: &Path, text: &str) -> Result<Written> {
    session::save(path, text.as_bytes(), &options(), &Quiet)
}

fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The names in a folder, sorted, without the sidecar.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".oasis_data")
        .collect();
    names.sort();
    names
}

/// The names of the temporary files beside the data files in `folder`.
fn temporaries(folder: &Path) -> Vec<String> {
    names(&folder.join(".oasis_data/temp"))
}

/// Opens a file for writing, or fails where somebody has a lease on it.
fn open_at_once(path: &Path) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map(File::from)
}

/// An extended attribute of a file.
fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let size = fs::getxattr(path, name, &mut value[..]).ok()?;
    value.truncate(size);
    Some(value)
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

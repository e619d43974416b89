//! Extended attributes of an open file (`xattr(7)`).

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{self, XattrFlags};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

/// Bytes for a list or a value of ordinary length.
const USUAL_SIZE: usize = 512;
/// Bytes for the longest list or value that the kernel has.
const MOST_BYTES: usize = 64 << 10;

/// The names of a file's attributes.
///
/// # Errors
///
/// When they cannot be read; `EOPNOTSUPP` where the file system has no attributes.
pub(crate) fn names(file: impl AsFd) -> Result<Vec<OsString>> {
    let list = whole(|buffer| fs::flistxattr(&file, buffer))?;
    let names = list.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsStr::from_bytes(name).to_os_string()).collect())
}

/// The value of a file's attribute, or nothing where the file has no such attribute.
///
/// # Errors
///
/// When it cannot be read; `EOPNOTSUPP` where the file system has no such attributes.
pub(crate) fn read(file: impl AsFd, name: impl Arg + Copy) -> Result<Option<Vec<u8>>> {
    match whole(|buffer| fs::fgetxattr(&file, name, buffer)) {
        Err(Errno::NODATA) => Ok(None),
        value => value.map(Some),
    }
}

/// Gives a file the value of an attribute, or takes the attribute from it.
///
/// # Errors
///
/// When the kernel refuses.
pub(crate) fn write(file: impl AsFd, name: impl Arg, value: Option<&[u8]>) -> Result<()> {
    match value {
        Some(value) => fs::fsetxattr(file, name, value, XattrFlags::empty()),
        None => fs::fremovexattr(file, name),
    }
}

/// All bytes that `read` gives: with one call where they are few.
fn whole(read: impl Fn(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut usual = [0; USUAL_SIZE];
    match read(&mut usual) {
        Ok(size) => Ok(usual[..size].to_vec()),
        Err(Errno::RANGE) => {
            let mut bytes = vec![0; MOST_BYTES];
            let size = read(&mut bytes)?;
            bytes.truncate(size);
            Ok(bytes)
        }
        Err(errno) => Err(errno),
    }
}

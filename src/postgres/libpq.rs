//! The files of libpq: passwords (`~/.pgpass`) and services (`pg_service.conf`).

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The home folder of the user.
pub(super) fn home() -> Option<PathBuf> {
    env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The name of the user, as far as the environment tells.
pub(super) fn user_name() -> String {
    ["PGUSER", "USER", "LOGNAME"].iter().find_map(|name| env::var(name).ok()).unwrap_or_default()
}

/// The password in a file of passwords for host, port, database and user.
pub(super) fn password(file: &Path, wanted: &[&str; 4]) -> Option<String> {
    // As libpq: a file that others can read is not used.
    if fs::metadata(file).ok()?.mode() & 0o077 != 0 {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = fields(line);
        let password = (fields.len() >= 5).then(|| fields.split_off(4).join(":"))?;
        let matches = |(field, wanted): (&String, &&str)| field == "*" || field == wanted;
        fields.iter().zip(wanted).all(matches).then_some(password)
    })
}

/// The fields of a line, in which a backslash takes a colon or a backslash as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ':' => fields.push(String::new()),
            letter => {
                let letter = if letter == '\\' { letters.next().unwrap_or(letter) } else { letter };
                if let Some(last) = fields.last_mut() {
                    last.push(letter);
                }
            }
        }
    }
    fields
}

/// What the files of services tell of `service`.
pub(super) fn service(service: &str) -> Result<Vec<(String, String)>, String> {
    let own = env::var_os("PGSERVICEFILE").map(PathBuf::from);
    let own = own.or_else(|| Some(home()?.join(".pg_service.conf")));
    let shared = env::var_os("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".into());
    let files = own.into_iter().chain([PathBuf::from(shared).join("pg_service.conf")]);
    let mut texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let found = texts.find_map(|text| section(&text, service));
    found.ok_or_else(|| "names a service that no service file has".to_owned())
}

/// The pairs in a section of a file of services.
fn section(text: &str, service: &str) -> Option<Vec<(String, String)>> {
    let header = format!("[{service}]");
    let mut lines = text.lines().map(str::trim).skip_while(|line| **line != header);
    lines.next()?;
    let inside = lines.take_while(|line| !line.starts_with('['));
    let pairs =
        inside.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    Some(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
}

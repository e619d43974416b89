//! Several files at once: saved as one.

use std::path::Path;
use std::time::Instant;

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::interpreter::Interpreter;
use super::judging::Asked;
use super::saving::{Outcome, options, saved};
use crate::codec::EncodeOptions;
use crate::engine::batch::{self, Save};
use crate::engine::{Deadline, Engine, WriteOptions};
use crate::settings;
use crate::statistics::{LATENCIES, Operation};

/// Saves all documents, or none. `documents` has for each its path, the
/// document, and what its version must be. Tells what became of each.
#[pyfunction]
#[pyo3(signature = (documents, encode_options, *, backup, timeout, make_parents, skip_unchanged, versioned))]
#[allow(clippy::too_many_arguments, reason = "one for each keyword of the Python function")]
pub(super) fn save_many(
    py: Python<'_>,
    documents: Vec<(FilePath, Bound<'_, PyAny>, Option<String>)>,
    encode_options: &EncodeOptions,
    backup: Option<bool>,
    timeout: Option<f64>,
    make_parents: bool,
    skip_unchanged: bool,
    versioned: bool,
) -> PyResult<Vec<Outcome>> {
    let started = Instant::now();
    let mut write_options = WriteOptions {
        make_parents,
        skip_unchanged,
        ..options(&settings::current(), backup, timeout)?
    };
    let paths: Vec<&Path> = documents.iter().map(|(FilePath(path), ..)| path.as_path()).collect();
    let mut asked = Asked::about(py, Operation::Write, &paths)?;
    let mut texts = Vec::with_capacity(documents.len());
    for (FilePath(path), document, if_version) in documents {
        let text = asked.encoded(&path, &document, encode_options)?;
        texts.push((path, text, if_version));
    }
    let Some((first, ..)) = texts.first() else { return Ok(Vec::new()) };
    let saves: Vec<Save<'_>> = texts
        .iter()
        .map(|(path, bytes, if_version)| Save { path, bytes, if_version: if_version.clone() })
        .collect();
    let contents: Vec<Option<&[u8]>> = saves.iter().map(|save| Some(save.bytes)).collect();
    write_options.judge = asked.judge(&contents, write_options.timeout)?;
    let written = Interpreter(py).wait(Operation::Write, first, |signals| {
        batch::save_many(&saves, &write_options, signals)
    })?;
    LATENCIES.write.observe(started);
    let done = texts.iter().zip(written);
    Ok(done.map(|((path, text, _), written)| saved(py, path, text, written, versioned)).collect())
}

/// Gives up what an interrupted batch was to make of the file at `path`; says where
/// that is now, or nothing where no batch waits for the file.
#[pyfunction]
#[pyo3(signature = (path, *, timeout))]
pub(super) fn give_up(
    py: Python<'_>,
    path: FilePath,
    timeout: Option<f64>,
) -> PyResult<Option<String>> {
    let FilePath(path) = path;
    let options = options(&settings::current(), None, timeout)?;
    Interpreter(py).wait(Operation::Write, &path, |signals| {
        Engine::of(&path).give_up(&path, &Deadline::after(options.timeout), signals)
    })
}

//! Which block of Python code will leave an edit, as far as can be known: a thread
//! must not wait for itself, but may well wait for what another thread will do.
//!
//! A `with` statement is left only by the frame that it is in. Where that frame is one
//! of a function, the edit ends in the thread that began it. A generator or coroutine
//! may go on in another thread, but a coroutine does so only in its own event loop, and
//! what is entered through `contextlib.contextmanager` is left where the outer `with`
//! is left. In all other cases (an `ExitStack`, `__enter__` called by hand) nothing is
//! known.
//!
//! No Python code runs in here, so that no signal is lost in it.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::gil::with_gil;
use crate::engine::Owner;
use crate::error::Standstill;
use crate::imported::Imported;

/// Flags of code objects (`inspect`).
const GENERATOR: u32 = 0x20;
const COROUTINE: u32 = 0x80;
const ASYNC_GENERATOR: u32 = 0x200;

static GETFRAME: Imported = Imported::new("sys", "_getframe");
static MODULES: Imported = Imported::new("sys", "modules");
static GENERATOR_MANAGER: Imported = Imported::new("contextlib", "_GeneratorContextManager");
static OPCODES: OnceLock<Opcodes> = OnceLock::new();

/// The instructions by which a `with` statement is entered.
#[derive(Debug, Default)]
struct Opcodes {
    /// Until Python 3.13: in 3.10, and later.
    with: [Option<u8>; 2],
    /// From Python 3.14: the latter, just after the former.
    load_call: [Option<u8>; 2],
}

/// The block of code that an edit is for.
#[derive(Debug)]
pub(super) struct Block {
    /// The frames of the `with` statements that lead to the edit, by their ids. While
    /// the edit goes on, none of them ends, so that no other frame has its id.
    frames: Vec<usize>,
    left_by: LeftBy,
}

/// What has to go on for the block to be left.
#[derive(Clone, Copy, Debug)]
enum LeftBy {
    /// A function, in the thread that it is in.
    Function,
    /// A coroutine of the event loop with this id.
    Coroutine(usize),
    /// That cannot be known.
    Anybody,
}

impl Block {
    /// The block that is being entered by the calling thread. What cannot be found out
    /// is not known: no edit fails for it.
    pub(super) fn entered(py: Python<'_>) -> Self {
        let mut frames = Vec::new();
        let left_by = left_by(py, &mut frames).unwrap_or(LeftBy::Anybody);
        Self { frames, left_by }
    }

    fn standstill_in(&self, py: Python<'_>) -> PyResult<Option<Standstill>> {
        let mut frame = Some(GETFRAME.get(py)?.call0()?);
        while let Some(current) = frame {
            if self.frames.contains(&id(&current)) {
                // safeguard: nested-on-the-stack
                return Ok(Some(Standstill::Nested));
            }
            frame = caller(&current)?;
        }
        Ok(match self.left_by {
            // It has not ended, and is not on this stack: it is on one of a greenlet,
            // and those never go to another thread.
            LeftBy::Function => Some(Standstill::Switch),
            // safeguard: loop-of-the-coroutine
            LeftBy::Coroutine(of) if running_loop(py)? == Some(of) => Some(Standstill::Await),
            LeftBy::Coroutine(_) | LeftBy::Anybody => None,
        })
    }
}

impl Owner for Block {
    fn standstill(&self) -> Option<Standstill> {
        with_gil(|py| self.standstill_in(py).ok().flatten()).flatten()
    }
}

fn left_by(py: Python<'_>, frames: &mut Vec<usize>) -> PyResult<LeftBy> {
    let enter = GENERATOR_MANAGER.get(py)?.getattr("__enter__")?.getattr("__code__")?;
    // The generator of `edit_json` itself.
    let mut block = GETFRAME.get(py)?.call0()?;
    loop {
        let flags: u32 = block.getattr("f_code")?.getattr("co_flags")?.extract()?;
        if flags & (COROUTINE | ASYNC_GENERATOR) != 0 {
            return Ok(running_loop(py)?.map_or(LeftBy::Anybody, LeftBy::Coroutine));
        }
        if flags & GENERATOR == 0 {
            return Ok(if frames.is_empty() { LeftBy::Anybody } else { LeftBy::Function });
        }
        let manager = caller(&block)?;
        let Some(manager) = manager.filter(|of| of.getattr("f_code").is_ok_and(|of| of.is(&enter)))
        else {
            return Ok(LeftBy::Anybody);
        };
        match caller(&manager)? {
            // safeguard: only-with-keeps-its-block
            Some(outer) if enters_with(&outer)? => block = outer,
            _ => return Ok(LeftBy::Anybody),
        }
        frames.push(id(&block));
    }
}

/// Whether what a frame is just calling is the `__enter__` of a `with` statement.
fn enters_with(frame: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Some(Opcodes { with, load_call }) = OPCODES.get() else { return Ok(false) };
    let at: usize = frame.getattr("f_lasti")?.extract()?;
    let code = frame.getattr("f_code")?.getattr("co_code")?;
    let code = code.cast::<PyBytes>()?.as_bytes();
    let current = code.get(at).copied();
    let before = at.checked_sub(2).and_then(|before| code.get(before).copied());
    let by_call = current.is_some() && [before, current] == *load_call;
    Ok(by_call || (current.is_some() && with.contains(&current)))
}

fn caller<'py>(frame: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(frame.getattr("f_back")?).filter(|caller| !caller.is_none()))
}

/// The event loop that runs in the calling thread, by its id.
fn running_loop(py: Python<'_>) -> PyResult<Option<usize>> {
    // Its own module sets it in every thread, whichever loop it is.
    let asyncio = MODULES.get(py)?.cast::<PyDict>()?.get_item("_asyncio")?;
    let Some(asyncio) = asyncio else { return Ok(None) };
    let running = asyncio.getattr("_get_running_loop")?.call0()?;
    Ok((!running.is_none()).then(|| id(&running)))
}

fn id(object: &Bound<'_, PyAny>) -> usize {
    object.as_ptr() as usize
}

/// Imports what is needed later, where no Python code may run.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    for object in [&GETFRAME, &MODULES, &GENERATOR_MANAGER] {
        object.get(py)?;
    }
    let numbers = py.import("opcode")?.getattr("opmap")?;
    // Of a name that this Python does not have, or has for its compiler alone, nothing.
    let number = |name| numbers.get_item(name).ok()?.extract().ok();
    OPCODES.get_or_init(|| Opcodes {
        with: ["SETUP_WITH", "BEFORE_WITH"].map(number),
        load_call: ["LOAD_SPECIAL", "CALL"].map(number),
    });
    Ok(())
}

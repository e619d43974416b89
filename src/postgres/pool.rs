//! The connections of a process that rest.

use std::mem;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::postgres::connection::{Connection, Wait};
use crate::postgres::failures::Fault;

/// How many connections rest at most. More may be in use: an edit within an edit would wait
/// for itself otherwise.
const MOST_IDLE: usize = 4;
/// After how long a rest a connection is tried before its use. Sooner, where its server has said
/// something meanwhile: a save that is sent on a connection that has ended is one of which nobody
/// knows whether it was done.
const REST: Duration = Duration::from_secs(1);

/// Connections that rest; the one that was used last is used next.
// Swappable, so that a forked child can turn away from what its parent was changing.
#[derive(Default)]
pub(super) struct Pool(ArcSwap<Idle>);

struct Idle {
    process: u32,
    connections: Mutex<Vec<Connection>>,
}

impl Default for Idle {
    fn default() -> Self {
        Self { process: process::id(), connections: Mutex::default() }
    }
}

impl Pool {
    /// A connection that works, as far as is known.
    pub(super) fn take(&self, wait: &Wait<'_>) -> Result<Option<Connection>, Fault> {
        while let Some(mut connection) = self.pop() {
            if !connection.is_own() {
                connection.leave();
            } else if connection.rested.elapsed() < REST && connection.is_silent() {
                return Ok(Some(connection));
            } else {
                match connection.run_text("", wait) {
                    Ok(_) => return Ok(Some(connection)),
                    Err(Fault::Interrupted) => return Err(Fault::Interrupted),
                    Err(_) => {}
                }
            }
        }
        Ok(None)
    }

    /// Lets a connection rest.
    pub(super) fn put(&self, mut connection: Connection) {
        connection.rested = Instant::now();
        let surplus = self.with(|idle| {
            idle.push(connection);
            (idle.len() > MOST_IDLE).then(|| idle.remove(0))
        });
        drop(surplus);
    }

    /// Closes all connections that rest.
    pub(super) fn clear(&self) {
        let all = self.with(mem::take);
        drop(all);
    }

    fn pop(&self) -> Option<Connection> {
        self.with(Vec::pop)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<Connection>) -> T) -> T {
        let idle = self.own();
        act(&mut idle.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What rests in this process: the parent's connections are the parent's.
    fn own(&self) -> Arc<Idle> {
        let idle = self.0.load_full();
        if idle.process == process::id() {
            return idle;
        }
        let inherited = self.0.swap(Arc::default());
        if inherited.process != process::id() {
            // Never to be touched: a thread of the parent may have been changing it, and a
            // connection that is closed here would be closed for the parent.
            mem::forget(inherited);
        }
        mem::forget(idle);
        self.0.load_full()
    }
}

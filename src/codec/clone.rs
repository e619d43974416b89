//! Private copies of a decoded document: its dictionaries and lists anew, the
//! strings and numbers in them shared, since nobody can change those.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::{collector, objects};

/// How to copy a document: its containers, each behind the one that it is in.
/// A container is copied whole, and then only those in it are replaced; nothing
/// has to be looked at to find them.
#[derive(Debug)]
pub(crate) struct Plan {
    document: Py<PyAny>,
    steps: Vec<Step>,
    parents: usize,
}

/// The copy of one container.
#[derive(Debug)]
struct Step {
    container: Py<PyAny>,
    place: Place,
    /// The place is in this one of the copies that have others in them, counted
    /// in the order of the steps.
    parent: usize,
    is_parent: bool,
}

#[derive(Debug)]
enum Place {
    Document,
    Name(Py<PyAny>),
    Index(usize),
}

impl Plan {
    /// Finds the way through `document`, however deep, without recursion.
    pub(crate) fn of(document: &Bound<'_, PyAny>) -> Self {
        let mut steps = Vec::new();
        let mut open = vec![(document.clone(), Place::Document, 0)];
        let mut parents = 0;
        while let Some((container, place, parent)) = open.pop() {
            let before = open.len();
            if let Ok(dict) = container.cast_exact::<PyDict>() {
                for (name, child) in dict.iter().filter(|(_, child)| is_container(child)) {
                    open.push((child, Place::Name(name.unbind()), parents));
                }
            } else if let Ok(list) = container.cast_exact::<PyList>() {
                for (index, child) in
                    list.iter().enumerate().filter(|(_, child)| is_container(child))
                {
                    open.push((child, Place::Index(index), parents));
                }
            } else {
                // The document itself, and nothing in it to change.
                break;
            }
            let is_parent = open.len() > before;
            // In the order of the text, in which they lie in memory.
            open[before..].reverse();
            parents += usize::from(is_parent);
            steps.push(Step { container: container.unbind(), place, parent, is_parent });
        }
        Self { document: document.clone().unbind(), steps, parents }
    }

    /// Bytes that it takes, beside the document.
    pub(crate) fn size(&self) -> usize {
        self.steps.len() * size_of::<Step>()
    }

    /// A copy of the document. What it will need is fetched from memory in time:
    /// a document that was not used lately is in none of the processor's caches.
    pub(crate) fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let _held = collector::Held::new(py);
        let mut copied = self.document.bind(py).clone();
        let mut parents: Vec<Bound<'py, PyAny>> = Vec::with_capacity(self.parents);
        for (index, step) in self.steps.iter().enumerate() {
            if let Some(later) = self.steps.get(index + 8) {
                objects::prefetch(later.container.bind(py));
            }
            if let Some(soon) = self.steps.get(index + 4) {
                objects::prefetch_content(soon.container.bind(py));
            }
            let copy = objects::copy_of(step.container.bind(py))?;
            match &step.place {
                Place::Document => copied = copy.clone(),
                Place::Name(name) => {
                    if let Ok(dict) = parents[step.parent].cast_exact::<PyDict>() {
                        dict.set_item(name, &copy)?;
                    }
                }
                Place::Index(index) => {
                    if let Ok(list) = parents[step.parent].cast_exact::<PyList>()
                        // Unless somebody has shortened what was only lent.
                        && *index < list.len()
                    {
                        list.set_item(*index, &copy)?;
                    }
                }
            }
            if step.is_parent {
                parents.push(copy);
            }
        }
        Ok(copied)
    }
}

fn is_container(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyDict>() || value.is_exact_instance_of::<PyList>()
}

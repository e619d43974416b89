//! Copies of a decoded document. Dictionaries and lists are copied; strings and
//! numbers are shared, since nobody can change them.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::gc_pause::GcPause;
use super::objects;

/// How to copy a document: its containers, each after the container that it is in.
///
/// A copy takes one step for each container: the container is copied whole, children
/// included, and later steps replace those children that are containers. So a copy
/// looks at no string and no number.
#[derive(Debug)]
pub(crate) struct CopyPlan {
    document: Py<PyAny>,
    steps: Vec<Step>,
    parents: usize,
}

/// The copy of one container.
#[derive(Debug)]
struct Step {
    container: Py<PyAny>,
    slot: Slot,
    /// The container that the slot is in, by its number among the containers with
    /// containers in them.
    parent: usize,
    is_parent: bool,
}

/// Where a container is.
#[derive(Debug)]
enum Slot {
    /// At the top of the document.
    Top,
    /// In a dictionary.
    Key(Py<PyAny>),
    /// In a list.
    Index(usize),
}

impl CopyPlan {
    /// Makes the plan for `document`. Takes no stack, however deep the document is.
    pub(crate) fn of(document: &Bound<'_, PyAny>) -> Self {
        let mut steps = Vec::new();
        let mut open = vec![(document.clone(), Slot::Top, 0)];
        let mut parents = 0;
        while let Some((container, slot, parent)) = open.pop() {
            let before = open.len();
            if let Ok(dict) = container.cast_exact::<PyDict>() {
                for (key, child) in dict.iter().filter(|(_, child)| is_container(child)) {
                    open.push((child, Slot::Key(key.unbind()), parents));
                }
            } else if let Ok(list) = container.cast_exact::<PyList>() {
                for (index, child) in
                    list.iter().enumerate().filter(|(_, child)| is_container(child))
                {
                    open.push((child, Slot::Index(index), parents));
                }
            } else {
                // The document is a string, a number or the like.
                break;
            }
            let is_parent = open.len() > before;
            // In the order of the text, in which the containers lie in memory.
            open[before..].reverse();
            parents += usize::from(is_parent);
            steps.push(Step { container: container.unbind(), slot, parent, is_parent });
        }
        Self { document: document.clone().unbind(), steps, parents }
    }

    /// The bytes that the plan takes, without the document.
    pub(crate) fn size(&self) -> usize {
        self.steps.len() * size_of::<Step>()
    }

    /// Copies the document, and prefetches the memory that later steps need.
    ///
    /// A document that was not used lately is in none of the processor's caches: without
    /// the prefetching, a load of 1 MB after other work takes 1.15 to 1.4 times as long
    /// (`python benches/cold_hits.py`). Smaller documents that are in the caches pay 2 to
    /// 4 % for it.
    pub(crate) fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let _pause = GcPause::start(py);
        let mut copied = self.document.bind(py).clone();
        let mut parents: Vec<Bound<'py, PyAny>> = Vec::with_capacity(self.parents);
        for (index, step) in self.steps.iter().enumerate() {
            if let Some(later) = self.steps.get(index + 8) {
                objects::prefetch(later.container.bind(py));
            }
            if let Some(soon) = self.steps.get(index + 4) {
                objects::prefetch_content(soon.container.bind(py));
            }
            let copy = objects::shallow_copy(step.container.bind(py))?;
            match &step.slot {
                Slot::Top => copied = copy.clone(),
                Slot::Key(key) => {
                    if let Ok(dict) = parents[step.parent].cast_exact::<PyDict>() {
                        dict.set_item(key, &copy)?;
                    }
                }
                Slot::Index(index) => {
                    // safeguard: not-past-the-end
                    if let Ok(list) = parents[step.parent].cast_exact::<PyList>()
                        // A caller of `copy=False` may have shortened the list.
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

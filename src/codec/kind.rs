//! What `json` takes a value for: by its type, or by the class that it claims.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use super::no_mutation::NoMutation;
use super::objects;
use crate::imported::Imported;

/// What `json` takes a value for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Array,
    Mapping,
    /// Nothing that `json` writes by itself.
    Foreign,
}

impl Kind {
    /// The kind of a value that claims no other class than its own.
    fn by_type(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(if value.is_instance_of::<PyString>() {
            Self::Text
        } else if value.is_instance_of::<PyInt>() {
            Self::Integer
        } else if value.is_instance_of::<PyFloat>() {
            Self::Float
        } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            Self::Array
        } else if value.is_instance_of::<PyDict>() || is_mapping(value)? {
            Self::Mapping
        } else {
            Self::Foreign
        })
    }

    /// The kind that a value claims: a proxy has the class of what is behind it.
    #[cold]
    fn by_claim(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = value.py();
        Ok(if value.is_instance(&py.get_type::<PyString>())? {
            Self::Text
        } else if value.is_instance(&py.get_type::<PyInt>())? {
            Self::Integer
        } else if value.is_instance(&py.get_type::<PyFloat>())? {
            Self::Float
        } else if value.is_instance(&py.get_type::<PyList>())?
            || value.is_instance(&py.get_type::<PyTuple>())?
        {
            Self::Array
        } else if is_mapping(value)? {
            Self::Mapping
        } else {
            Self::Foreign
        })
    }
}

/// The type of the last value that was asked what it is. All values of the type have the
/// same answer, as long as no Python code runs.
#[derive(Default)]
pub(super) struct LastType<'py> {
    last: Option<(Bound<'py, PyType>, Kind)>,
    interruptions: usize,
}

impl<'py> LastType<'py> {
    /// What `json` takes a value for, if the type of the value was the last one asked.
    #[inline(always)]
    pub(super) fn known(
        &self,
        value: Borrowed<'_, 'py, PyAny>,
        proof: &NoMutation,
    ) -> Option<Kind> {
        let (class, kind) = self.last.as_ref()?;
        // safeguard: class-asked-again
        (self.interruptions == proof.interruptions() && class.is(objects::type_of(&value)))
            .then_some(*kind)
    }

    /// Asks a value what it is, as `json` does.
    pub(super) fn kind_of(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
    ) -> PyResult<Kind> {
        static CLASS: Imported = Imported::new("oasis_data._standard", "CLASS");
        if let Some(kind) = self.known(value.as_borrowed(), proof) {
            return Ok(kind);
        }
        self.last = None;
        let kind = proof.interrupt(|| {
            let name = CLASS.get(value.py())?.cast::<PyString>()?;
            if !objects::has_no_other(value, name) {
                return Kind::by_claim(value);
            }
            let kind = Kind::by_type(value)?;
            self.last = Some((value.get_type(), kind));
            Ok::<_, PyErr>(kind)
        })?;
        self.interruptions = proof.interruptions();
        Ok(kind)
    }
}

/// Whether `json` takes a value for a dictionary: a `dict`, or a `frozendict` (Python
/// 3.15).
fn is_mapping(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static MAPPINGS: Imported = Imported::new("oasis_data._standard", "MAPPINGS");
    value.is_instance(MAPPINGS.get(value.py())?)
}

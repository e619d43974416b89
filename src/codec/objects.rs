//! Python's objects through the C API, where pyo3's own functions are slow or panic
//! when memory runs out.
#![allow(unsafe_code, reason = "the codec's calls of the C API, behind a safe face")]

use std::cmp::Ordering;
use std::ffi::CStr;
use std::ptr;
use std::sync::OnceLock;

use pyo3::PyTypeInfo;
use pyo3::exceptions::PyKeyError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::imported::Imported;

/// A value of a document, by its exact type.
pub(super) enum Value<'a, 'py> {
    Null,
    Boolean(bool),
    Integer(Borrowed<'a, 'py, PyInt>),
    Float(f64),
    String(Borrowed<'a, 'py, PyString>),
    Dict(Borrowed<'a, 'py, PyDict>),
    List(Borrowed<'a, 'py, PyList>),
    Tuple(Borrowed<'a, 'py, PyTuple>),
    Other,
}

impl<'a, 'py> Value<'a, 'py> {
    #[inline(always)]
    pub(super) fn of(object: Borrowed<'a, 'py, PyAny>) -> Self {
        let pointer = object.as_ptr();
        // SAFETY: each cast follows the type check that allows it.
        unsafe {
            if ffi::PyUnicode_CheckExact(pointer) != 0 {
                Self::String(object.cast_unchecked())
            } else if ffi::PyFloat_CheckExact(pointer) != 0 {
                Self::Float(ffi::PyFloat_AS_DOUBLE(pointer))
            } else if ffi::PyLong_CheckExact(pointer) != 0 {
                Self::Integer(object.cast_unchecked())
            } else if ffi::PyDict_CheckExact(pointer) != 0 {
                Self::Dict(object.cast_unchecked())
            } else if ffi::PyList_CheckExact(pointer) != 0 {
                Self::List(object.cast_unchecked())
            } else if object.is_none() {
                Self::Null
            } else if ffi::PyBool_Check(pointer) != 0 {
                Self::Boolean(pointer == ffi::Py_True())
            } else if ffi::PyTuple_CheckExact(pointer) != 0 {
                Self::Tuple(object.cast_unchecked())
            } else {
                Self::Other
            }
        }
    }
}

/// The value of an integer, if it fits into 64 bits.
#[inline(always)]
pub(super) fn small_integer(integer: Borrowed<'_, '_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: the object is an integer: the call neither fails nor runs Python code.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(number)
}

/// How Python compares two strings.
pub(super) fn compare(one: &Bound<'_, PyString>, other: &Bound<'_, PyString>) -> Ordering {
    // SAFETY: attached. Of two strings, the call neither fails nor runs Python code.
    unsafe { ffi::PyUnicode_Compare(one.as_ptr(), other.as_ptr()) }.cmp(&0)
}

/// Python's own text of an integer, whatever a subclass makes of it.
pub(super) fn repr_of_integer<'py>(integer: &Bound<'py, PyInt>) -> PyResult<Bound<'py, PyString>> {
    let text = integer.py().get_type::<PyInt>().call_method1("__repr__", (integer,))?;
    Ok(text.cast_into()?)
}

/// The type of a value.
#[inline(always)]
pub(super) fn type_of<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Borrowed<'a, 'py, PyAny> {
    // SAFETY: an object keeps its type alive.
    unsafe { Borrowed::from_ptr(value.py(), ffi::Py_TYPE(value.as_ptr()).cast()) }
}

/// Whether `value.__class__` is certain to be the type of the value: neither a class nor a
/// base of it has the attribute `name` (`__class__`), or reads attributes in its own way.
pub(super) fn has_no_other(value: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> bool {
    let plain: ffi::getattrofunc = ffi::PyObject_GenericGetAttr;
    let py = value.py();
    // SAFETY: attached; an object has a type, which has a tuple of its bases, itself among
    // them; a reference of its own keeps the tuple. A type made in Python has a dictionary.
    unsafe {
        let class = ffi::Py_TYPE(value.as_ptr());
        if !(*class).tp_getattro.is_some_and(|reads| ptr::fn_addr_eq(reads, plain)) {
            return false;
        }
        let made_by_c =
            |class: *mut ffi::PyTypeObject| (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0;
        if made_by_c(class) {
            return true;
        }
        let Ok(bases) = Bound::from_borrowed_ptr(py, (*class).tp_mro).cast_into::<PyTuple>() else {
            return false;
        };
        bases.iter().all(|base| {
            let base: *mut ffi::PyTypeObject = base.as_ptr().cast();
            made_by_c(base)
                || match ffi::PyDict_Contains((*base).tp_dict, name.as_ptr()) {
                    0 => true,
                    1 => false,
                    _ => PyErr::take(py).is_none(),
                }
        })
    }
}

/// The items of a tuple of two.
#[inline(always)]
pub(super) fn pair<'py>(
    tuple: &Bound<'py, PyTuple>,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    // SAFETY: the object is a tuple, and has two items.
    (tuple.len() == 2).then(|| unsafe {
        let item = |index| {
            let item = ffi::PyTuple_GET_ITEM(tuple.as_ptr(), index);
            Borrowed::from_ptr(tuple.py(), item).to_owned()
        };
        (item(0), item(1))
    })
}

/// A value as a list or a tuple, if it is one and iterates as one.
pub(super) fn iterates_as<'a, 'py, T: PyTypeInfo>(
    value: &'a Bound<'py, PyAny>,
) -> Option<&'a Bound<'py, T>> {
    let array = value.cast::<T>().ok()?;
    // SAFETY: an object has a type, whose fields are only read.
    let (own, plain) = unsafe {
        let plain = T::type_object_raw(value.py());
        ((*ffi::Py_TYPE(value.as_ptr())).tp_iter?, (*plain).tp_iter?)
    };
    // safeguard: own-iterator
    ptr::fn_addr_eq(own, plain).then_some(array)
}

/// The number in a float that compares as floats do; `None` for any other value.
pub(super) fn plain_float(value: &Bound<'_, PyAny>) -> Option<f64> {
    /// The only other float whose comparisons are known. A type that is not on the heap was
    /// made by C code, and keeps its name and its methods.
    const NUMPY: &CStr = c"numpy.float64";
    let float = value.cast::<PyFloat>().ok()?;
    // SAFETY: an object has a type, whose fields are only read; its name ends with a zero.
    let compares_plainly = unsafe {
        let class = ffi::Py_TYPE(value.as_ptr());
        let (own, plain) = ((*class).tp_richcompare, ffi::PyFloat_Type.tp_richcompare);
        own.zip(plain).is_some_and(|(own, plain)| ptr::fn_addr_eq(own, plain))
            || (*class).tp_flags & ffi::Py_TPFLAGS_HEAPTYPE == 0
                && CStr::from_ptr((*class).tp_name) == NUMPY
    };
    compares_plainly.then(|| float.value())
}

/// The dictionary whose pairs `items()` would yield, where `items` is the method of `dict`
/// itself.
pub(super) fn dict_of_items<'py>(items: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    static ITEMS: OnceLock<usize> = OnceLock::new();
    let plain = function_of(&ITEMS, || dict(items.py()))?;
    object_of_method(items, plain)?.cast_into().ok()
}

/// The ordered dictionary whose pairs `items()` would yield, where `items` is the method of
/// `OrderedDict` itself, and so is the iterator.
pub(super) fn ordered_of_items<'py>(items: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    static ITEMS: OnceLock<usize> = OnceLock::new();
    static CLASS: Imported = Imported::new("collections", "OrderedDict");
    let plain = function_of(&ITEMS, || CLASS.get(items.py()).ok()?.call0().ok())?;
    let ordered = object_of_method(items, plain)?;
    // SAFETY: an object has a type, whose fields are only read.
    let flags = unsafe { (*ffi::Py_TYPE(ordered.as_ptr())).tp_flags };
    // safeguard: own-order
    (flags & ffi::Py_TPFLAGS_HEAPTYPE == 0).then_some(ordered)
}

/// The value of a key, as the iterator of an `OrderedDict` looks for it: what code of the key
/// raises is dropped.
pub(super) fn value_in_ordered<'py>(
    ordered: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; the reference is borrowed from the dictionary, and no code runs before
    // there is a reference of its own.
    unsafe {
        let value = ffi::PyDict_GetItem(ordered.as_ptr(), key.as_ptr());
        Borrowed::from_ptr_or_opt(ordered.py(), value).map(Borrowed::to_owned)
    }
    .ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
}

/// The address of the C function behind the method `items` of what `make` makes.
fn function_of<'py>(
    kept: &OnceLock<usize>,
    make: impl FnOnce() -> Option<Bound<'py, PyAny>>,
) -> Option<usize> {
    if let Some(function) = kept.get() {
        return Some(*function);
    }
    let function = c_function(&make()?.getattr("items").ok()?)?;
    Some(*kept.get_or_init(|| function))
}

/// The object of a method, if the method is that of a C function.
fn object_of_method<'py>(method: &Bound<'py, PyAny>, plain: usize) -> Option<Bound<'py, PyAny>> {
    if c_function(method)? != plain {
        return None;
    }
    // SAFETY: attached; the method has a C function, and so an object, borrowed from it.
    unsafe {
        let object = ffi::PyCFunction_GetSelf(method.as_ptr());
        Some(Borrowed::from_ptr_or_opt(method.py(), object)?.to_owned())
    }
}

/// The address of the C function behind a method.
fn c_function(method: &Bound<'_, PyAny>) -> Option<usize> {
    // SAFETY: attached; the call follows the type check that allows it.
    unsafe {
        (ffi::PyCFunction_CheckExact(method.as_ptr()) != 0)
            .then(|| ffi::PyCFunction_GetFunction(method.as_ptr()))?
            .map(|function| function as usize)
    }
}

/// A new object of the interpreter. `None`, without the interpreter's exception, where
/// there was no memory for the object.
///
/// # Safety
///
/// `object` is null, or a reference that the caller owns.
#[inline(always)]
pub(super) unsafe fn owned(py: Python<'_>, object: *mut ffi::PyObject) -> Option<Bound<'_, PyAny>> {
    // SAFETY: the caller's promise.
    let owned = unsafe { Bound::from_owned_ptr_or_opt(py, object) };
    if owned.is_none() {
        drop(PyErr::take(py));
    }
    owned
}

/// A new integer.
#[inline(always)]
pub(super) fn integer(py: Python<'_>, number: i64) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; the reference is new.
    unsafe { owned(py, ffi::PyLong_FromLongLong(number)) }
}

/// A new float.
#[inline(always)]
pub(super) fn float(py: Python<'_>, number: f64) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; the reference is new.
    unsafe { owned(py, ffi::PyFloat_FromDouble(number)) }
}

/// A new list of the values from `from` on, which are removed from `values`.
#[inline(always)]
pub(super) fn list<'py>(
    py: Python<'py>,
    values: &mut Vec<Bound<'py, PyAny>>,
    from: usize,
) -> Option<Bound<'py, PyAny>> {
    let items = &values[from..];
    // SAFETY: attached; the reference is new, and the list has room for each item. The
    // items' references move into the list: the vector forgets them.
    unsafe {
        let list = owned(py, ffi::PyList_New(items.len().cast_signed()))?;
        let places = (*list.as_ptr().cast::<ffi::PyListObject>()).ob_item;
        items.as_ptr().cast::<*mut ffi::PyObject>().copy_to_nonoverlapping(places, items.len());
        values.set_len(from);
        Some(list)
    }
}

/// A new, empty dictionary.
#[inline(always)]
pub(super) fn dict(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; the reference is new.
    unsafe { owned(py, ffi::PyDict_New()) }
}

/// Sets a key of a dictionary whose keys are all strings, so that no Python code runs.
#[inline(always)]
pub(super) fn insert<'py>(
    dict: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Option<()> {
    // SAFETY: attached; the call checks that the object is a dictionary, and takes
    // references of its own.
    if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
        drop(PyErr::take(dict.py()));
        return None;
    }
    Some(())
}

/// A copy, one level deep, of an exact dictionary or list; any other object itself.
#[inline(always)]
pub(super) fn shallow_copy<'py>(container: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let object = container.as_ptr();
    // SAFETY: attached; each call follows the type check that allows it, its reference
    // is new, and it runs no Python code.
    unsafe {
        let copy = if ffi::PyDict_CheckExact(object) != 0 {
            ffi::PyDict_Copy(object)
        } else if ffi::PyList_CheckExact(object) != 0 {
            ffi::PyList_GetSlice(object, 0, ffi::PyList_GET_SIZE(object))
        } else {
            ffi::Py_NewRef(object)
        };
        Bound::from_owned_ptr_or_err(container.py(), copy)
    }
}

/// Makes the processor load a container into its cache.
#[inline(always)]
pub(super) fn prefetch(container: &Bound<'_, PyAny>) {
    fetch(container.as_ptr().cast());
}

/// Makes the processor load the start of what a dictionary or list holds into its cache.
#[inline(always)]
pub(super) fn prefetch_content(container: &Bound<'_, PyAny>) {
    let object = container.as_ptr();
    // SAFETY: attached; each cast follows the type check that allows it. The memory
    // behind the pointer is not read.
    let content: *const u8 = unsafe {
        if ffi::PyDict_CheckExact(object) != 0 {
            (*object.cast::<ffi::PyDictObject>()).ma_keys.cast()
        } else if ffi::PyList_CheckExact(object) != 0 {
            (*object.cast::<ffi::PyListObject>()).ob_item.cast()
        } else {
            return;
        }
    };
    fetch(content);
    fetch(content.wrapping_add(CACHE_LINE));
}

/// The bytes that the processor loads together.
const CACHE_LINE: usize = 64;

#[inline(always)]
fn fetch(address: *const u8) {
    // SAFETY: a hint to the processor, which accepts any address and never faults.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

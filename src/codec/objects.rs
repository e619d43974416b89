//! Python's objects through the C API, where pyo3's own functions are slow or panic
//! when memory runs out.
#![allow(unsafe_code, reason = "the codec's calls of the C API, behind a safe face")]

use std::marker::PhantomData;
use std::{ptr, slice};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyStringData, PyTuple};

use super::buffer::copy_short;

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

/// The bits `compact` and `ascii` of a string's state. They follow two bits of
/// `interned` and three of `kind`, from Python 3.10 on; pyo3 reads them up to 3.13 only.
/// A free-threaded interpreter has nothing but `interned` there, and sets neither bit:
/// its strings are read by [`characters_of`].
const COMPACT_ASCII: u32 =
    if cfg!(target_endian = "little") { 0b110_0000 } else { 0b110_0000_u32.reverse_bits() };

/// The characters of an ASCII string.
#[inline(always)]
pub(crate) fn ascii_of<'a>(text: Borrowed<'a, '_, PyString>) -> Option<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: the object is a string, and lives for 'a. The bit field is read as every
    // C compiler for Linux and macOS lays it out; the parity tests read strings of each
    // kind. A compact ASCII string has its characters, one byte each, right after the
    // header.
    unsafe {
        let header = object.cast::<ffi::PyASCIIObject>();
        if (*header).state & COMPACT_ASCII != COMPACT_ASCII {
            return None;
        }
        Some(slice::from_raw_parts(header.add(1).cast(), (*header).length.cast_unsigned()))
    }
}

/// The characters of any string, in the width in which the string holds them.
#[cold]
pub(super) fn characters_of<'a>(text: Borrowed<'a, '_, PyString>) -> Option<PyStringData<'a>> {
    // SAFETY: a string that was made has its characters, which never change. They live
    // as long as the string, which is for 'a: longer than the variable `text`.
    unsafe {
        Some(match text.data().ok()? {
            PyStringData::Ucs1(data) => PyStringData::Ucs1(&*ptr::from_ref(data)),
            PyStringData::Ucs2(data) => PyStringData::Ucs2(&*ptr::from_ref(data)),
            PyStringData::Ucs4(data) => PyStringData::Ucs4(&*ptr::from_ref(data)),
        })
    }
}

/// The proof that no container changes for `'a`: no Python code runs, no other thread
/// and no garbage collection.
#[derive(Clone, Copy)]
pub(super) struct NoMutation<'a>(PhantomData<&'a ()>);

impl<'a> NoMutation<'a> {
    /// # Safety
    ///
    /// For `'a` the caller runs no Python code, keeps the interpreter's lock, and makes
    /// no object that the garbage collector tracks.
    pub(super) unsafe fn promise() -> Self {
        Self(PhantomData)
    }

    /// The pairs of a dictionary, borrowed from it.
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "`self` is the proof, here and below")]
    pub(super) fn pairs<'py>(
        self,
        dict: Borrowed<'a, 'py, PyDict>,
    ) -> impl Iterator<Item = (Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
        let (py, mut position) = (dict.py(), 0);
        std::iter::from_fn(move || {
            let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: the object is a dictionary, and keeps its keys and values alive as
            // long as it does not change.
            unsafe {
                let more = ffi::PyDict_Next(
                    dict.as_ptr(),
                    &raw mut position,
                    &raw mut key,
                    &raw mut value,
                );
                (more != 0).then(|| (Borrowed::from_ptr(py, key), Borrowed::from_ptr(py, value)))
            }
        })
    }

    /// The items of a list, borrowed from it.
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn list_items<'py>(
        self,
        list: Borrowed<'a, 'py, PyList>,
    ) -> impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = list.py();
        // SAFETY: the object is a list, and keeps its items alive as long as it does not
        // change; the index is below its length.
        let item = move |index: usize| unsafe {
            let item = ffi::PyList_GET_ITEM(list.as_ptr(), index.cast_signed());
            Borrowed::from_ptr(py, item)
        };
        (0..list.len()).map(item)
    }

    /// The items of a tuple, borrowed from it.
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn tuple_items<'py>(
        self,
        tuple: Borrowed<'a, 'py, PyTuple>,
    ) -> impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = tuple.py();
        // SAFETY: the object is a tuple, and keeps its items alive; the index is below
        // its length.
        let item = move |index: usize| unsafe {
            let item = ffi::PyTuple_GET_ITEM(tuple.as_ptr(), index.cast_signed());
            Borrowed::from_ptr(py, item)
        };
        (0..tuple.len()).map(item)
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

/// A new object of the interpreter. `None`, without the interpreter's exception, where
/// there was no memory for the object.
///
/// # Safety
///
/// `object` is null, or a reference that the caller owns.
#[inline(always)]
unsafe fn owned(py: Python<'_>, object: *mut ffi::PyObject) -> Option<Bound<'_, PyAny>> {
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

/// A new string of ASCII text.
#[inline(always)]
pub(super) fn ascii_string<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    // The interpreter keeps the strings of one character.
    if text.len() < 2 {
        return utf8_string(py, text);
    }
    // SAFETY: attached; the reference is new, nobody else has seen the string, and it
    // has room for as many characters of one byte as are written.
    unsafe {
        let string = owned(py, ffi::PyUnicode_New(text.len().cast_signed(), 127))?;
        let data = string.as_ptr().cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
        copy_short(text, data);
        Some(string)
    }
}

/// A new string, if the text is UTF-8.
#[inline(never)]
pub(super) fn utf8_string<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    match text.len() {
        2.. if text.is_ascii() => ascii_string(py, text),
        // The interpreter's decoder starts again at each wider kind of character.
        ..=64 => utf16_string::<64>(py, text),
        65..=1024 => utf16_string::<1024>(py, text),
        _ => decoded_string(py, text),
    }
}

/// A new string, if the text is UTF-8, of at most `N` bytes. Most such texts have only
/// characters of 16 bits.
#[inline(always)]
fn utf16_string<'py, const N: usize>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let (mut units, mut length) = ([0_u16; N], 0);
    for (unit, character) in units.iter_mut().zip(str::from_utf8(text).ok()?.chars()) {
        let Ok(code) = u16::try_from(u32::from(character)) else {
            return decoded_string(py, text);
        };
        *unit = code;
        length += 1;
    }
    let kind = ffi::PyUnicode_2BYTE_KIND.cast_signed();
    // SAFETY: attached; there are at least `length` units; the reference is new.
    unsafe { owned(py, ffi::PyUnicode_FromKindAndData(kind, units.as_ptr().cast(), length)) }
}

/// A new string, if the text is UTF-8, made by the interpreter's decoder.
fn decoded_string<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let (data, length) = (text.as_ptr().cast(), text.len().cast_signed());
    // SAFETY: attached; `data` has `length` bytes; the reference is new.
    unsafe { owned(py, ffi::PyUnicode_DecodeUTF8(data, length, ptr::null())) }
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

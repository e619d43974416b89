//! The codec's own way to the interpreter's objects, where pyo3's is slow, or
//! panics when memory runs out.
#![allow(unsafe_code, reason = "the one place for it, behind a safe face")]

use std::marker::PhantomData;
use std::{ptr, slice};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyStringData, PyTuple};

use super::buffer::copy;
use super::encode::Stop;

/// A value of a document, by its exact type.
pub(super) enum Value<'a, 'py> {
    Null,
    Truth(bool),
    Integer(Borrowed<'a, 'py, PyInt>),
    Float(f64),
    Text(Borrowed<'a, 'py, PyString>),
    Dict(Borrowed<'a, 'py, PyDict>),
    List(Borrowed<'a, 'py, PyList>),
    Tuple(Borrowed<'a, 'py, PyTuple>),
    Other,
}

impl<'a, 'py> Value<'a, 'py> {
    #[inline(always)]
    pub(super) fn of(object: Borrowed<'a, 'py, PyAny>) -> Self {
        let pointer = object.as_ptr();
        // SAFETY: each cast follows the check that it needs.
        unsafe {
            if ffi::PyUnicode_CheckExact(pointer) != 0 {
                Self::Text(object.cast_unchecked())
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
                Self::Truth(pointer == ffi::Py_True())
            } else if ffi::PyTuple_CheckExact(pointer) != 0 {
                Self::Tuple(object.cast_unchecked())
            } else {
                Self::Other
            }
        }
    }
}

/// The bits `compact` and `ascii` of a string's state, behind two of `interned` and
/// three of `kind`, from Python 3.10 on; pyo3 reads them up to 3.13. An interpreter
/// without a lock has `interned` there alone, which sets neither: its strings are
/// read by `characters`.
const COMPACT_ASCII: u32 =
    if cfg!(target_endian = "little") { 0b110_0000 } else { 0b110_0000_u32.reverse_bits() };

/// The characters of a string that has nothing but ASCII.
#[inline(always)]
pub(crate) fn ascii_of<'a>(text: Borrowed<'a, '_, PyString>) -> Option<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: a string, which lives for 'a. Its bit field is read as every C
    // compiler for Linux and macOS lays it out; the parity tests read strings of
    // each kind. What is compact and ASCII has its characters, one byte each,
    // right behind the header.
    unsafe {
        let header = object.cast::<ffi::PyASCIIObject>();
        if (*header).state & COMPACT_ASCII != COMPACT_ASCII {
            return None;
        }
        Some(slice::from_raw_parts(header.add(1).cast(), (*header).length.cast_unsigned()))
    }
}

/// The characters of any string, as they lie in it.
#[cold]
pub(super) fn characters<'a>(text: Borrowed<'a, '_, PyString>) -> Result<PyStringData<'a>, Stop> {
    // SAFETY: as above; and the string lives longer than this variable.
    unsafe {
        Ok(match text.data().map_err(|_| Stop::NotCovered)? {
            PyStringData::Ucs1(data) => PyStringData::Ucs1(&*ptr::from_ref(data)),
            PyStringData::Ucs2(data) => PyStringData::Ucs2(&*ptr::from_ref(data)),
            PyStringData::Ucs4(data) => PyStringData::Ucs4(&*ptr::from_ref(data)),
        })
    }
}

/// A promise that no container changes as long as it lives: that no Python code
/// runs, no thread, and no garbage collection.
#[derive(Clone, Copy)]
pub(super) struct Still<'a>(PhantomData<&'a ()>);

impl<'a> Still<'a> {
    /// # Safety
    ///
    /// The promise is kept for `'a`.
    pub(super) unsafe fn promised() -> Self {
        Self(PhantomData)
    }

    /// The pairs of a dictionary, borrowed from it.
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "it is the promise that this needs, here and below")]
    pub(super) fn pairs<'py>(
        self,
        dict: Borrowed<'a, 'py, PyDict>,
    ) -> impl Iterator<Item = (Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
        let (py, mut position) = (dict.py(), 0);
        std::iter::from_fn(move || {
            let (mut key, mut value) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: a dictionary, which keeps its keys and values alive while
            // it stays as it is.
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
    pub(super) fn items<'py>(
        self,
        list: Borrowed<'a, 'py, PyList>,
    ) -> impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = list.py();
        // SAFETY: a list, which keeps its items alive while it stays as it is.
        let item = move |index: usize| unsafe {
            let item = ffi::PyList_GET_ITEM(list.as_ptr(), index.cast_signed());
            Borrowed::from_ptr(py, item)
        };
        (0..list.len()).map(item)
    }

    /// The items of a tuple, borrowed from it.
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "as above")]
    pub(super) fn parts<'py>(
        self,
        tuple: Borrowed<'a, 'py, PyTuple>,
    ) -> impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>> {
        let py = tuple.py();
        // SAFETY: a tuple, which keeps its items alive.
        let item = move |index: usize| unsafe {
            let item = ffi::PyTuple_GET_ITEM(tuple.as_ptr(), index.cast_signed());
            Borrowed::from_ptr(py, item)
        };
        (0..tuple.len()).map(item)
    }
}

/// The value of an integer, if it has 64 bits.
#[inline(always)]
pub(super) fn small_integer(integer: Borrowed<'_, '_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: an integer, for which the call neither fails nor runs any code.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(number)
}

/// What the interpreter made, or `None` where it failed, for lack of memory;
/// without the error.
///
/// # Safety
///
/// `object` is null, or a reference that the caller owns.
#[inline(always)]
unsafe fn made(py: Python<'_>, object: *mut ffi::PyObject) -> Option<Bound<'_, PyAny>> {
    // SAFETY: as the caller's.
    let made = unsafe { Bound::from_owned_ptr_or_opt(py, object) };
    if made.is_none() {
        drop(PyErr::take(py));
    }
    made
}

#[inline(always)]
pub(super) fn integer(py: Python<'_>, number: i64) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; the reference is new.
    unsafe { made(py, ffi::PyLong_FromLongLong(number)) }
}

#[inline(always)]
pub(super) fn float(py: Python<'_>, number: f64) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; the reference is new.
    unsafe { made(py, ffi::PyFloat_FromDouble(number)) }
}

/// A string of ASCII.
#[inline(always)]
pub(super) fn ascii<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    // The interpreter has those of one character already.
    if text.len() < 2 {
        return encoded(py, text);
    }
    // SAFETY: attached; the reference is new, nobody else has seen the string,
    // and it has room for as many characters of one byte as are written.
    unsafe {
        let string = made(py, ffi::PyUnicode_New(text.len().cast_signed(), 127))?;
        let data = string.as_ptr().cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
        copy(text, data);
        Some(string)
    }
}

/// A string of UTF-8, if it is.
#[inline(never)]
pub(super) fn encoded<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    match text.len() {
        2.. if text.is_ascii() => ascii(py, text),
        // The interpreter begins anew for each wider kind of character it meets.
        ..=64 => narrow::<64>(py, text),
        65..=1024 => narrow::<1024>(py, text),
        _ => decoded(py, text),
    }
}

/// A string of at most `N` bytes of UTF-8, if it is.
#[inline(always)]
fn narrow<'py, const N: usize>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let (mut units, mut length) = ([0_u16; N], 0);
    for (unit, character) in units.iter_mut().zip(str::from_utf8(text).ok()?.chars()) {
        let Ok(narrow) = u16::try_from(u32::from(character)) else { return decoded(py, text) };
        *unit = narrow;
        length += 1;
    }
    let kind = ffi::PyUnicode_2BYTE_KIND.cast_signed();
    // SAFETY: attached; there are at least as many units as it is told; the
    // reference is new.
    unsafe { made(py, ffi::PyUnicode_FromKindAndData(kind, units.as_ptr().cast(), length)) }
}

/// A string of UTF-8, if it is, as the interpreter makes it.
fn decoded<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let (data, length) = (text.as_ptr().cast(), text.len().cast_signed());
    // SAFETY: attached; the text is as long as it is said to be; the reference
    // is new.
    unsafe { made(py, ffi::PyUnicode_DecodeUTF8(data, length, ptr::null())) }
}

/// A list of the values from `from` on, which it takes off.
#[inline(always)]
pub(super) fn list<'py>(
    py: Python<'py>,
    values: &mut Vec<Bound<'py, PyAny>>,
    from: usize,
) -> Option<Bound<'py, PyAny>> {
    let items = &values[from..];
    // SAFETY: attached; the reference is new, and the list has a place for each
    // item. The items' references move into it: the vector forgets them.
    unsafe {
        let list = made(py, ffi::PyList_New(items.len().cast_signed()))?;
        let places = (*list.as_ptr().cast::<ffi::PyListObject>()).ob_item;
        items.as_ptr().cast::<*mut ffi::PyObject>().copy_to_nonoverlapping(places, items.len());
        values.set_len(from);
        Some(list)
    }
}

/// An empty dictionary.
#[inline(always)]
pub(super) fn dict(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: attached; the reference is new.
    unsafe { made(py, ffi::PyDict_New()) }
}

/// Adds to a dictionary that has only strings for names.
#[inline(always)]
pub(super) fn insert<'py>(
    dict: &Bound<'py, PyAny>,
    name: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Option<()> {
    // SAFETY: attached; of what is no dictionary, the call says so. The
    // references stay ours.
    if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), value.as_ptr()) } != 0 {
        drop(PyErr::take(dict.py()));
        return None;
    }
    Some(())
}

/// A copy, one level deep, of an exact dictionary or list.
#[inline(always)]
pub(super) fn copy_of<'py>(container: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let object = container.as_ptr();
    // SAFETY: attached; each call has what it is made for, and its reference is
    // new. Neither runs any code.
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

/// Has a container fetched from memory, for later.
#[inline(always)]
pub(super) fn prefetch(container: &Bound<'_, PyAny>) {
    fetch(container.as_ptr().cast());
}

/// Has the first of what a dictionary or list holds fetched from memory.
#[inline(always)]
pub(super) fn prefetch_content(container: &Bound<'_, PyAny>) {
    let object = container.as_ptr();
    // SAFETY: attached; each cast follows the check that it needs. What the
    // pointer leads to is not looked at.
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

/// Bytes that the processor fetches together.
const CACHE_LINE: usize = 64;

#[inline(always)]
fn fetch(address: *const u8) {
    // SAFETY: a hint, which does nothing but save time, whatever the address.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/* The interpreter's own copies of containers, one by one, and their release. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Copies each of a list of dictionaries and lists, and then releases the copies. With
 * `content` false the copies are empty, of the same sizes: nothing but allocations. */
PyObject *copies(PyObject *containers, int content)
{
	Py_ssize_t count = PyList_GET_SIZE(containers), made = 0;
	PyObject **copied = PyMem_Calloc(count ? count : 1, sizeof *copied);
	int enabled = PyGC_Disable(); /* as oasis_data does while it makes a document */

	if (!copied)
		PyErr_NoMemory();
	for (; copied && made < count; made++) {
		PyObject *container = PyList_GET_ITEM(containers, made);
		if (PyDict_CheckExact(container))
			copied[made] = content ? PyDict_Copy(container)
					       : _PyDict_NewPresized(PyDict_GET_SIZE(container));
		else
			copied[made] = content ? PyList_GetSlice(container, 0, PY_SSIZE_T_MAX)
					       : PyList_New(PyList_GET_SIZE(container));
		if (!copied[made])
			break;
	}
	if (enabled)
		PyGC_Enable();
	while (made > 0)
		Py_XDECREF(copied[--made]);
	PyMem_Free(copied);
	return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

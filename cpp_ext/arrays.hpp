// NumPy arrays as arguments of an extension function, through the buffer protocol.
//
// Here: taking the buffers, and checking type, layout and shape before any address is used. What the
// numbers in them mean is not known here.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdint>
#include <cstring>

namespace langpose {

// One array argument: its name in error messages, the types it may have (as in NumPy's dtype.char, q for
// any 8-byte integer), one letter per axis, and whether it is changed. Equal letters mean equal sizes.
struct Field {
  const char* name;
  const char* types;
  const char* axes;
  bool writable;
};

class Arrays {
 public:
  Arrays() { std::memset(sizes_, -1, sizeof sizes_); }
  ~Arrays() {
    for (int i = 0; i < held_; ++i) PyBuffer_Release(&views_[i]);
  }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;

  // Takes the buffers of all arguments; false with a Python exception set if one does not fit.
  template <int N>
  bool take(PyObject* const* args, Py_ssize_t given, const Field (&fields)[N], int others = 0) {
    static_assert(N <= kMost, "more arrays than Arrays holds");
    if (given != N + others) {
      PyErr_Format(PyExc_TypeError, "expected %d arguments, got %zd", N + others, given);
      return false;
    }
    for (int i = 0; i < N; ++i) {
      if (!take_one(args[i], fields[i])) return false;
    }
    return true;
  }

  template <typename T>
  T* data(int i) const {
    return static_cast<T*>(views_[i].buf);
  }
  char type(int i) const { return types_[i]; }
  Py_ssize_t size(char axis) const { return sizes_[axis - 'a']; }

 private:
  static constexpr int kMost = 11;

  bool take_one(PyObject* arg, const Field& field) {
    Py_buffer& view = views_[held_];
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (field.writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(arg, &view, flags) != 0) {
      PyErr_Clear();
      PyErr_Format(PyExc_TypeError, "%s must be a C-contiguous%s array", field.name,
                   field.writable ? ", writable" : "");
      return false;
    }
    const char type = type_of(view);
    types_[held_++] = type;  // from here on the destructor releases it
    if (type == 0 || std::strchr(field.types, type) == nullptr) {
      PyErr_Format(PyExc_TypeError, "%s has the wrong dtype: got '%s'", field.name, view.format);
      return false;
    }
    if (reinterpret_cast<std::uintptr_t>(view.buf) % static_cast<std::uintptr_t>(view.itemsize)) {
      PyErr_Format(PyExc_TypeError, "%s must be aligned", field.name);
      return false;
    }
    return fits(view, field);
  }

  static char type_of(const Py_buffer& view) {
    const char* format = view.format;
    if (*format == '@' || *format == '=') ++format;
    if (*format == 0 || format[1] != 0) return 0;
    if (*format == 'f' || *format == 'e') return *format;
    if (std::strchr("ilq", *format) == nullptr) return 0;
    return view.itemsize == 8 ? 'q' : 'i';
  }

  bool fits(const Py_buffer& view, const Field& field) {
    const int axes = static_cast<int>(std::strlen(field.axes));
    if (view.ndim != axes) {
      PyErr_Format(PyExc_ValueError, "%s has %d axes, expected %d", field.name, view.ndim, axes);
      return false;
    }
    for (int k = 0; k < axes; ++k) {
      Py_ssize_t& size = sizes_[field.axes[k] - 'a'];
      if (size < 0) size = view.shape[k];
      if (size != view.shape[k]) {
        PyErr_Format(PyExc_ValueError, "axis %d of %s is %zd, expected %zd", k, field.name,
                     view.shape[k], size);
        return false;
      }
    }
    return true;
  }

  Py_buffer views_[kMost];
  char types_[kMost];
  Py_ssize_t sizes_[26];
  int held_ = 0;
};

}  // namespace langpose

// langpose_rt._sliding_window: the sliding window on the CPU, the C++ twin of window/reference.py.
//
// Here: the five operations, on arrays that arrays.hpp has checked. The arithmetic is in
// sliding_window.cuh; what the functions mean and give is said in reference.py; host.py calls them.
// They work with the GIL released. Each holds its buffers until it returns, so that no array can be freed
// meanwhile, but two threads must not use one window at a time.
#include "arrays.hpp"
#include "sliding_window.cuh"

namespace {

using langpose::Arrays;
using langpose::Field;
using langpose::Half;

// The state of every slot that an operation reads, checked: an index from outside must not become an
// address.
struct Slots {
  const int32_t* slots;
  const int32_t* head;  // null where the operation does not need it
  const int32_t* fill;
  Py_ssize_t persons, count, frames;

  bool check() const {
    for (Py_ssize_t i = 0; i < persons; ++i) {
      const int32_t slot = slots[i];
      if (slot < 0 || slot >= count) {
        PyErr_Format(PyExc_IndexError, "slot %d is outside the window of %zd slots", slot, count);
        return false;
      }
      const int32_t at = head == nullptr ? 0 : head[slot];
      if (at < 0 || at >= frames || fill[slot] < 0 || fill[slot] > frames) {
        PyErr_Format(PyExc_ValueError, "slot %d is damaged: head %d and fill %d of %zd frames", slot,
                     at, fill[slot], frames);
        return false;
      }
    }
    return true;
  }

  bool check_distinct() const {
    char* seen = static_cast<char*>(PyMem_Calloc(static_cast<size_t>(count), 1));
    if (seen == nullptr) {
      PyErr_NoMemory();
      return false;
    }
    bool twice = false;
    for (Py_ssize_t i = 0; i < persons; ++i) twice |= seen[slots[i]]++ != 0;
    PyMem_Free(seen);
    if (twice) {
      PyErr_SetString(PyExc_ValueError,
                      "a slot is given twice in one push; a step holds one frame per person");
    }
    return !twice;
  }

  // `frames_back` null asks for the newest.
  bool check_held(const int32_t* frames_back) const {
    for (Py_ssize_t i = 0; i < persons; ++i) {
      const int32_t back = frames_back == nullptr ? 0 : frames_back[i], held = fill[slots[i]];
      if (back < 0 || back >= held) {
        PyErr_Format(PyExc_IndexError, "slot %d holds %d frames, the frame %d back was asked for",
                     slots[i], held, back);
        return false;
      }
    }
    return true;
  }
};

template <typename Stored>
void store_row(Stored* to, const float* from, Py_ssize_t count) {
  for (Py_ssize_t i = 0; i < count; ++i) to[i] = langpose::stored<Stored>(from[i]);
}

template <>
void store_row<float>(float* to, const float* from, Py_ssize_t count) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

// Writes `blocks` rows of `channels` numbers into one cell of a slot's ring.
template <typename Stored>
void write_cell(Stored* ring, const float* newest, Py_ssize_t blocks, Py_ssize_t frames,
                Py_ssize_t channels, Py_ssize_t cell) {
  for (Py_ssize_t block = 0; block < blocks; ++block) {
    store_row(ring + (block * frames + cell) * channels, newest + block * channels, channels);
  }
}

constexpr Field kPush[] = {
    {"window.keys", "fe", "sbwc", true}, {"window.values", "fe", "sbwc", true},
    {"window.features", "f", "swd", true}, {"window.time_ns", "q", "sw", true},
    {"window.head", "i", "s", true},     {"window.fill", "i", "s", true},
    {"slots", "i", "n", false},          {"keys", "f", "nbc", false},
    {"values", "f", "nbc", false},       {"features", "f", "nd", false},
    {"time_ns", "q", "n", false}};

template <typename Stored>
void push_all(const Arrays& arrays) {
  const Py_ssize_t blocks = arrays.size('b'), frames = arrays.size('w'), channels = arrays.size('c'),
                   features = arrays.size('d'), ring = blocks * frames * channels;
  int32_t *head = arrays.data<int32_t>(4), *fill = arrays.data<int32_t>(5);
  for (Py_ssize_t i = 0; i < arrays.size('n'); ++i) {
    const Py_ssize_t slot = arrays.data<int32_t>(6)[i];
    const int32_t cell = head[slot];
    write_cell(arrays.data<Stored>(0) + slot * ring, arrays.data<float>(7) + i * blocks * channels,
               blocks, frames, channels, cell);
    write_cell(arrays.data<Stored>(1) + slot * ring, arrays.data<float>(8) + i * blocks * channels,
               blocks, frames, channels, cell);
    write_cell(arrays.data<float>(2) + slot * frames * features, arrays.data<float>(9) + i * features,
               1, frames, features, cell);
    arrays.data<int64_t>(3)[slot * frames + cell] = arrays.data<int64_t>(10)[i];
    head[slot] = langpose::next_cell(cell, static_cast<int>(frames));
    fill[slot] += fill[slot] < frames ? 1 : 0;
  }
}

PyObject* push(PyObject*, PyObject* const* args, Py_ssize_t given) {
  Arrays arrays;
  if (!arrays.take(args, given, kPush)) return nullptr;
  if (arrays.type(0) != arrays.type(1)) {
    PyErr_SetString(PyExc_TypeError, "window.keys and window.values must have one dtype");
    return nullptr;
  }
  const Slots slots{arrays.data<int32_t>(6), arrays.data<int32_t>(4), arrays.data<int32_t>(5),
                    arrays.size('n'),        arrays.size('s'),        arrays.size('w')};
  if (!slots.check() || !slots.check_distinct()) return nullptr;
  Py_BEGIN_ALLOW_THREADS;
  if (arrays.type(0) == 'e') {
    push_all<Half>(arrays);
  } else {
    push_all<float>(arrays);
  }
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

constexpr Field kKeyBias[] = {{"window.time_ns", "q", "sw", false},
                              {"window.fill", "i", "s", false},
                              {"slots", "i", "n", false},
                              {"time_ns", "q", "n", false},
                              {"bias", "f", "nw", true}};

PyObject* key_bias(PyObject*, PyObject* const* args, Py_ssize_t given) {
  Arrays arrays;
  if (!arrays.take(args, given, kKeyBias, 1)) return nullptr;
  const long long max_age_ns = PyLong_AsLongLong(args[5]);
  if (max_age_ns == -1 && PyErr_Occurred()) return nullptr;
  if (max_age_ns < 0) {
    return PyErr_Format(PyExc_ValueError, "max_age_ns must not be negative, got %lld", max_age_ns);
  }
  const Py_ssize_t frames = arrays.size('w'), persons = arrays.size('n');
  const int32_t *fill = arrays.data<int32_t>(1), *slot = arrays.data<int32_t>(2);
  if (!Slots{slot, nullptr, fill, persons, arrays.size('s'), frames}.check()) return nullptr;
  Py_BEGIN_ALLOW_THREADS;
  for (Py_ssize_t i = 0; i < persons; ++i) {
    const int64_t* then = arrays.data<int64_t>(0) + slot[i] * frames;
    const int64_t now = arrays.data<int64_t>(3)[i];
    float* bias = arrays.data<float>(4) + i * frames;
    for (int cell = 0; cell < frames; ++cell) {
      bias[cell] = langpose::key_bias(cell, fill[slot[i]], now, then[cell], max_age_ns);
    }
  }
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

constexpr Field kFeatureAt[] = {{"window.features", "f", "swd", false}, {"window.head", "i", "s", false},
                                {"window.fill", "i", "s", false},       {"slots", "i", "n", false},
                                {"frames_back", "i", "n", false},       {"out", "f", "nd", true}};

PyObject* feature_at(PyObject*, PyObject* const* args, Py_ssize_t given) {
  Arrays arrays;
  if (!arrays.take(args, given, kFeatureAt)) return nullptr;
  const Py_ssize_t frames = arrays.size('w'), channels = arrays.size('d');
  const Slots slots{arrays.data<int32_t>(3), arrays.data<int32_t>(1), arrays.data<int32_t>(2),
                    arrays.size('n'),        arrays.size('s'),        frames};
  const int32_t* back = arrays.data<int32_t>(4);
  if (!slots.check() || !slots.check_held(back)) return nullptr;
  Py_BEGIN_ALLOW_THREADS;
  for (Py_ssize_t i = 0; i < slots.persons; ++i) {
    const Py_ssize_t slot = slots.slots[i];
    const int cell = langpose::cell_back(slots.head[slot], back[i], static_cast<int>(frames));
    store_row(arrays.data<float>(5) + i * channels,
              arrays.data<float>(0) + (slot * frames + cell) * channels, channels);
  }
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

constexpr Field kGather[] = {{"window.features", "f", "swd", false}, {"window.head", "i", "s", false},
                             {"window.fill", "i", "s", false},       {"slots", "i", "n", false},
                             {"out", "fe", "nwd", true}};

template <typename Out>
void gather_all(const Arrays& arrays, const Slots& slots) {
  const Py_ssize_t channels = arrays.size('d');
  const int frames = static_cast<int>(slots.frames);
  for (Py_ssize_t i = 0; i < slots.persons; ++i) {
    const Py_ssize_t slot = slots.slots[i];
    for (int position = 0; position < frames; ++position) {
      const int cell = langpose::cell_in_order(slots.head[slot], slots.fill[slot], position, frames);
      store_row(arrays.data<Out>(4) + (i * frames + position) * channels,
                arrays.data<float>(0) + (slot * frames + cell) * channels, channels);
    }
  }
}

PyObject* gather(PyObject*, PyObject* const* args, Py_ssize_t given) {
  Arrays arrays;
  if (!arrays.take(args, given, kGather)) return nullptr;
  const Slots slots{arrays.data<int32_t>(3), arrays.data<int32_t>(1), arrays.data<int32_t>(2),
                    arrays.size('n'),        arrays.size('s'),        arrays.size('w')};
  if (!slots.check() || !slots.check_held(nullptr)) return nullptr;
  Py_BEGIN_ALLOW_THREADS;
  if (arrays.type(4) == 'e') {
    gather_all<Half>(arrays, slots);
  } else {
    gather_all<float>(arrays, slots);
  }
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

constexpr Field kReset[] = {
    {"window.keys", "fe", "sbwc", true},   {"window.values", "fe", "sbwc", true},
    {"window.features", "f", "swd", true}, {"window.time_ns", "q", "sw", true},
    {"window.head", "i", "s", true},       {"window.fill", "i", "s", true},
    {"slots", "i", "n", false}};

// Zeroes the first `used` cells of every block; the others have been zero since the last reset.
void clear(char* ring, Py_ssize_t slot, Py_ssize_t blocks, Py_ssize_t frames, Py_ssize_t cell_bytes,
           int32_t used) {
  for (Py_ssize_t block = 0; block < blocks; ++block) {
    std::memset(ring + (slot * blocks + block) * frames * cell_bytes, 0,
                static_cast<size_t>(used * cell_bytes));
  }
}

PyObject* reset(PyObject*, PyObject* const* args, Py_ssize_t given) {
  Arrays arrays;
  if (!arrays.take(args, given, kReset)) return nullptr;
  const Py_ssize_t blocks = arrays.size('b'), frames = arrays.size('w');
  const auto bytes = [&arrays](int i) { return arrays.type(i) == 'e' ? 2 : 4; };
  int32_t *head = arrays.data<int32_t>(4), *fill = arrays.data<int32_t>(5);
  const Slots slots{arrays.data<int32_t>(6), head, fill, arrays.size('n'), arrays.size('s'), frames};
  if (!slots.check()) return nullptr;
  Py_BEGIN_ALLOW_THREADS;
  for (Py_ssize_t i = 0; i < slots.persons; ++i) {
    const Py_ssize_t slot = slots.slots[i];
    const int32_t used = fill[slot];
    clear(arrays.data<char>(0), slot, blocks, frames, arrays.size('c') * bytes(0), used);
    clear(arrays.data<char>(1), slot, blocks, frames, arrays.size('c') * bytes(1), used);
    clear(arrays.data<char>(2), slot, 1, frames, arrays.size('d') * 4, used);
    clear(arrays.data<char>(3), slot, 1, frames, 8, used);
    head[slot] = fill[slot] = 0;
  }
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

PyCFunction as_method(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"push", as_method(push), METH_FASTCALL, "Write the newest frame of every given person."},
    {"key_bias", as_method(key_bias), METH_FASTCALL, "Fill the bias of the cached keys."},
    {"feature_at", as_method(feature_at), METH_FASTCALL, "Copy the features of earlier frames."},
    {"gather", as_method(gather), METH_FASTCALL, "Copy whole windows in time order."},
    {"reset", as_method(reset), METH_FASTCALL, "Forget persons."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot module_slots[] = {
#if defined(Py_mod_gil)
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},  // no state outside the arrays
#endif
    {0, nullptr}};

PyModuleDef module = {PyModuleDef_HEAD_INIT,
                      "_sliding_window",
                      "C++ twin of langpose_rt.window.reference; called by langpose_rt.window.native.",
                      0,
                      methods,
                      module_slots,
                      nullptr,
                      nullptr,
                      nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__sliding_window() { return PyModuleDef_Init(&module); }

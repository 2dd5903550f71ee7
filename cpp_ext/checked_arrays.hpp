// NumPy arrays as arguments: what nanobind's types cannot say of them, checked before any index becomes
// an address.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace langpose {

namespace nb = nanobind;

template <typename T, size_t Axes>
using Array = nb::ndarray<T, nb::ndim<Axes>, nb::c_contig, nb::device::cpu>;

template <typename... Values>
std::string sentence(const char* format, Values... values) {
  char text[200];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

// The numbers of an array, after checking that they lie where their type may lie.
template <typename AnyArray>
auto numbers(const AnyArray& array, const char* name) {
  if (reinterpret_cast<std::uintptr_t>(array.data()) % alignof(typename AnyArray::Scalar) != 0) {
    throw nb::value_error(sentence("%s must be aligned", name).c_str());
  }
  return array.data();
}

// Refuses an axis that has not the size that the others ask for.
template <typename AnyArray>
void expect(const AnyArray& array, const char* name, size_t axis, size_t size) {
  if (array.shape(axis) != size) {
    throw nb::value_error(sentence("axis %zu of %s is %zu, expected %zu", axis, name,
                                   static_cast<size_t>(array.shape(axis)), size)
                              .c_str());
  }
}

// Persons by slot, and how their rings stand.
struct Slots {
  const int32_t* slots;
  const int32_t* head;  // null where the operation does not need it
  const int32_t* fill;
  int64_t persons, count, frames;

  Slots(const Array<const int32_t, 1>& slots_array, const int32_t* head_cells, const int32_t* fill_cells,
        size_t count_slots, size_t ring_frames)
      : slots(numbers(slots_array, "slots")),
        head(head_cells),
        fill(fill_cells),
        persons(static_cast<int64_t>(slots_array.shape(0))),
        count(static_cast<int64_t>(count_slots)),
        frames(static_cast<int64_t>(ring_frames)) {
    for (int64_t i = 0; i < persons; ++i) check(slots[i]);
  }

  void check(int32_t slot) const {
    if (slot < 0 || slot >= count) {
      throw nb::index_error(
          sentence("slot %d is outside the window of %lld slots", slot, static_cast<long long>(count))
              .c_str());
    }
    const int32_t at = head == nullptr ? 0 : head[slot];
    if (at < 0 || at >= frames || fill[slot] < 0 || fill[slot] > frames) {
      throw nb::value_error(sentence("slot %d is damaged: head %d and fill %d of %lld frames", slot, at,
                                     fill[slot], static_cast<long long>(frames))
                                .c_str());
    }
  }

  void check_distinct() const {
    std::vector<char> seen(static_cast<size_t>(count));
    for (int64_t i = 0; i < persons; ++i) {
      if (seen[static_cast<size_t>(slots[i])]++ != 0) {
        throw nb::value_error("a slot is given twice in one push; a step holds one frame per person");
      }
    }
  }

  void check_held(const int32_t* frames_back) const {
    for (int64_t i = 0; i < persons; ++i) {
      const int32_t back = frames_back[i], held = fill[slots[i]];
      if (back < 0 || back >= held) {
        throw nb::index_error(sentence("slot %d holds %d frames, the frame %d back was asked for",
                                       slots[i], held, back)
                                  .c_str());
      }
    }
  }
};

// Refuses arrays that are not those of one window.
template <typename Stored>
void expect_one_window(const Array<Stored, 4>& keys, const Array<Stored, 4>& values,
                       const Array<float, 3>& features, const Array<int64_t, 2>& time_ns,
                       const Array<int32_t, 1>& head, const Array<int32_t, 1>& fill) {
  const size_t slots = keys.shape(0), frames = keys.shape(2);
  for (size_t axis = 0; axis < 4; ++axis) expect(values, "window_values", axis, keys.shape(axis));
  expect(features, "window_features", 0, slots);
  expect(features, "window_features", 1, frames);
  expect(time_ns, "window_time_ns", 0, slots);
  expect(time_ns, "window_time_ns", 1, frames);
  expect(head, "window_head", 0, slots);
  expect(fill, "window_fill", 0, slots);
}

}  // namespace langpose

// langpose_rt._native: the sliding window on the CPU, the C++ twin of window/reference.py, and the module
// that holds it, the step of native_step.cpp and the arithmetic of person_step.cpp.
//
// Here: the four operations, on typed arrays. nanobind refuses a wrong dtype, number of axes, layout or
// a read-only array; what it cannot know, sizes that belong together and slots that exist, is checked by
// checked_arrays.hpp. The arithmetic is in sliding_window.cuh; what the functions mean
// and give is said in reference.py; host.py calls them. They work with the GIL released. Each holds its
// arrays until it returns, but two threads must not use one window at a time.
#include <cstring>

#include "checked_arrays.hpp"
#include "keypoints.hpp"
#include "native_step.hpp"
#include "person_step.hpp"
#include "sliding_window.cuh"

namespace nb = nanobind;

// A half as NumPy stores it; unsigned short, which the arithmetic works on, would be uint16.
struct StoredHalf {
  langpose::Half bits;
};

namespace nanobind::detail {
template <>
struct dtype_traits<StoredHalf> {
  static constexpr dlpack::dtype value{static_cast<uint8_t>(dlpack::dtype_code::Float), 16, 1};
  static constexpr auto name = const_name("float16");
};
}  // namespace nanobind::detail

namespace {

using langpose::Array;
using langpose::expect;
using langpose::expect_one_window;
using langpose::numbers;
using langpose::sentence;
using langpose::Slots;

void store_row(float* to, const float* from, size_t count) {
  if (count != 0) std::memcpy(to, from, count * sizeof(float));
}

void store_row(StoredHalf* to, const float* from, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i].bits = langpose::half_from_float(from[i]);
}

// Writes `blocks` rows of `channels` numbers into one cell of a slot's ring.
template <typename Stored>
void write_cell(Stored* ring, const float* newest, size_t blocks, size_t frames, size_t channels,
                size_t cell) {
  for (size_t block = 0; block < blocks; ++block) {
    store_row(ring + (block * frames + cell) * channels, newest + block * channels, channels);
  }
}

template <typename Stored>
void push(const Array<Stored, 4>& window_keys, const Array<Stored, 4>& window_values,
          const Array<float, 3>& window_features, const Array<int64_t, 2>& window_time_ns,
          const Array<int32_t, 1>& window_head, const Array<int32_t, 1>& window_fill,
          const Array<const int32_t, 1>& slots, const Array<const float, 3>& keys,
          const Array<const float, 3>& values, const Array<const float, 2>& features,
          const Array<const int64_t, 1>& time_ns) {
  const size_t count = window_keys.shape(0), blocks = window_keys.shape(1),
               frames = window_keys.shape(2), channels = window_keys.shape(3),
               feature_channels = window_features.shape(2), persons = slots.shape(0);
  expect_one_window(window_keys, window_values, window_features, window_time_ns, window_head, window_fill);
  const size_t newest[] = {persons, blocks, channels};
  for (size_t axis = 0; axis < 3; ++axis) {
    expect(keys, "keys", axis, newest[axis]);
    expect(values, "values", axis, newest[axis]);
  }
  expect(features, "features", 0, persons);
  expect(features, "features", 1, feature_channels);
  expect(time_ns, "time_ns", 0, persons);

  Stored *ring_keys = numbers(window_keys, "window_keys"),
         *ring_values = numbers(window_values, "window_values");
  float* ring_features = numbers(window_features, "window_features");
  int64_t* ring_time_ns = numbers(window_time_ns, "window_time_ns");
  int32_t *head = numbers(window_head, "window_head"), *fill = numbers(window_fill, "window_fill");
  const float *new_keys = numbers(keys, "keys"), *new_values = numbers(values, "values"),
              *new_features = numbers(features, "features");
  const int64_t* new_time_ns = numbers(time_ns, "time_ns");
  const Slots given(slots, head, fill, count, frames);
  given.check_distinct();

  nb::gil_scoped_release released;
  const size_t ring = blocks * frames * channels;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given.slots[i]), cell = static_cast<size_t>(head[slot]);
    write_cell(ring_keys + slot * ring, new_keys + i * blocks * channels, blocks, frames, channels, cell);
    write_cell(ring_values + slot * ring, new_values + i * blocks * channels, blocks, frames, channels,
               cell);
    store_row(ring_features + (slot * frames + cell) * feature_channels,
              new_features + i * feature_channels, feature_channels);
    ring_time_ns[slot * frames + cell] = new_time_ns[i];
    head[slot] = langpose::next_cell(head[slot], static_cast<int>(frames));
    fill[slot] += fill[slot] < static_cast<int32_t>(frames) ? 1 : 0;
  }
}

void key_bias(const Array<const int64_t, 2>& window_time_ns, const Array<const int32_t, 1>& window_fill,
              const Array<const int32_t, 1>& slots, const Array<const int64_t, 1>& time_ns,
              const Array<float, 2>& bias, int64_t max_age_ns) {
  const size_t frames = window_time_ns.shape(1), persons = slots.shape(0);
  expect(window_fill, "window_fill", 0, window_time_ns.shape(0));
  expect(time_ns, "time_ns", 0, persons);
  expect(bias, "bias", 0, persons);
  expect(bias, "bias", 1, frames);
  if (max_age_ns < 0) {
    throw nb::value_error(sentence("max_age_ns must not be negative, got %lld",
                                   static_cast<long long>(max_age_ns))
                              .c_str());
  }
  const int32_t* fill = numbers(window_fill, "window_fill");
  const int64_t *then = numbers(window_time_ns, "window_time_ns"), *now = numbers(time_ns, "time_ns");
  float* out = numbers(bias, "bias");
  const Slots given(slots, nullptr, fill, window_time_ns.shape(0), frames);

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given.slots[i]);
    for (size_t cell = 0; cell < frames; ++cell) {
      out[i * frames + cell] = langpose::key_bias(static_cast<int>(cell), fill[slot], now[i],
                                                  then[slot * frames + cell], max_age_ns);
    }
  }
}

void feature_at(const Array<const float, 3>& window_features, const Array<const int32_t, 1>& window_head,
                const Array<const int32_t, 1>& window_fill, const Array<const int32_t, 1>& slots,
                const Array<const int32_t, 1>& frames_back, const Array<float, 2>& out) {
  const size_t count = window_features.shape(0), frames = window_features.shape(1),
               channels = window_features.shape(2), persons = slots.shape(0);
  expect(window_head, "window_head", 0, count);
  expect(window_fill, "window_fill", 0, count);
  expect(frames_back, "frames_back", 0, persons);
  expect(out, "out", 0, persons);
  expect(out, "out", 1, channels);
  const int32_t *head = numbers(window_head, "window_head"), *fill = numbers(window_fill, "window_fill"),
                *back = numbers(frames_back, "frames_back");
  const float* features = numbers(window_features, "window_features");
  float* found = numbers(out, "out");
  const Slots given(slots, head, fill, count, frames);
  given.check_held(back);

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given.slots[i]);
    const int cell = langpose::cell_back(head[slot], back[i], static_cast<int>(frames));
    store_row(found + i * channels, features + (slot * frames + static_cast<size_t>(cell)) * channels,
              channels);
  }
}

// Zeroes the first `used` cells of every block; the others have been zero since the last reset.
template <typename T>
void clear(T* ring, size_t slot, size_t blocks, size_t frames, size_t channels, size_t used) {
  if (used * channels == 0) return;
  for (size_t block = 0; block < blocks; ++block) {
    std::memset(ring + (slot * blocks + block) * frames * channels, 0, used * channels * sizeof(T));
  }
}

template <typename Stored>
void reset(const Array<Stored, 4>& window_keys, const Array<Stored, 4>& window_values,
           const Array<float, 3>& window_features, const Array<int64_t, 2>& window_time_ns,
           const Array<int32_t, 1>& window_head, const Array<int32_t, 1>& window_fill,
           const Array<const int32_t, 1>& slots) {
  const size_t count = window_keys.shape(0), blocks = window_keys.shape(1),
               frames = window_keys.shape(2), channels = window_keys.shape(3);
  expect_one_window(window_keys, window_values, window_features, window_time_ns, window_head, window_fill);
  Stored *keys = numbers(window_keys, "window_keys"), *values = numbers(window_values, "window_values");
  float* features = numbers(window_features, "window_features");
  int64_t* time_ns = numbers(window_time_ns, "window_time_ns");
  int32_t *head = numbers(window_head, "window_head"), *fill = numbers(window_fill, "window_fill");
  const Slots given(slots, head, fill, count, frames);

  nb::gil_scoped_release released;
  for (int64_t i = 0; i < given.persons; ++i) {
    const auto slot = static_cast<size_t>(given.slots[i]), used = static_cast<size_t>(fill[slot]);
    clear(keys, slot, blocks, frames, channels, used);
    clear(values, slot, blocks, frames, channels, used);
    clear(features, slot, 1, frames, window_features.shape(2), used);
    clear(time_ns, slot, 1, frames, 1, used);
    head[slot] = fill[slot] = 0;
  }
}

}  // namespace

NB_MODULE(_native, module) {
  nb::set_leak_warnings(false);  // a server may end with its backend open, and owes nobody a report
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  module.doc() = "C++ for langpose_rt.window.native, runtime.native, pipeline.native_geometry and protocol.detections; called by nobody else.";
  module.attr("SOURCES") = LANGPOSE_SOURCES;
  const auto both = [&module, &array](auto push_frames, auto forget) {
    module.def("push", push_frames, array("window_keys"), array("window_values"),
               array("window_features"), array("window_time_ns"), array("window_head"),
               array("window_fill"), array("slots"), array("keys"), array("values"), array("features"),
               array("time_ns"), "Write the newest frame of every given person.");
    module.def("reset", forget, array("window_keys"), array("window_values"), array("window_features"),
               array("window_time_ns"), array("window_head"), array("window_fill"), array("slots"),
               "Forget persons.");
  };
  both(push<float>, reset<float>);
  both(push<StoredHalf>, reset<StoredHalf>);
  module.def("key_bias", key_bias, array("window_time_ns"), array("window_fill"), array("slots"),
             array("time_ns"), array("bias"), nb::arg("max_age_ns"), "Fill the bias of the cached keys.");
  module.def("feature_at", feature_at, array("window_features"), array("window_head"),
             array("window_fill"), array("slots"), array("frames_back"), array("out"),
             "Copy the features of earlier frames.");
  langpose::bind_frame_step(module);
  langpose::bind_person_step(module);
  langpose::bind_keypoints(module);
}

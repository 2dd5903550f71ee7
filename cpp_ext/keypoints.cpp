// Keypoints as a rig sent them: missing joints and impossible numbers.
//
// The definition is the NumPy function clean_keypoints_numpy of protocol/detections.py; tests/protocol/test_detections.py
// compares them bit for bit. The GIL is kept: a frame takes a microsecond.
#include "keypoints.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "checked_arrays.hpp"

namespace langpose {
namespace {

// Copies people with what is missing or impossible made (0, 0, 0); returns how many joints were impossible.
size_t clean_keypoints(const Array<const float, 3>& keypoints, float width, float height, bool fractions,
                       float most_image_sizes, const Array<float, 3>& clean) {
  constexpr float kAnyFloat = std::numeric_limits<float>::max();
  const size_t persons = keypoints.shape(0), joints = keypoints.shape(1);
  expect(keypoints, "keypoints", 2, 3);
  expect(clean, "clean", 0, persons);
  expect(clean, "clean", 1, joints);
  expect(clean, "clean", 2, 3);
  const float most_x = most_image_sizes * (fractions ? 1.0F : width);
  const float most_y = most_image_sizes * (fractions ? 1.0F : height);
  const float scale_x = fractions ? width : 1.0F, scale_y = fractions ? height : 1.0F;
  const float* given = numbers(keypoints, "keypoints");
  float* out = numbers(clean, "clean");
  size_t impossible = 0;
  for (size_t i = 0; i < persons * joints; ++i, given += 3, out += 3) {
    const float x = given[0], y = given[1], score = given[2];
    // A comparison with NaN is false: NaN is missing, and not impossible.
    const bool seen = std::abs(x) <= most_x && std::abs(y) <= most_y && score > 0 && score <= kAnyFloat &&
                      (x != 0 || y != 0);
    impossible += std::abs(x) > most_x || std::abs(y) > most_y || std::abs(score) > kAnyFloat ? 1 : 0;
    out[0] = seen ? x * scale_x : 0.0F;
    out[1] = seen ? y * scale_y : 0.0F;
    out[2] = seen ? std::min(score, 1.0F) : 0.0F;
  }
  return impossible;
}

}  // namespace

void bind_keypoints(nb::module_& module) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  module.def("clean_keypoints", clean_keypoints, array("keypoints"), nb::arg("width"), nb::arg("height"),
             nb::arg("fractions"), nb::arg("most_image_sizes"), array("clean"),
             "Copy people with missing and impossible joints at zero; return the count of the latter.");
}

}  // namespace langpose

// Declares what keypoints.cpp adds to the module.
#pragma once
#include <nanobind/nanobind.h>

namespace langpose {

// Adds clean_keypoints.
void bind_keypoints(nanobind::module_& module);

}  // namespace langpose

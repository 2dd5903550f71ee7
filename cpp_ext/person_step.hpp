// Declares what person_step.cpp adds to the module.
#pragma once
#include <nanobind/nanobind.h>

namespace langpose {

// Adds pixel_to_ray, anchor_step, root_from_pose, refine, smooth and steady_bones.
void bind_person_step(nanobind::module_& module);

}  // namespace langpose

// Declares what native_step.cpp adds to the module.
#pragma once
#include <nanobind/nanobind.h>

namespace langpose {

// Adds FrameStep and INSTRUCTION_SETS.
void bind_frame_step(nanobind::module_& module);

}  // namespace langpose

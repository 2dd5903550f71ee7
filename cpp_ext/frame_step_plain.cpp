// The step for any processor, through the vector types of GCC and Clang.
#include "frame_step.hpp"

#if defined(__GNUC__)
#include "frame_step_kernels.hpp"

const langpose::Kernels* langpose::plain_kernels() {
  static constexpr Kernels kernels{"plain", kPanel, kReadsHalf, scratch_floats, encode, lift};
  return &kernels;
}
#else
const langpose::Kernels* langpose::plain_kernels() { return nullptr; }
#endif

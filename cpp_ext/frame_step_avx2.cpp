// The step for processors with AVX2, FMA and F16C; setup.py asks the compiler for them.
#include "frame_step.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "frame_step_kernels.hpp"

const langpose::Kernels* langpose::avx2_kernels() {
  static constexpr Kernels kernels{"AVX2", kPanel, kReadsHalf, scratch_floats, encode, lift};
  return &kernels;
}
#else
const langpose::Kernels* langpose::avx2_kernels() { return nullptr; }
#endif

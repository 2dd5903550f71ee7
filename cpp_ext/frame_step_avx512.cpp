// The step for processors with AVX-512; setup.py asks the compiler for it.
#include "frame_step.hpp"

#if defined(__AVX512F__)
#include "frame_step_kernels.hpp"

const langpose::Kernels* langpose::avx512_kernels() {
  static constexpr Kernels kernels{"AVX-512", kPanel, kReadsHalf, scratch_floats, encode, lift};
  return &kernels;
}
#else
const langpose::Kernels* langpose::avx512_kernels() { return nullptr; }
#endif

// The arithmetic of the sliding window, written once for the CUDA kernels and the C++ twin.
//
// Here: which cell, whether it is seen, what a number is stored as. No memory is touched and nothing
// is launched. langpose_rt/window/reference.py defines what each function must give.
// Only built-in types and no includes that NVRTC lacks, so that it compiles at run time as well.
#pragma once

#if defined(__CUDACC__)
#define LANGPOSE_BOTH __host__ __device__ __forceinline__
#else
#include <cstring>
#define LANGPOSE_BOTH inline
#endif

namespace langpose {

using Half = unsigned short;  // the bits of an IEEE binary16

constexpr float kMasked = -30000.0f;  // finite in half; exp() of it is 0
constexpr float kHalfMax = 65504.0f;  // larger values are stored as this: 0 x inf is no pose

// The cell after `cell`.
LANGPOSE_BOTH int next_cell(int cell, int frames) { return cell + 1 == frames ? 0 : cell + 1; }

// The cell written `back` pushes before the newest; 0 <= back < frames.
LANGPOSE_BOTH int cell_back(int head, int back, int frames) {
  const int cell = head - 1 - back;
  return cell < 0 ? cell + frames : cell;
}

// `back`, held inside what a ring of `fill` frames has, so that no input can read outside it.
LANGPOSE_BOTH int clamp_back(int back, int fill) {
  const int oldest = fill > 0 ? fill - 1 : 0;
  return back < 0 ? 0 : (back > oldest ? oldest : back);
}

// Whether a frame of `then_ns` is at most `max_age_ns` (>= 0) old at `now_ns`, and not from the future.
// Unsigned: the difference of any two int64 in this order fits, that of signed ones may not.
LANGPOSE_BOTH bool is_seen(long long now_ns, long long then_ns, long long max_age_ns) {
  return then_ns <= now_ns && static_cast<unsigned long long>(now_ns) -
                                      static_cast<unsigned long long>(then_ns) <=
                                  static_cast<unsigned long long>(max_age_ns);
}

// What to add to the logit of the key in `cell`. After a reset cells are used from 0 on, so that
// cell < fill says which cells hold a frame.
LANGPOSE_BOTH float key_bias(int cell, int fill, long long now_ns, long long then_ns,
                             long long max_age_ns) {
  return cell < fill && is_seen(now_ns, then_ns, max_age_ns) ? 0.0f : kMasked;
}

#if defined(__CUDA_ARCH__)

LANGPOSE_BOTH Half half_from_float(float value) {
  // fminf and fmaxf would turn NaN into a number; the comparisons keep it.
  value = value > kHalfMax ? kHalfMax : value;
  value = value < -kHalfMax ? -kHalfMax : value;
  Half bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

#else

// Nearest half, ties to even, saturated at kHalfMax; NaN stays NaN. Equals cvt.rn on the device.
LANGPOSE_BOTH Half half_from_float(float value) {
  unsigned int bits;
  memcpy(&bits, &value, sizeof bits);
  const unsigned int sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  unsigned int half;
  if (size > 0x7f800000u) {
    half = 0x7e00u;
  } else if (size >= 0x477fe000u) {  // kHalfMax
    half = 0x7bffu;
  } else if (size >= 0x38800000u) {  // the smallest normal half: move the exponent, round 13 bits away
    const unsigned int moved = size - 0x38000000u;
    half = (moved + 0xfffu + (moved >> 13 & 1u)) >> 13;
  } else {  // one unit of 0.5f is the smallest half: let the addition round
    float shifted;
    memcpy(&shifted, &size, sizeof shifted);
    shifted += 0.5f;
    memcpy(&half, &shifted, sizeof half);
    half -= 0x3f000000u;
  }
  return static_cast<Half>(sign | half);
}

#endif

// A number as a ring of type Stored holds it.
template <typename Stored>
LANGPOSE_BOTH Stored stored(float value);
template <>
LANGPOSE_BOTH float stored<float>(float value) {
  return value;
}
template <>
LANGPOSE_BOTH Half stored<Half>(float value) {
  return half_from_float(value);
}

}  // namespace langpose

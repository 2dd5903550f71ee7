// One vector of float32 numbers as the instruction set of this translation unit has it, and the few
// functions that a step needs of it.
//
// Here: loads, sums and elementary functions, for AVX-512, for AVX2 with FMA and F16C, and for any other
// processor through the vector types of GCC and Clang. Everything is in an unnamed namespace and nothing
// of the standard library is instantiated: code compiled for AVX-512 must never be the copy that a
// linker picks for another translation unit.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace langpose {
namespace {

#if defined(__AVX512F__)

using Vec = __m512;
using IntVec = __m512i;
constexpr int kLanes = 16, kRegisters = 32;
constexpr bool kReadsHalf = true;

inline Vec load(const float* from) { return _mm512_loadu_ps(from); }
inline Vec load(const uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline void store(float* to, Vec value) { _mm512_storeu_ps(to, value); }
inline Vec all(float value) { return _mm512_set1_ps(value); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec least(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec greatest(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec power_of_two(Vec shifted) {
  const IntVec bits = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 23));
}
inline float sum(Vec v) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v),
                                    _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest(Vec v) { return _mm512_reduce_max_ps(v); }

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

using Vec = __m256;
using IntVec = __m256i;
constexpr int kLanes = 8, kRegisters = 16;
constexpr bool kReadsHalf = true;

inline Vec load(const float* from) { return _mm256_loadu_ps(from); }
inline Vec load(const uint16_t* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline void store(float* to, Vec value) { _mm256_storeu_ps(to, value); }
inline Vec all(float value) { return _mm256_set1_ps(value); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec least(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec greatest(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec power_of_two(Vec shifted) {
  const IntVec bits = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
}
inline float sum(Vec v) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest(Vec v) {
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

#else

using Vec = float __attribute__((vector_size(16)));
using IntVec = int32_t __attribute__((vector_size(16)));
constexpr int kLanes = 4, kRegisters = 16;
constexpr bool kReadsHalf = false;  // widening by integers costs more than reading twice the bytes

inline Vec load(const float* from) {
  Vec value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store(float* to, Vec value) { std::memcpy(to, &value, sizeof value); }
inline Vec all(float value) { return Vec{value, value, value, value}; }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec least(Vec a, Vec b) { return a < b ? a : b; }
inline Vec greatest(Vec a, Vec b) { return a > b ? a : b; }
inline Vec power_of_two(Vec shifted) {
  const IntVec bits = (reinterpret_cast<IntVec>(shifted) + 127) << 23;
  return reinterpret_cast<Vec>(bits);
}
inline float sum(Vec v) { return (v[0] + v[2]) + (v[1] + v[3]); }
inline float largest(Vec v) {
  const float first = v[0] > v[1] ? v[0] : v[1], second = v[2] > v[3] ? v[2] : v[3];
  return first > second ? first : second;
}

#endif

// e^x within 3e-7 of its size; below -87 it is that of -87, which no float32 sum with a 1 in it sees.
// Source: ours; range reduction by Cody and Waite, a polynomial through Chebyshev nodes.
inline Vec exponential(Vec x) {
  x = least(greatest(x, all(-87.0f)), all(88.0f));
  const Vec magic = all(12582912.0f);  // 1.5 x 2^23: the sum has the nearest integer in its last bits
  const Vec shifted = fma(x, all(1.44269504f), magic), turns = shifted - magic;
  Vec r = fma(turns, all(-0.693359375f), x);
  r = fma(turns, all(2.12194440e-4f), r);
  Vec p = fma(all(0.00139411166f), r, all(0.00837513246f));
  p = fma(p, r, all(0.0416663513f));
  p = fma(p, r, all(0.166664153f));
  p = fma(p, r, all(0.5f));
  p = fma(p, r, all(1.0f));
  p = fma(p, r, all(1.0f));
  return p * power_of_two(shifted);
}

// x Phi(x), the exact GELU, within 3e-7 of the larger of |x| and 1.
// Source: ours; a rational in x^2 fitted to Phi(x) - 1/2 over |x| <= 5.6, worst error 3e-8.
inline Vec gelu(Vec x) {
  const Vec near = least(greatest(x, all(-5.6f)), all(5.6f)), t = near * near;
  Vec p = fma(all(2.17087219e-8f), t, all(6.59028001e-6f));
  p = fma(p, t, all(1.90156294e-4f));
  p = fma(p, t, all(0.00480543915f));
  p = fma(p, t, all(0.0358475931f));
  p = fma(p, t, all(0.398941904f));
  Vec q = fma(all(1.18507455e-6f), t, all(8.10094207e-5f));
  q = fma(q, t, all(0.00200337102f));
  q = fma(q, t, all(0.0298041720f));
  q = fma(q, t, all(0.256519347f));
  q = fma(q, t, all(1.0f));
  return x * fma(near, p / q, all(0.5f));
}

// Within 2e-7.
inline Vec hyperbolic_tangent(Vec x) {
  return all(1.0f) - all(2.0f) / (exponential(x + x) + all(1.0f));
}

}  // namespace
}  // namespace langpose

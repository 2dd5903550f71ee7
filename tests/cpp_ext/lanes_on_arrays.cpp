// The elementary functions of lanes.hpp over arrays, for the instruction set that this file is compiled for.
#include "lanes.hpp"

using namespace langpose;

template <typename Function>
static void over(float* to, const float* from, int count, Function function) {
  for (int i = 0; i < count; i += kLanes) store(to + i, function(load(from + i)));
}

extern "C" int lanes() { return kLanes; }
extern "C" void exponentials(float* to, const float* from, int count) {
  over(to, from, count, [](Vec x) { return exponential(x); });
}
extern "C" void gelus(float* to, const float* from, int count) {
  over(to, from, count, [](Vec x) { return gelu(x); });
}
extern "C" void tangents(float* to, const float* from, int count) {
  over(to, from, count, [](Vec x) { return hyperbolic_tangent(x); });
}
extern "C" float sum_of(const float* from) { return sum(load(from)); }
extern "C" float largest_of(const float* from) { return largest(load(from)); }

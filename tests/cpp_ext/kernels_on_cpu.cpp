// Runs the CUDA kernels on the CPU: just enough of CUDA's language for sliding_window.cu to compile with
// a C++ compiler, every CUDA thread a real thread, all blocks at once. What it shows is that indices,
// padding and the order within a block are right; it shows nothing about speed or about nvcc.
#include <barrier>
#include <cmath>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
static thread_local Index threadIdx, blockIdx, blockDim, gridDim;
static thread_local std::barrier<>* threads_of_block;

[[maybe_unused]] static void __syncthreads() { threads_of_block->arrive_and_wait(); }

[[maybe_unused]] static double cospi(double half_turns) { return std::cos(3.141592653589793 * half_turns); }
[[maybe_unused]] static double sinpi(double half_turns) { return std::sin(3.141592653589793 * half_turns); }

#include "sliding_window.cu"

template <typename... Args, std::size_t... I>
static void call(void (*kernel)(Args...), void** args, std::index_sequence<I...>) {
  kernel(*static_cast<Args*>(args[I])...);
}

// As cuLaunchKernel: `args` points at every argument.
template <typename... Args>
static void launch(void (*kernel)(Args...), Index grid, unsigned block_size, void** args) {
  if (block_size == 1) {  // blocks wait for nobody: one after the other, without threads
    std::barrier<> alone(1);
    for (unsigned block = 0; block < grid.x * grid.y; ++block) {
      threadIdx = {0, 0, 0};
      blockIdx = {block % grid.x, block / grid.x, 0};
      blockDim = {1, 1, 1};
      gridDim = grid;
      threads_of_block = &alone;
      call(kernel, args, std::index_sequence_for<Args...>());
    }
    return;
  }
  std::vector<std::barrier<>*> barriers;
  std::vector<std::thread> threads;
  for (unsigned block = 0; block < grid.x * grid.y; ++block) {
    barriers.push_back(new std::barrier<>(block_size));
    for (unsigned thread = 0; thread < block_size; ++thread) {
      threads.emplace_back([=, barrier = barriers.back()] {
        threadIdx = {thread, 0, 0};
        blockIdx = {block % grid.x, block / grid.x, 0};
        blockDim = {block_size, 1, 1};
        gridDim = grid;
        threads_of_block = barrier;
        call(kernel, args, std::index_sequence_for<Args...>());
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (std::barrier<>* barrier : barriers) delete barrier;
}

// Returns 0 if there is no kernel of that name.
extern "C" int launch_on_cpu(const char* name, unsigned chunks, unsigned persons, unsigned block_size,
                             void** args) {
#define LAUNCH(kernel) \
  if (std::string(name) == #kernel) return launch(kernel, {chunks, persons, 1}, block_size, args), 1;
  LAUNCH(window_push_float)
  LAUNCH(window_push_half)
  LAUNCH(window_reset_float)
  LAUNCH(window_reset_half)
  LAUNCH(window_look_float)
  LAUNCH(window_look_half)
  LAUNCH(window_feature_at)
#undef LAUNCH
  return 0;
}

// The arithmetic by itself, on arrays.
extern "C" void halves_from_floats(langpose::Half* out, const float* in, int count) {
  for (int i = 0; i < count; ++i) out[i] = langpose::half_from_float(in[i]);
}
extern "C" int is_seen(long long now_ns, long long then_ns, long long max_age_ns) {
  return langpose::is_seen(now_ns, then_ns, max_age_ns);
}
extern "C" int cell_back(int head, int back, int frames) {
  return langpose::cell_back(head, back, frames);
}
extern "C" int next_cell(int cell, int frames) { return langpose::next_cell(cell, frames); }

// The sliding window as CUDA kernels: one launch serves many persons whose rings stand at different
// cells. Slot indices go in, nothing that is already in a ring is moved.
//
// Here: the kernels, extern "C", to be loaded as cubin, fat binary or through NVRTC. Their arithmetic is
// in sliding_window.cuh; langpose_rt/window/reference.py defines what they must give. Launching them,
// streams and graphs belong to the caller.
//
// Layout, C order, as in langpose_rt.window.reference.Window:
//   keys, values  Stored  [slot][block][frame][channel]     features  float  [slot][frame][channel_f]
//   time_ns       int64   [slot][frame]                     head, fill  int  [slot]
// Preconditions: base addresses are multiples of 16 bytes; no slot twice in one push; 0 <= slot
// < slots, or slot < 0 for a padded row of a step captured for a larger batch: it changes no ring, is
// masked everywhere and reads as zeros.
//
// Grids: push (1, persons); reset, look and feature_at (chunks, persons), any number of chunks, because
// threads stride over the work; kThreads threads a block. One block pushes the frame of one person: it
// may move `head` on as soon as all its threads have read it.
//
// Floor of push, in bytes of memory traffic for one person:
//   read   4 x (2 x blocks x channels + channel_f) + 8 (time) + 4 (slot) + 8 (head, fill)
//   write  sizeof(Stored) x 2 x blocks x channels + 4 x channel_f + 8 (time) + 8 (head, fill)
// With B blocks x C channels in half that is 12 B C + 8 channel_f bytes and a few more: 5 blocks of one
// 128-wide token 7.7 kB, 10 blocks of 17 such tokens 261 kB. look, all a step needs of the past in one launch,
// copies 2 x blocks x frames x channels x sizeof(Stored) bytes a person, read and written: a network wants
// its batch in one piece. Computed, not measured: at 4 TB/s such pushes of
// 64 persons (0.5 and 16.7 MB) take 0.1 and 4.2 us, beside about 2 us for the launch.
#include "sliding_window.cuh"

namespace langpose {

constexpr int kThreads = 256;

// N numbers that are loaded or stored by one instruction.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

template <typename T, int N>
__device__ __forceinline__ Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <typename Out, int N>
__device__ __forceinline__ void store(Out* to, const Pack<float, N>& numbers) {
  Pack<Out, N> out;
#pragma unroll
  for (int k = 0; k < N; ++k) out.at[k] = stored<Out>(numbers.at[k]);
  *reinterpret_cast<Pack<Out, N>*>(to) = out;
}

__device__ __forceinline__ int first_item() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int item_stride() { return gridDim.x * blockDim.x; }

// Neighbouring threads take neighbouring packs of one frame: loads and stores are coalesced.
template <typename Stored, int N>
__device__ __forceinline__ void write_cell(Stored* ring, const float* newest, int blocks, int frames,
                                           int channels, int cell) {
  const int packs = channels / N;
  for (int i = first_item(); i < blocks * packs; i += item_stride()) {
    const int block = i / packs, channel = i % packs * N;
    const long long to = (static_cast<long long>(block) * frames + cell) * channels + channel;
    store<Stored, N>(ring + to, load<float, N>(newest + static_cast<long long>(i) * N));
  }
}

template <typename Stored>
__device__ __forceinline__ void write_any(Stored* ring, const float* newest, int blocks, int frames,
                                          int channels, int cell) {
  if (channels % 4 == 0) {
    write_cell<Stored, 4>(ring, newest, blocks, frames, channels, cell);
  } else {
    write_cell<Stored, 1>(ring, newest, blocks, frames, channels, cell);
  }
}

template <typename Stored>
__device__ __forceinline__ void push(Stored* keys, Stored* values, float* features, long long* time_ns,
                                     int* head, int* fill, const int* slots,
                                     const float* new_keys, const float* new_values,
                                     const float* new_features, const long long* new_time_ns,
                                     int blocks, int frames, int channels, int feature_channels) {
  const long long person = blockIdx.y;
  const int slot = slots[person];
  if (slot < 0) return;
  const int cell = head[slot];
  const long long ring = static_cast<long long>(slot) * blocks * frames * channels;
  const long long newest = person * blocks * channels;
  write_any(keys + ring, new_keys + newest, blocks, frames, channels, cell);
  write_any(values + ring, new_values + newest, blocks, frames, channels, cell);
  write_any(features + static_cast<long long>(slot) * frames * feature_channels,
            new_features + person * feature_channels, 1, frames, feature_channels, cell);
  __syncthreads();
  if (threadIdx.x == 0) {
    time_ns[static_cast<long long>(slot) * frames + cell] = new_time_ns[person];
    head[slot] = next_cell(cell, frames);
    if (fill[slot] < frames) fill[slot] += 1;
  }
}

template <typename T>
__device__ __forceinline__ void clear(T* from, long long count) {
  for (long long i = first_item(); i < count; i += item_stride()) from[i] = T(0);
}

template <typename Stored>
__device__ __forceinline__ void reset(Stored* keys, Stored* values, float* features, long long* time_ns,
                                      int* head, int* fill, const int* slots, int blocks, int frames,
                                      int channels, int feature_channels) {
  const long long slot = slots[blockIdx.y];
  if (slot < 0) return;
  const long long size = static_cast<long long>(blocks) * frames * channels;
  clear(keys + slot * size, size);
  clear(values + slot * size, size);
  clear(features + slot * frames * feature_channels, static_cast<long long>(frames) * feature_channels);
  clear(time_ns + slot * frames, frames);
  if (first_item() == 0) head[slot] = fill[slot] = 0;
}

// Both rings of a person into row `person` of a batch, as they are: cells in ring order.
template <typename Stored, int N>
__device__ __forceinline__ void copy_packs(Stored* out, const Stored* ring, long long count) {
  const long long stride = static_cast<long long>(item_stride()) * N;
  for (long long i = static_cast<long long>(first_item()) * N; i < count; i += stride) {
    *reinterpret_cast<Pack<Stored, N>*>(out + i) = load<Stored, N>(ring + i);
  }
}

template <typename Stored>
__device__ __forceinline__ void copy_ring(Stored* out, const Stored* ring, long long count) {
  constexpr int kPack = 16 / sizeof(Stored);
  if (count % kPack == 0) {
    copy_packs<Stored, kPack>(out, ring, count);
  } else {
    copy_packs<Stored, 1>(out, ring, count);
  }
}

// Half turns of a period. The time is reduced to one period in whole nanoseconds first, as
// langpose_rt.window.rotary does: floored, so that a negative time turns the same way.
__device__ __forceinline__ double half_turns(long long time_ns, long long period_ns) {
  long long rest = time_ns % period_ns;
  if (rest < 0) rest += period_ns;
  return 2.0 * static_cast<double>(rest) / static_cast<double>(period_ns);
}

template <typename Stored>
__device__ __forceinline__ void look(Stored* out_keys, Stored* out_values, float* bias, float* cosine,
                                     float* sine, const Stored* keys, const Stored* values,
                                     const long long* time_ns, const int* fill, const int* slots,
                                     const long long* now_ns, const long long* periods_ns, int blocks,
                                     int frames, int channels, int periods, long long max_age_ns) {
  const long long person = blockIdx.y, size = static_cast<long long>(blocks) * frames * channels;
  const long long slot = slots[person], now = now_ns[person];
  if (slot < 0) {
    clear(out_keys + person * size, size);
    clear(out_values + person * size, size);
  } else {
    copy_ring(out_keys + person * size, keys + slot * size, size);
    copy_ring(out_values + person * size, values + slot * size, size);
  }
  for (int i = first_item(); i < frames; i += item_stride()) {
    bias[person * frames + i] =
        slot < 0 ? kMasked : key_bias(i, fill[slot], now, time_ns[slot * frames + i], max_age_ns);
  }
  for (int i = first_item(); i < periods; i += item_stride()) {
    const double turns = half_turns(now, periods_ns[i]);
    cosine[person * periods + i] = static_cast<float>(cospi(turns));
    sine[person * periods + i] = static_cast<float>(sinpi(turns));
  }
}

}  // namespace langpose

// The arguments of push and reset, spelled once for both precisions.
#define LANGPOSE_KERNEL extern "C" __global__ void __launch_bounds__(langpose::kThreads)
#define LANGPOSE_DEFINE(Stored, suffix)                                                                \
  LANGPOSE_KERNEL window_push_##suffix(                                                                \
      Stored* keys, Stored* values, float* features, long long* time_ns, int* head, int* fill,         \
      const int* slots, const float* new_keys, const float* new_values,                                \
      const float* new_features, const long long* new_time_ns, int blocks, int frames, int channels,   \
      int feature_channels) {                                                                          \
    langpose::push(keys, values, features, time_ns, head, fill, slots, new_keys, new_values,           \
                   new_features, new_time_ns, blocks, frames, channels, feature_channels);             \
  }                                                                                                    \
  LANGPOSE_KERNEL window_reset_##suffix(Stored* keys, Stored* values, float* features,                 \
                                        long long* time_ns, int* head, int* fill, const int* slots,    \
                                        int blocks, int frames, int channels, int feature_channels) {  \
    langpose::reset(keys, values, features, time_ns, head, fill, slots, blocks, frames, channels,      \
                    feature_channels);                                                                 \
  }                                                                                                    \
  LANGPOSE_KERNEL window_look_##suffix(                                                                \
      Stored* out_keys, Stored* out_values, float* bias, float* cosine, float* sine,                   \
      const Stored* keys, const Stored* values, const long long* time_ns, const int* fill,             \
      const int* slots, const long long* now_ns, const long long* periods_ns, int blocks, int frames,  \
      int channels, int periods, long long max_age_ns) {                                               \
    langpose::look(out_keys, out_values, bias, cosine, sine, keys, values, time_ns, fill, slots,       \
                   now_ns, periods_ns, blocks, frames, channels, periods, max_age_ns);                 \
  }

LANGPOSE_DEFINE(float, float)
LANGPOSE_DEFINE(langpose::Half, half)

// out [person][channel_f]: the frame `frames_back` before the newest; beyond the ring, its oldest frame.
LANGPOSE_KERNEL window_feature_at(float* out, const float* features, const int* head, const int* fill,
                                  const int* slots, const int* frames_back, int frames,
                                  int feature_channels) {
  const long long person = blockIdx.y, slot = slots[person];
  long long from = 0;
  if (slot >= 0) {
    const int back = langpose::clamp_back(frames_back[person], fill[slot]);
    const int cell = langpose::cell_back(head[slot], back, frames);
    from = (slot * frames + cell) * feature_channels;
  }
  for (int i = langpose::first_item(); i < feature_channels; i += langpose::item_stride()) {
    out[person * feature_channels + i] = slot < 0 ? 0.0f : features[from + i];
  }
}

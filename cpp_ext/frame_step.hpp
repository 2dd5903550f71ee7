// The step of a model with one token a frame, as plain data: sizes, weights, rings and a batch.
//
// Here: what the translation units share. Each of them compiles frame_step_kernels.hpp for one
// instruction set and gives its functions as Kernels; native_step.cpp owns the memory, checks what comes
// from Python and chooses. The arithmetic is that of langpose_rt/model: encoder.py, blocks.py, mirror.py,
// bone_input.py and lifter.py define it.
#pragma once
#include <cstdint>

namespace langpose {

constexpr int kJoints = 17, kRowChannels = 3, kLagChannels = 8;
constexpr int kPoseChannels = 4 * kJoints;  // of the lifter: x, y, z of every joint, then log sigma

// Weights in panels: the outputs in groups of Kernels::panel, the numbers of a group that belong to one
// input side by side. Outputs are filled up with zeros to whole panels.
struct Linear {
  const void* panels;  // uint16_t (the bits of halves) or float
  bool half;
  const float* bias;
  int inputs, outputs;
};

struct Norm {
  const float *scale, *shift;
};

// One layer: attention over time and an MLP, both residual.
struct Layer {
  Norm norm, mlp_norm;
  Linear query_key_value, out, up, down;
};

struct Model {
  int sides, width, heads, window, representation, embedding, hidden, depth;
  int64_t max_age_ns;
  const int64_t* periods_ns;  // [width / heads / 2]

  const int32_t* opposite;  // [joint], what a mirror shows in its place
  int extras;                  // frame inputs
  const int32_t* extra_order;  // [extra], what a mirror shows in its place
  const float* extra_sign;     // [extra], and with which sign
  int bones;                // pairs of joints that are input too; 0 without
  const int32_t* bone_joints;  // [bone][2]
  const float* bone_lengths_m;

  Linear embed, embed_up, embed_down;
  const Layer* layers;
  Norm norm;
  Linear to_representation, to_embedding;
  Linear lifter_hidden, lifter_pose;

  int head_channels() const { return width / heads; }
  int inputs() const { return kJoints * kRowChannels + extras + 4 * bones; }
};

// The rings of all slots, as langpose_rt.window.reference.Window has them, with one token a frame and the
// sides of a block side by side.
struct Rings {
  float *keys, *values;  // [slot][block][frame][width]
  float* features;       // [slot][frame][side][representation]
  int64_t* time_ns;      // [slot][frame]
  int32_t *head, *fill;  // [slot]
};

struct EncoderBatch {
  int persons;
  const int32_t* slots;
  const int64_t* time_ns;
  const float *rows, *extras;  // [person][joint][3], [person][extra]
  float* embeddings;           // [person][embedding]
};

struct LifterBatch {
  int persons;
  const int32_t *slots, *frames_back;
  const float* lag_s;
  float *poses, *sigmas;  // [person][joint][3], [person][joint]
};

// Persons computed at once: their numbers stay in the second cache, and the weights are read again for
// the next ones.
constexpr int kPersonsAtOnce = 32;

struct Kernels {
  const char* name;
  int panel;  // outputs of one panel of weights
  bool reads_half;
  // Floats that a step of this model writes between its parts; 64 bytes aligned.
  int64_t (*scratch_floats)(const Model&);
  // One frame of at most kPersonsAtOnce distinct persons: into the rings, and its embeddings.
  void (*encode)(const Model&, const Rings&, const EncoderBatch&, float* scratch);
  // Poses of frames that are in the rings.
  void (*lift)(const Model&, const Rings&, const LifterBatch&, float* scratch);
};

// Null where the compiler was not asked for the instruction set.
const Kernels* plain_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();

}  // namespace langpose

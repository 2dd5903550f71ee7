// The step itself, compiled once per instruction set: include this in a translation unit of its own.
//
// Every number of a person is summed in an order that depends on nothing but the model and that person's
// ring: a product walks its inputs one after the other whatever rows are computed beside it. So a pose
// is the same, bit for bit, alone and in company.
#include <cmath>

#include "frame_step.hpp"
#include "lanes.hpp"
#include "products.hpp"
#include "sliding_window.cuh"

namespace langpose {
namespace {

// Floats from one row of numbers to the next: whole panels, and a cache line more, so that rows do not
// meet in one set of the cache.
constexpr int stride(int channels) { return (channels + 31) / 32 * 32 + 16; }

// ------------------------------------------------------------------------------- number by number

template <typename Function>
void apply(const Matrix& x, int rows, int channels, Function function) {
  for (int row = 0; row < rows; ++row) {
    float* numbers = x.row(row);
    for (int i = 0; i < channels; i += kLanes) store(numbers + i, function(load(numbers + i)));
  }
}

void apply_gelu(const Matrix& x, int rows, int channels) {
  apply(x, rows, channels, [](Vec value) { return gelu(value); });
}

void apply_tanh(const Matrix& x, int rows, int channels) {
  apply(x, rows, channels, [](Vec value) { return hyperbolic_tangent(value); });
}

void add(const Matrix& to, const Matrix& from, int rows, int channels) {
  for (int row = 0; row < rows; ++row) {
    float *sum_row = to.row(row), *other = from.row(row);
    for (int i = 0; i < channels; i += kLanes) store(sum_row + i, load(sum_row + i) + load(other + i));
  }
}

void normalize_row(const Norm& norm, const float* x, int channels, float* out) {
  const int whole = channels / kLanes * kLanes;
  Vec sums = all(0.0f);
  for (int i = 0; i < whole; i += kLanes) sums = sums + load(x + i);
  float total = sum(sums);
  for (int i = whole; i < channels; ++i) total += x[i];
  const float mean = total / static_cast<float>(channels);
  Vec squares = all(0.0f);
  for (int i = 0; i < whole; i += kLanes) {
    const Vec off = load(x + i) - all(mean);
    squares = fma(off, off, squares);
  }
  float square = sum(squares);
  for (int i = whole; i < channels; ++i) square += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / std::sqrt(square / static_cast<float>(channels) + 1e-6f);
  for (int i = 0; i < whole; i += kLanes) {
    const Vec off = (load(x + i) - all(mean)) * all(scale);
    store(out + i, fma(off, load(norm.scale + i), load(norm.shift + i)));
  }
  for (int i = whole; i < channels; ++i) {
    out[i] = (x[i] - mean) * scale * norm.scale[i] + norm.shift[i];
  }
}

void normalize(const Norm& norm, const Matrix& x, int rows, int channels, const Matrix& out) {
  for (int row = 0; row < rows; ++row) normalize_row(norm, x.row(row), channels, out.row(row));
}

// ------------------------------------------------------------------------------------------- input

// What two joints say of the bone between them: extent x and y, its length, what is missing to its own.
void write_bones(const Model& model, const float* rows, float* extents) {
  float *lengths = extents + 2 * model.bones, *depths = lengths + model.bones;
  for (int bone = 0; bone < model.bones; ++bone) {
    const float* first = rows + model.bone_joints[2 * bone] * kRowChannels;
    const float* second = rows + model.bone_joints[2 * bone + 1] * kRowChannels;
    const float both = first[2] > 0 && second[2] > 0 ? 1.0f : 0.0f;
    const float x = (second[0] - first[0]) / model.bone_lengths_m[bone] * both;
    const float y = (second[1] - first[1]) / model.bone_lengths_m[bone] * both;
    const float square = x * x + y * y, rest = 1.0f - square;
    extents[2 * bone] = x;
    extents[2 * bone + 1] = y;
    lengths[bone] = std::sqrt(square + 1e-4f);
    depths[bone] = std::sqrt((rest > 0 ? rest : 0.0f) + 1e-4f) * both;
  }
}

void write_input(const Model& model, const float* rows, const float* extras, bool image, float* out) {
  for (int joint = 0; joint < kJoints; ++joint) {
    const float* from = rows + (image ? model.opposite[joint] : joint) * kRowChannels;
    out[joint * kRowChannels] = image ? -from[0] : from[0];
    out[joint * kRowChannels + 1] = from[1];
    out[joint * kRowChannels + 2] = from[2];
  }
  float* more = out + kJoints * kRowChannels;
  for (int i = 0; i < model.extras; ++i) {
    more[i] = image ? extras[model.extra_order[i]] * model.extra_sign[i] : extras[i];
  }
  if (model.bones > 0) write_bones(model, out, more + model.extras);
}

// --------------------------------------------------------------------------------------- attention

float dot(const float* a, const float* b, int channels) {
  const int whole = channels / kLanes * kLanes;
  Vec sums = all(0.0f);
  for (int i = 0; i < whole; i += kLanes) sums = fma(load(a + i), load(b + i), sums);
  float total = sum(sums);
  for (int i = whole; i < channels; ++i) total += a[i] * b[i];
  return total;
}

void add_scaled(float* to, const float* from, float weight, int channels) {
  const int whole = channels / kLanes * kLanes;
  for (int i = 0; i < whole; i += kLanes) {
    store(to + i, fma(all(weight), load(from + i), load(to + i)));
  }
  for (int i = whole; i < channels; ++i) to[i] += weight * from[i];
}

// Turns the channel pairs (first half, second half) of every head by their phases.
void rotate(float* x, const float* cosine, const float* sine, int heads, int channels, float scale) {
  const int half = channels / 2;
  for (int head = 0; head < heads; ++head) {
    float *first = x + head * channels, *second = first + half;
    for (int i = 0; i < half; ++i) {
      const float a = first[i], b = second[i];
      first[i] = (a * cosine[i] - b * sine[i]) * scale;
      second[i] = (a * sine[i] + b * cosine[i]) * scale;
    }
  }
}

// What one person's step looks back at: the cells that hold a frame young enough, and its own phases.
struct Past {
  const int32_t* cells;
  int count;
  const float *cosine, *sine;
};

// Softmax over the seen cells and the frame itself, head by head. `weights` is [head][row], the frame's
// own last; rows are padded to whole vectors with what adds nothing.
void soften(float* weights, int heads, int count, int row) {
  for (int head = 0; head < heads; ++head) {
    float* logits = weights + head * row;
    for (int i = count; i < row; ++i) logits[i] = -1e30f;
    Vec top = load(logits);
    for (int i = kLanes; i < row; i += kLanes) top = greatest(top, load(logits + i));
    const Vec most = all(largest(top));
    Vec total = all(0.0f);
    for (int i = 0; i < row; i += kLanes) {
      const Vec value = exponential(load(logits + i) - most);
      store(logits + i, value);
      total = total + value;
    }
    const Vec share = all(1.0f / sum(total));
    for (int i = 0; i < row; i += kLanes) store(logits + i, load(logits + i) * share);
  }
}

// One frame of one side against one ring, which then takes its key and value into `cell`.
void attend(const Model& model, float* query_key_value, const Past& past, float* ring_keys,
            float* ring_values, int cell, float* weights, float* out) {
  const int width = model.width, heads = model.heads, channels = model.head_channels();
  float *query = query_key_value, *key = query + width, *value = key + width;
  rotate(query, past.cosine, past.sine, heads, channels, 1.0f / std::sqrt(static_cast<float>(channels)));
  rotate(key, past.cosine, past.sine, heads, channels, 1.0f);
  const int row = (past.count + kLanes) / kLanes * kLanes;
  for (int i = 0; i <= past.count; ++i) {
    const float* keys = i < past.count ? ring_keys + static_cast<int64_t>(past.cells[i]) * width : key;
    for (int head = 0; head < heads; ++head) {
      weights[head * row + i] = dot(query + head * channels, keys + head * channels, channels);
    }
  }
  soften(weights, heads, past.count + 1, row);
  for (int i = 0; i < width; ++i) out[i] = 0.0f;
  for (int i = 0; i <= past.count; ++i) {
    const float* from = i < past.count ? ring_values + static_cast<int64_t>(past.cells[i]) * width : value;
    for (int head = 0; head < heads; ++head) {
      add_scaled(out + head * channels, from + head * channels, weights[head * row + i], channels);
    }
  }
  std::memcpy(ring_keys + static_cast<int64_t>(cell) * width, key, sizeof(float) * static_cast<size_t>(width));
  std::memcpy(ring_values + static_cast<int64_t>(cell) * width, value,
              sizeof(float) * static_cast<size_t>(width));
}

// ------------------------------------------------------------------------------------------- steps

// The memory of a step, cut into its matrices.
struct Scratch {
  Matrix input, x, normed, wide, hidden, lifter_input, lifter_hidden, pose;
  float *cosine, *sine, *weights;
  int32_t* cells;
  int64_t floats;

  Scratch(const Model& model, float* memory) : floats(0) {
    const int rows = kPersonsAtOnce * model.sides;
    const auto take = [this, memory](int64_t count) {
      float* here = memory == nullptr ? nullptr : memory + floats;
      floats += (count + 15) / 16 * 16;
      return here;
    };
    const auto matrix = [&take, rows](int channels) {
      return Matrix{take(static_cast<int64_t>(rows) * stride(channels)), stride(channels)};
    };
    const int most = model.width > model.representation ? model.width : model.representation;
    input = matrix(model.inputs());
    x = matrix(model.width);
    normed = matrix(most > model.embedding ? most : model.embedding);
    wide = matrix(3 * model.width);
    hidden = matrix(model.hidden > most ? model.hidden : most);
    lifter_input = matrix(2 * model.representation + kLagChannels);
    lifter_hidden = matrix(2 * model.representation);
    pose = matrix(kPoseChannels);
    const int half = model.head_channels() / 2;
    cosine = take(static_cast<int64_t>(kPersonsAtOnce) * half);
    sine = take(static_cast<int64_t>(kPersonsAtOnce) * half);
    weights = take(static_cast<int64_t>(model.heads) * (model.window + 1 + kLanes));
    cells = reinterpret_cast<int32_t*>(take(static_cast<int64_t>(kPersonsAtOnce) * model.window));
  }
};

int64_t scratch_floats(const Model& model) { return Scratch(model, nullptr).floats; }

// Phases of a time, as langpose_rt.window.rotary has them: reduced to one period in whole nanoseconds first.
void write_phases(const Model& model, int64_t time_ns, float* cosine, float* sine) {
  for (int i = 0; i < model.head_channels() / 2; ++i) {
    const int64_t period = model.periods_ns[i], rest = time_ns % period;
    const double phase = static_cast<double>(rest < 0 ? rest + period : rest) *
                         (2.0 * 3.141592653589793 / static_cast<double>(period));
    cosine[i] = static_cast<float>(std::cos(phase));
    sine[i] = static_cast<float>(std::sin(phase));
  }
}

void look_back(const Model& model, const Rings& rings, const EncoderBatch& batch, const Scratch& at,
               Past* pasts) {
  const int half = model.head_channels() / 2;
  for (int person = 0; person < batch.persons; ++person) {
    const int64_t slot = batch.slots[person];
    int32_t* cells = at.cells + person * model.window;
    int count = 0;
    for (int cell = 0; cell < rings.fill[slot]; ++cell) {
      if (is_seen(batch.time_ns[person], rings.time_ns[slot * model.window + cell], model.max_age_ns)) {
        cells[count++] = cell;
      }
    }
    float *cosine = at.cosine + person * half, *sine = at.sine + person * half;
    write_phases(model, batch.time_ns[person], cosine, sine);
    pasts[person] = Past{cells, count, cosine, sine};
  }
}

// x += MLP(x), or x = x + MLP(norm(x)) where there is a norm.
void add_mlp(const Linear& up, const Linear& down, const Norm* norm, int rows, int width,
             const Scratch& at) {
  if (norm != nullptr) normalize(*norm, at.x, rows, width, at.normed);
  product(up, norm == nullptr ? at.x : at.normed, rows, at.hidden);
  apply_gelu(at.hidden, rows, up.outputs);
  product(down, at.hidden, rows, at.normed);
  add(at.x, at.normed, rows, width);
}

void run_layer(const Model& model, int index, const Rings& rings, const EncoderBatch& batch,
               const Past* pasts, const Scratch& at) {
  const Layer& layer = model.layers[index];
  const int rows = batch.persons * model.sides, blocks = model.depth * model.sides;
  normalize(layer.norm, at.x, rows, model.width, at.normed);
  product(layer.query_key_value, at.normed, rows, at.wide);
  const int64_t ring = static_cast<int64_t>(model.window) * model.width;
  for (int row = 0; row < rows; ++row) {
    const int person = row / model.sides, side = row % model.sides;
    const int64_t slot = batch.slots[person], block = slot * blocks + index * model.sides + side;
    attend(model, at.wide.row(row), pasts[person], rings.keys + block * ring, rings.values + block * ring,
           rings.head[slot], at.weights, at.hidden.row(row));
  }
  product(layer.out, at.hidden, rows, at.normed);
  add(at.x, at.normed, rows, model.width);
  add_mlp(layer.up, layer.down, &layer.mlp_norm, rows, model.width, at);
}

// The new features and times into the rings, which then stand one cell further.
void push(const Model& model, const Rings& rings, const EncoderBatch& batch, const Matrix& features) {
  const int64_t channels = model.representation;
  for (int person = 0; person < batch.persons; ++person) {
    const int64_t slot = batch.slots[person], cell = slot * model.window + rings.head[slot];
    for (int side = 0; side < model.sides; ++side) {
      std::memcpy(rings.features + (cell * model.sides + side) * channels,
                  features.row(person * model.sides + side), sizeof(float) * static_cast<size_t>(channels));
    }
    rings.time_ns[cell] = batch.time_ns[person];
    rings.head[slot] = next_cell(rings.head[slot], model.window);
    rings.fill[slot] += rings.fill[slot] < model.window ? 1 : 0;
  }
}

void encode(const Model& model, const Rings& rings, const EncoderBatch& batch, float* scratch) {
  const Scratch at(model, scratch);
  const int sides = model.sides, rows = batch.persons * sides;
  Past pasts[kPersonsAtOnce];
  look_back(model, rings, batch, at, pasts);
  for (int row = 0; row < rows; ++row) {
    const int person = row / sides;
    write_input(model, batch.rows + person * kJoints * kRowChannels,
                batch.extras + static_cast<int64_t>(person) * model.extras, row % sides == 1,
                at.input.row(row));
  }
  product(model.embed, at.input, rows, at.x);
  apply_gelu(at.x, rows, model.width);
  add_mlp(model.embed_up, model.embed_down, nullptr, rows, model.width, at);
  for (int index = 0; index < model.depth; ++index) run_layer(model, index, rings, batch, pasts, at);
  normalize(model.norm, at.x, rows, model.width, at.normed);
  product(model.to_representation, at.normed, rows, at.hidden);
  apply_tanh(at.hidden, rows, model.representation);
  push(model, rings, batch, at.hidden);
  // Words know left from right: the embedding is never that of the mirror image.
  product(model.to_embedding, Matrix{at.hidden.data, sides * at.hidden.stride}, batch.persons, at.normed);
  for (int person = 0; person < batch.persons; ++person) {
    std::memcpy(batch.embeddings + static_cast<int64_t>(person) * model.embedding, at.normed.row(person),
                sizeof(float) * static_cast<size_t>(model.embedding));
  }
}

void write_lifter_input(const Model& model, const Rings& rings, const LifterBatch& batch, int person,
                        const Matrix& input) {
  const int64_t slot = batch.slots[person], channels = model.representation;
  const int64_t first = slot * model.window;
  const int64_t newest = first + cell_back(rings.head[slot], 0, model.window);
  const int64_t answered = first + cell_back(rings.head[slot], batch.frames_back[person], model.window);
  const size_t bytes = sizeof(float) * static_cast<size_t>(channels);
  for (int side = 0; side < model.sides; ++side) {
    float* row = input.row(person * model.sides + side);
    std::memcpy(row, rings.features + (newest * model.sides + side) * channels, bytes);
    std::memcpy(row + channels, rings.features + (answered * model.sides + side) * channels, bytes);
    float scale = 0.25f;
    for (int i = 0; i < kLagChannels; ++i, scale *= 2.0f) {
      row[2 * channels + i] = std::tanh(batch.lag_s[person] * scale);
    }
  }
}

// The root of a pose is at zero by definition, and its sigma the smallest there is.
constexpr float kLeastLogSigma = -6.0f, kMostLogSigma = 1.0f;

float log_sigma(const float* side, int joint) {
  const float value = side[3 * kJoints + joint];
  if (joint == 0 || value < kLeastLogSigma) return kLeastLogSigma;
  return value > kMostLogSigma ? kMostLogSigma : value;
}

// Pose and sigma from the rows of one person: its own, and that of its image turned back.
void write_pose(const Model& model, const float* own, const float* image, float* pose, float* sigma) {
  for (int joint = 0; joint < kJoints; ++joint) {
    const int other = model.opposite[joint];
    for (int axis = 0; axis < 3; ++axis) {
      float value = own[3 * joint + axis] - own[axis];
      if (image != nullptr) {
        const float seen = image[3 * other + axis] - image[axis];
        value = (value + (axis == 0 ? -seen : seen)) / 2.0f;
      }
      pose[3 * joint + axis] = value;
    }
    const float value = log_sigma(own, joint);
    sigma[joint] = std::exp(image == nullptr ? value : (value + log_sigma(image, other)) / 2.0f);
  }
}

void lift(const Model& model, const Rings& rings, const LifterBatch& batch, float* scratch) {
  const Scratch at(model, scratch);
  const int rows = batch.persons * model.sides;
  for (int person = 0; person < batch.persons; ++person) {
    write_lifter_input(model, rings, batch, person, at.lifter_input);
  }
  product(model.lifter_hidden, at.lifter_input, rows, at.lifter_hidden);
  apply_gelu(at.lifter_hidden, rows, model.lifter_hidden.outputs);
  product(model.lifter_pose, at.lifter_hidden, rows, at.pose);
  for (int person = 0; person < batch.persons; ++person) {
    const float* own = at.pose.row(person * model.sides);
    write_pose(model, own, model.sides == 2 ? own + at.pose.stride : nullptr,
               batch.poses + static_cast<int64_t>(person) * kJoints * 3,
               batch.sigmas + static_cast<int64_t>(person) * kJoints);
  }
}

}  // namespace
}  // namespace langpose

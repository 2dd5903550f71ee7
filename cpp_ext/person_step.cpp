// The arithmetic around the network for every person of a step: rays, anchor and body size before it; root,
// ray refinement, output filter and steady bones after it.
//
// The definitions are the NumPy functions of geometry/person_frame.py, geometry/camera.py,
// geometry/ray_refinement.py, geometry/steady_bones.py and pipeline/one_euro.py; tests/pipeline/test_native_geometry.py compares them.
// Each person is computed alone, so nobody's numbers depend on who shares the step. State lies in one row per
// slot and is changed in place. The functions work with the GIL released.
#include "person_step.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "checked_arrays.hpp"

namespace langpose {
namespace {

constexpr size_t kJoints = 17;
constexpr size_t kBones = 16;
constexpr float kNsPerS = 1e9F;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kTwoPi = 6.283185307179586F;

using PerJoint = std::array<float, kJoints>;

// The slots of a step, after checking that each exists.
const int32_t* checked_slots(const Array<const int32_t, 1>& array, size_t count) {
  const int32_t* slots = numbers(array, "slots");
  for (size_t i = 0; i < array.shape(0); ++i) {
    if (slots[i] < 0 || static_cast<size_t>(slots[i]) >= count) {
      throw nb::index_error(sentence("slot %d is outside of %zu slots", slots[i], count).c_str());
    }
  }
  return slots;
}

// Refuses an array whose first axes are not the given ones.
template <typename AnyArray>
void expect_shape(const AnyArray& array, const char* name, std::initializer_list<size_t> sizes) {
  size_t axis = 0;
  for (const size_t size : sizes) expect(array, name, axis++, size);
}

float seconds_between(int64_t before_ns, int64_t now_ns) {
  const auto ns = static_cast<double>(std::max<int64_t>(now_ns - before_ns, 1000));
  return static_cast<float>(ns / 1e9);
}

// ---- pixels to rays ----------------------------------------------------------------------------------------

// Pinhole and distortion in OpenCV's order, without tilt of the sensor.
struct Lens {
  double fx, fy, cx, cy;
  double k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4;

  double stretch(double r2) const {
    return (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)));
  }

  double shift_x(double x, double y, double r2) const {
    return 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2);
  }

  double shift_y(double x, double y, double r2) const {
    return p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4);
  }
};

constexpr int kMostIterations = 40;
constexpr double kConverged = 1e-9;

// Undoes the distortion by iterating to a fixed point; false where there is none within a pixel.
bool undistort(const Lens& lens, double& x, double& y) {
  const double given_x = x, given_y = y;
  double miss = 0;
  for (int i = 0; i <= kMostIterations; ++i) {
    const double r2 = x * x + y * y, stretch = lens.stretch(r2);
    const double shift_x = lens.shift_x(x, y, r2), shift_y = lens.shift_y(x, y, r2);
    miss = std::max(std::abs(given_x - x * stretch - shift_x), std::abs(given_y - y * stretch - shift_y));
    if (!(miss > kConverged) || !(stretch > 0) || i == kMostIterations) break;
    x = (given_x - shift_x) / stretch;
    y = (given_y - shift_y) / stretch;
  }
  return !(miss * lens.fx > 1);
}

bool pixel_to_ray(const Array<const float, 3>& keypoints_px, const Array<const double, 1>& lens_numbers,
                  const Array<float, 3>& rays) {
  const size_t persons = keypoints_px.shape(0), joints = keypoints_px.shape(1);
  expect_shape(keypoints_px, "keypoints_px", {persons, joints, 2});
  expect_shape(rays, "rays", {persons, joints, 2});
  expect_shape(lens_numbers, "lens", {16});
  const double* n = numbers(lens_numbers, "lens");
  const Lens lens{n[0], n[1], n[2],  n[3],  n[4],  n[5],  n[6],  n[7],
                  n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15]};
  const float* px = numbers(keypoints_px, "keypoints_px");
  float* out = numbers(rays, "rays");

  nb::gil_scoped_release released;
  bool undone = true;
  for (size_t i = 0; i < persons * joints; ++i) {
    double x = (static_cast<double>(px[2 * i]) - lens.cx) / lens.fx;
    double y = (static_cast<double>(px[2 * i + 1]) - lens.cy) / lens.fy;
    undone = undistort(lens, x, y) && undone;
    out[2 * i] = static_cast<float>(x);
    out[2 * i + 1] = static_cast<float>(y);
  }
  return undone;
}

// ---- anchor and body size ---------------------------------------------------------------------------------

struct AnchorParameters {
  float anchor_smoothing_s, size_smoothing_s, size_quantile, prior_log_size, first_frame_s, longest_step_s,
      log_size_range, log_size_jump, snap_bodies, nearest_forward, widest_row;
};

struct Anchor {
  float* ray;
  bool* seen;
  float* log_size;
  float* weight_s;
};

struct Body {
  const int32_t* bones;  // parent and joint of each
  const float* lengths_m;
  const float* torso_weights;
};

void advance_size(const Anchor& state, const Body& body, const AnchorParameters& p, const float* rays,
                  const bool* present, float dt_s) {
  std::array<float, kBones> ratios;
  size_t count = 0;
  for (size_t bone = 0; bone < kBones; ++bone) {
    const auto parent = static_cast<size_t>(body.bones[2 * bone]),
               joint = static_cast<size_t>(body.bones[2 * bone + 1]);
    if (!present[parent] || !present[joint]) continue;
    const float x = rays[2 * joint] - rays[2 * parent], y = rays[2 * joint + 1] - rays[2 * parent + 1];
    ratios[count++] = std::sqrt(x * x + y * y) / body.lengths_m[bone];
  }
  float measured = 0;
  if (count >= 3) {
    const auto index = static_cast<size_t>(static_cast<double>(p.size_quantile) *
                                           static_cast<double>(count - 1));
    std::nth_element(ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(index),
                     ratios.begin() + static_cast<std::ptrdiff_t>(count));
    measured = ratios[index];
  }
  const bool usable = measured > 1e-6F;
  float log_size = usable ? std::log(measured) : 0.0F;
  log_size = std::clamp(log_size, p.prior_log_size - p.log_size_range, p.prior_log_size + p.log_size_range);
  if (*state.seen) {
    log_size = std::clamp(log_size, *state.log_size - p.log_size_jump, *state.log_size + p.log_size_jump);
  }
  const float decayed = *state.weight_s * std::exp(-dt_s / p.size_smoothing_s);
  const float added = usable ? dt_s : 0.0F;
  *state.log_size += added / (decayed + added) * (log_size - *state.log_size);
  *state.weight_s = decayed + added;
}

void advance_anchor(const Anchor& state, const Body& body, const AnchorParameters& p, const float* rays,
                    const float* scores, float dt_s) {
  float total = 0, x = 0, y = 0;
  for (size_t joint = 0; joint < kJoints; ++joint) {
    const float weight = scores[joint] * body.torso_weights[joint];
    total += weight;
    x += weight * rays[2 * joint];
    y += weight * rays[2 * joint + 1];
  }
  if (!(total > 0)) return;
  const float share = std::max(total, 1e-9F);
  x = x / share - state.ray[0];
  y = y / share - state.ray[1];
  const bool far = std::sqrt(x * x + y * y) > p.snap_bodies * std::exp(*state.log_size);
  const float blend = *state.seen && !far ? 1.0F - std::exp(-dt_s / p.anchor_smoothing_s) : 1.0F;
  state.ray[0] += blend * x;
  state.ray[1] += blend * y;
  *state.seen = true;
}

void rotation_to_ray(const float* ray, float* rotation) {
  const float x = ray[0], y = ray[1];
  const float flat = std::sqrt(1.0F + x * x), full = std::sqrt(1.0F + x * x + y * y);
  const float rows[9] = {1.0F / flat,         0,           -x / flat, -x * y / (flat * full), flat / full,
                         -y / (flat * full),  x / full,    y / full,  1.0F / full};
  std::copy(rows, rows + 9, rotation);
}

void write_extras(const Anchor& state, const AnchorParameters& p, const float* rotation, const float* gravity,
                  float* extras) {
  const float x = state.ray[0], y = state.ray[1];
  const bool known = std::isfinite(gravity[0]) && std::isfinite(gravity[1]) && std::isfinite(gravity[2]);
  extras[0] = std::atan(x);
  extras[1] = std::atan2(y, std::sqrt(1.0F + x * x));
  extras[2] = *state.log_size - p.prior_log_size;
  for (size_t row = 0; row < 3; ++row) {
    const float* r = rotation + 3 * row;
    extras[3 + row] = known ? r[0] * gravity[0] + r[1] * gravity[1] + r[2] * gravity[2] : 0.0F;
  }
  extras[6] = known ? 1.0F : 0.0F;
}

void write_rows(const Anchor& state, const AnchorParameters& p, const float* rotation, const float* rays,
                const float* scores, const bool* present, float* rows) {
  const float size = std::exp(*state.log_size);
  for (size_t joint = 0; joint < kJoints; ++joint) {
    float* row = rows + 3 * joint;
    row[0] = row[1] = 0;
    row[2] = scores[joint];
    if (!present[joint]) continue;
    const float x = rays[2 * joint], y = rays[2 * joint + 1];
    const auto turned = [&](size_t axis) {
      const float* r = rotation + 3 * axis;
      return x * r[0] + y * r[1] + r[2];
    };
    const float unit = std::max(turned(2), p.nearest_forward) * size;
    row[0] = std::clamp(turned(0) / unit, -p.widest_row, p.widest_row);
    row[1] = std::clamp(turned(1) / unit, -p.widest_row, p.widest_row);
  }
}

void anchor_step(const Array<float, 2>& anchor_ray, const Array<bool, 1>& seen,
                 const Array<float, 1>& log_size, const Array<float, 1>& weight_s,
                 const Array<const int32_t, 1>& slots, const Array<const float, 3>& rays,
                 const Array<const float, 2>& scores, const Array<const float, 1>& dt_s,
                 const Array<const float, 2>& gravity, const Array<const int32_t, 2>& bones,
                 const Array<const float, 1>& bone_lengths_m, const Array<const float, 1>& torso_weights,
                 const Array<const float, 1>& parameters, const Array<float, 3>& rows,
                 const Array<float, 2>& extras, const Array<float, 3>& rotation) {
  const size_t count = log_size.shape(0), persons = slots.shape(0);
  expect_shape(anchor_ray, "anchor_ray", {count, 2});
  expect_shape(seen, "seen", {count});
  expect_shape(weight_s, "weight_s", {count});
  expect_shape(rays, "rays", {persons, kJoints, 2});
  expect_shape(scores, "scores", {persons, kJoints});
  expect_shape(dt_s, "dt_s", {persons});
  expect_shape(gravity, "gravity", {persons, 3});
  expect_shape(bones, "bones", {kBones, 2});
  expect_shape(bone_lengths_m, "bone_lengths_m", {kBones});
  expect_shape(torso_weights, "torso_weights", {kJoints});
  expect_shape(parameters, "parameters", {sizeof(AnchorParameters) / sizeof(float)});
  expect_shape(rows, "rows", {persons, kJoints, 3});
  expect_shape(extras, "extras", {persons, 7});
  expect_shape(rotation, "rotation", {persons, 3, 3});
  const int32_t* given = checked_slots(slots, count);
  const Body body{numbers(bones, "bones"), numbers(bone_lengths_m, "bone_lengths_m"),
                  numbers(torso_weights, "torso_weights")};
  for (size_t i = 0; i < 2 * kBones; ++i) {
    if (body.bones[i] < 0 || static_cast<size_t>(body.bones[i]) >= kJoints) {
      throw nb::index_error(sentence("bones has joint %d of %zu", body.bones[i], kJoints).c_str());
    }
  }
  const float* list = numbers(parameters, "parameters");
  const AnchorParameters p{list[0], list[1], list[2], list[3], list[4], list[5],
                           list[6], list[7], list[8], list[9], list[10]};
  float *ray = numbers(anchor_ray, "anchor_ray"), *size = numbers(log_size, "log_size"),
        *weight = numbers(weight_s, "weight_s"), *out_rows = numbers(rows, "rows"),
        *out_extras = numbers(extras, "extras"), *out_rotation = numbers(rotation, "rotation");
  bool* known = seen.data();
  const float *in_rays = numbers(rays, "rays"), *in_scores = numbers(scores, "scores"),
              *in_dt_s = numbers(dt_s, "dt_s"), *in_gravity = numbers(gravity, "gravity");

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given[i]);
    const Anchor state{ray + 2 * slot, known + slot, size + slot, weight + slot};
    std::array<float, 2 * kJoints> clean;
    PerJoint trusted;
    std::array<bool, kJoints> present;
    for (size_t joint = 0; joint < kJoints; ++joint) {
      const float* own = in_rays + 2 * (kJoints * i + joint);
      const float score = in_scores[kJoints * i + joint];
      present[joint] = score > 0 && std::isfinite(own[0]) && std::isfinite(own[1]);
      clean[2 * joint] = present[joint] ? own[0] : 0.0F;
      clean[2 * joint + 1] = present[joint] ? own[1] : 0.0F;
      trusted[joint] = present[joint] ? score : 0.0F;
    }
    const float step_s = std::clamp(*state.seen ? in_dt_s[i] : p.first_frame_s, 1e-3F, p.longest_step_s);
    advance_size(state, body, p, clean.data(), present.data(), step_s);
    advance_anchor(state, body, p, clean.data(), trusted.data(), step_s);
    float* own_rotation = out_rotation + 9 * i;
    rotation_to_ray(state.ray, own_rotation);
    write_rows(state, p, own_rotation, clean.data(), trusted.data(), present.data(),
               out_rows + 3 * kJoints * i);
    write_extras(state, p, own_rotation, in_gravity + 3 * i, out_extras + 7 * i);
  }
}

// ---- root --------------------------------------------------------------------------------------------------

struct RootParameters {
  double prior_weight, prior_depth_m, nearest_m;
};

void root_of_person(const RootParameters& p, const float* pose, const float* rays, const float* weights,
                    float* root) {
  std::array<double, kJoints> w;
  double total = 0;
  for (size_t j = 0; j < kJoints; ++j) {
    bool trusted = std::isfinite(weights[j]) && weights[j] > 0;
    for (size_t axis = 0; axis < 3; ++axis) trusted = trusted && std::isfinite(pose[3 * j + axis]);
    for (size_t axis = 0; axis < 2; ++axis) trusted = trusted && std::isfinite(rays[2 * j + axis]);
    w[j] = trusted ? weights[j] : 0.0;
    total += w[j];
  }
  const bool known = std::isfinite(root[0]) && std::isfinite(root[1]) && std::isfinite(root[2]);
  if (!(total > 0)) {
    if (known) return;
    root[0] = root[1] = 0;
    root[2] = static_cast<float>(std::max(p.prior_depth_m, p.nearest_m));
    return;
  }
  double mean_uv[2] = {0, 0}, mean_gap[2] = {0, 0};
  const auto gap = [&](size_t j, size_t axis) {
    return static_cast<double>(pose[3 * j + axis]) -
           static_cast<double>(rays[2 * j + axis]) * static_cast<double>(pose[3 * j + 2]);
  };
  for (size_t j = 0; j < kJoints; ++j) {
    if (w[j] == 0) continue;
    w[j] /= total;
    for (size_t axis = 0; axis < 2; ++axis) {
      mean_uv[axis] += w[j] * static_cast<double>(rays[2 * j + axis]);
      mean_gap[axis] += w[j] * gap(j, axis);
    }
  }
  double information = p.prior_weight, pull = 0;
  for (size_t j = 0; j < kJoints; ++j) {
    if (w[j] == 0) continue;
    for (size_t axis = 0; axis < 2; ++axis) {
      const double spread = static_cast<double>(rays[2 * j + axis]) - mean_uv[axis];
      information += w[j] * spread * spread;
      pull += w[j] * spread * (gap(j, axis) - mean_gap[axis]);
    }
  }
  const double prior_m = known ? static_cast<double>(root[2]) : p.prior_depth_m;
  const double depth_m = std::max((pull + p.prior_weight * prior_m) / information, p.nearest_m);
  for (size_t axis = 0; axis < 2; ++axis) {
    root[axis] = static_cast<float>(mean_uv[axis] * depth_m - mean_gap[axis]);
  }
  root[2] = static_cast<float>(depth_m);
}

void root_from_pose(const Array<const float, 3>& poses, const Array<const float, 3>& rays,
                    const Array<const float, 2>& weights, const Array<float, 2>& root,
                    const Array<const double, 1>& parameters) {
  const size_t persons = poses.shape(0);
  expect_shape(poses, "poses", {persons, kJoints, 3});
  expect_shape(rays, "rays", {persons, kJoints, 2});
  expect_shape(weights, "weights", {persons, kJoints});
  expect_shape(root, "root", {persons, 3});
  expect_shape(parameters, "parameters", {3});
  const double* list = numbers(parameters, "parameters");
  const RootParameters p{list[0], list[1], list[2]};
  const float *in_poses = numbers(poses, "poses"), *in_rays = numbers(rays, "rays"),
              *in_weights = numbers(weights, "weights");
  float* out = numbers(root, "root");

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    root_of_person(p, in_poses + 3 * kJoints * i, in_rays + 2 * kJoints * i, in_weights + kJoints * i,
                   out + 3 * i);
  }
}

// ---- ray refinement ----------------------------------------------------------------------------------------

struct RefinementParameters {
  float strength, jitter_m, sigma_m, cutoff_hz;  // of the model
  float jitter_s, lost_s, least_cutoff_share, least_depth_m, largest_offset_m;
  size_t least_joints;
};

// Follows the median over the joints of how far the gap to the ray moved since the previous frame.
void follow_jitter(const RefinementParameters& p, const float* gap_m, const float* last_gap_m, float dt_s,
                   float* jitter_m, float* measured_s) {
  PerJoint change_m;
  size_t count = 0;
  for (size_t j = 0; j < kJoints; ++j) {
    const float x = gap_m[2 * j] - last_gap_m[2 * j], y = gap_m[2 * j + 1] - last_gap_m[2 * j + 1];
    const float change = std::sqrt(x * x + y * y);
    if (std::isfinite(change)) change_m[count++] = change;
  }
  if (count < p.least_joints) return;
  const auto middle = change_m.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(change_m.begin(), middle, change_m.begin() + static_cast<std::ptrdiff_t>(count));
  const float spent_s = *measured_s + dt_s;
  const float share = std::max(dt_s / spent_s, 1 - std::exp(-dt_s / p.jitter_s));
  *jitter_m += share * (*middle - *jitter_m);
  *measured_s = spent_s;
}

void refine(const Array<float, 3>& offset_m, const Array<float, 3>& gap_m, const Array<float, 1>& jitter_m,
            const Array<float, 1>& measured_s, const Array<int64_t, 1>& last_ns,
            const Array<const int32_t, 1>& slots, const Array<const float, 3>& rays,
            const Array<const float, 2>& scores, const Array<const float, 2>& sigma_m,
            const Array<const int64_t, 1>& time_ns, const Array<const float, 1>& parameters,
            const Array<float, 3>& pose, const Array<float, 2>& root) {
  const size_t count = jitter_m.shape(0), persons = slots.shape(0);
  expect_shape(offset_m, "offset_m", {count, kJoints, 2});
  expect_shape(gap_m, "gap_m", {count, kJoints, 2});
  expect_shape(measured_s, "measured_s", {count});
  expect_shape(last_ns, "last_ns", {count});
  expect_shape(rays, "rays", {persons, kJoints, 2});
  expect_shape(scores, "scores", {persons, kJoints});
  expect_shape(sigma_m, "sigma_m", {persons, kJoints});
  expect_shape(time_ns, "time_ns", {persons});
  expect_shape(parameters, "parameters", {10});
  expect_shape(pose, "pose", {persons, kJoints, 3});
  expect_shape(root, "root", {persons, 3});
  const int32_t* given = checked_slots(slots, count);
  const float* list = numbers(parameters, "parameters");
  const RefinementParameters p{list[0], list[1], list[2], list[3], list[4],
                               list[5], list[6], list[7], list[8], static_cast<size_t>(list[9])};
  float *offsets = numbers(offset_m, "offset_m"), *gaps = numbers(gap_m, "gap_m"),
        *jitters = numbers(jitter_m, "jitter_m"), *measured = numbers(measured_s, "measured_s"),
        *poses = numbers(pose, "pose"), *roots = numbers(root, "root");
  int64_t* before_ns = numbers(last_ns, "last_ns");
  const float *in_rays = numbers(rays, "rays"), *in_scores = numbers(scores, "scores"),
              *in_sigma = numbers(sigma_m, "sigma_m");
  const int64_t* now_ns = numbers(time_ns, "time_ns");

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given[i]);
    float *own_pose = poses + 3 * kJoints * i, *own_root = roots + 3 * i;
    float *offset = offsets + 2 * kJoints * slot, *last_gap = gaps + 2 * kJoints * slot;
    std::array<float, 2 * kJoints> gap;
    for (size_t j = 0; j < kJoints; ++j) {
      const bool seen = in_scores[kJoints * i + j] > 0;
      const float depth_m = std::max(own_pose[3 * j + 2] + own_root[2], p.least_depth_m);
      for (size_t axis = 0; axis < 2; ++axis) {
        const float at_m = own_pose[3 * j + axis] + own_root[axis];
        gap[2 * j + axis] = seen ? in_rays[2 * (kJoints * i + j) + axis] * depth_m - at_m : kNaN;
      }
    }
    const bool first = before_ns[slot] < 0;
    const float dt_s = seconds_between(before_ns[slot], now_ns[i]);
    follow_jitter(p, gap.data(), last_gap, dt_s, jitters + slot, measured + slot);
    const float ratio = jitters[slot] / p.jitter_m;
    const float trust = 1 / (1 + ratio * ratio * ratio);
    const float seen_rate = kTwoPi * p.cutoff_hz * std::max(trust * trust, p.least_cutoff_share);
    const float seen_step = first ? 1.0F : 1 - std::exp(-seen_rate * dt_s);
    const float lost_step = first ? 1.0F : 1 - std::exp(-dt_s / p.lost_s);
    for (size_t j = 0; j < kJoints; ++j) {
      const float score = in_scores[kJoints * i + j], sigma = in_sigma[kJoints * i + j];
      const bool seen = score > 0;
      float x = 0, y = 0;
      if (seen) {
        const float variance = sigma * sigma;
        const float share = p.strength * trust * std::min(score, 1.0F) * variance /
                            (variance + p.sigma_m * p.sigma_m);
        x = share * gap[2 * j];
        y = share * gap[2 * j + 1];
        const float norm = std::sqrt(x * x + y * y);
        const float shrink = std::min(1.0F, p.largest_offset_m / std::max(norm, 1e-9F));
        x *= shrink;
        y *= shrink;
      }
      const float step = seen ? seen_step : lost_step;
      offset[2 * j] += step * (x - offset[2 * j]);
      offset[2 * j + 1] += step * (y - offset[2 * j + 1]);
    }
    std::copy(gap.begin(), gap.end(), last_gap);
    before_ns[slot] = now_ns[i];
    for (size_t axis = 0; axis < 2; ++axis) {
      own_root[axis] += offset[axis];
      for (size_t j = 0; j < kJoints; ++j) own_pose[3 * j + axis] += offset[2 * j + axis] - offset[axis];
    }
  }
}

// ---- output filter -----------------------------------------------------------------------------------------

float newest_share(float cutoff_hz, float dt_s) {
  const float angle = kTwoPi * cutoff_hz * dt_s;
  return angle / (angle + 1.0F);
}

void smooth(const Array<float, 3>& value, const Array<float, 3>& raw, const Array<float, 3>& velocity,
            const Array<int64_t, 1>& last_ns, const Array<const float, 1>& cutoff_hz,
            const Array<const float, 1>& rise_hz, float speed_cutoff_hz,
            const Array<const int32_t, 1>& slots, const Array<const int64_t, 1>& time_ns,
            const Array<float, 3>& points_m) {
  const size_t count = value.shape(0), points = value.shape(1), persons = slots.shape(0);
  expect_shape(value, "value", {count, points, 3});
  expect_shape(raw, "raw", {count, points, 3});
  expect_shape(velocity, "velocity", {count, points, 3});
  expect_shape(last_ns, "last_ns", {count});
  expect_shape(cutoff_hz, "cutoff_hz", {points});
  expect_shape(rise_hz, "rise_hz", {points});
  expect_shape(time_ns, "time_ns", {persons});
  expect_shape(points_m, "points_m", {persons, points, 3});
  const int32_t* given = checked_slots(slots, count);
  float *values = numbers(value, "value"), *raws = numbers(raw, "raw"),
        *velocities = numbers(velocity, "velocity"), *in_out = numbers(points_m, "points_m");
  int64_t* before_ns = numbers(last_ns, "last_ns");
  const int64_t* now_ns = numbers(time_ns, "time_ns");
  const float *cutoff = numbers(cutoff_hz, "cutoff_hz"), *rise = numbers(rise_hz, "rise_hz");

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given[i]);
    const bool known = before_ns[slot] >= 0;
    const float dt_s = seconds_between(before_ns[slot], now_ns[i]);
    const float speed_share = newest_share(speed_cutoff_hz, dt_s);
    for (size_t point = 0; point < points; ++point) {
      const size_t own = 3 * (points * slot + point);
      float* given_m = in_out + 3 * (points * i + point);
      float squares = 0;
      for (size_t axis = 0; axis < 3; ++axis) {
        float& v = velocities[own + axis];
        v = known ? v + speed_share * ((given_m[axis] - raws[own + axis]) / dt_s - v) : 0.0F;
        raws[own + axis] = given_m[axis];
        squares += v * v;
      }
      const float share = newest_share(cutoff[point] + rise[point] * std::sqrt(squares), dt_s);
      for (size_t axis = 0; axis < 3; ++axis) {
        float& filtered = values[own + axis];
        filtered = known ? filtered + share * (given_m[axis] - filtered) : given_m[axis];
        given_m[axis] = filtered;
      }
    }
    before_ns[slot] = now_ns[i];
  }
}

// ---- bones of steady length --------------------------------------------------------------------------------

struct SteadyParameters {
  float strength, memory_s, first_s, longest_step_s, shortest_m, tiny_s;
};

void steady_bones(const Array<float, 3>& means, const Array<int64_t, 1>& last_ns,
                  const Array<const int32_t, 1>& slots, const Array<const bool, 2>& seen,
                  const Array<const int64_t, 1>& time_ns, const Array<const int32_t, 2>& bones,
                  const Array<const float, 1>& parameters, const Array<float, 3>& pose_m) {
  const size_t count = means.shape(0), persons = slots.shape(0);
  expect_shape(means, "means", {count, 2, kBones});
  expect_shape(last_ns, "last_ns", {count});
  expect_shape(seen, "seen", {persons, kJoints});
  expect_shape(time_ns, "time_ns", {persons});
  expect_shape(bones, "bones", {kBones, 2});
  expect_shape(parameters, "parameters", {6});
  expect_shape(pose_m, "pose_m", {persons, kJoints, 3});
  const int32_t* given = checked_slots(slots, count);
  const float* list = numbers(parameters, "parameters");
  const SteadyParameters p{list[0], list[1], list[2], list[3], list[4], list[5]};
  float *lengths = numbers(means, "means"), *poses = numbers(pose_m, "pose_m");
  int64_t* before_ns = numbers(last_ns, "last_ns");
  const bool* is_seen = numbers(seen, "seen");
  const int64_t* now_ns = numbers(time_ns, "time_ns");
  const int32_t* ends = numbers(bones, "bones");
  for (size_t end = 0; end < 2 * kBones; ++end) {
    if (ends[end] < 0 || ends[end] >= static_cast<int32_t>(kJoints)) {
      throw nb::index_error(sentence("joint %d is outside of %zu joints", ends[end], kJoints).c_str());
    }
  }

  nb::gil_scoped_release released;
  for (size_t i = 0; i < persons; ++i) {
    const auto slot = static_cast<size_t>(given[i]);
    float *length_m = lengths + 2 * kBones * slot, *weight_s = length_m + kBones;
    float* pose = poses + 3 * kJoints * i;
    const bool* own_seen = is_seen + kJoints * i;
    const auto elapsed_s = static_cast<float>(static_cast<double>(now_ns[i] - before_ns[slot]) / 1e9);
    const float step_s = before_ns[slot] < 0 ? p.first_s : std::clamp(elapsed_s, 0.0F, p.longest_step_s);
    std::array<float, 3 * kJoints> steady{};  // the hip stays at zero
    for (size_t bone = 0; bone < kBones; ++bone) {  // parents come before their children
      const auto parent = static_cast<size_t>(ends[2 * bone]), child = static_cast<size_t>(ends[2 * bone + 1]);
      std::array<float, 3> along;
      float squares = 0;
      for (size_t axis = 0; axis < 3; ++axis) {
        along[axis] = pose[3 * child + axis] - pose[3 * parent + axis];
        squares += along[axis] * along[axis];
      }
      const float own_m = std::sqrt(squares);
      const bool teaches = (own_seen[child] && own_seen[parent]) || weight_s[bone] == 0;
      const float new_s = teaches ? step_s : 0.0F;
      weight_s[bone] = std::min(weight_s[bone] + new_s, p.memory_s);
      length_m[bone] += new_s / std::max(weight_s[bone], p.tiny_s) * (own_m - length_m[bone]);
      const float wanted_m = own_m + p.strength * (length_m[bone] - own_m);
      const float factor = wanted_m / std::max(own_m, p.shortest_m);
      for (size_t axis = 0; axis < 3; ++axis) {
        steady[3 * child + axis] = steady[3 * parent + axis] + along[axis] * factor;
      }
    }
    std::copy(steady.begin(), steady.end(), pose);
    before_ns[slot] = now_ns[i];
  }
}

}  // namespace

void bind_person_step(nb::module_& module) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  module.def("pixel_to_ray", pixel_to_ray, array("keypoints_px"), array("lens"), array("rays"),
             "Fill the direction of every keypoint; false if the distortion of one could not be undone.");
  module.def("anchor_step", anchor_step, array("anchor_ray"), array("seen"), array("log_size"),
             array("weight_s"), array("slots"), array("rays"), array("scores"), array("dt_s"),
             array("gravity"), array("bones"), array("bone_lengths_m"), array("torso_weights"),
             array("parameters"), array("rows"), array("extras"), array("rotation"),
             "Advance anchor and body size by one frame and fill the input of the network.");
  module.def("root_from_pose", root_from_pose, array("poses"), array("rays"), array("weights"),
             array("root"), array("parameters"), "Replace the last root of every person by the newest.");
  module.def("refine", refine, array("offset_m"), array("gap_m"), array("jitter_m"), array("measured_s"),
             array("last_ns"), array("slots"), array("rays"), array("scores"), array("sigma_m"),
             array("time_ns"), array("parameters"), array("pose"), array("root"),
             "Move poses and roots towards their 2D, in place.");
  module.def("smooth", smooth, array("value"), array("raw"), array("velocity"), array("last_ns"),
             array("cutoff_hz"), array("rise_hz"), nb::arg("speed_cutoff_hz"), array("slots"),
             array("time_ns"), array("points_m"), "Filter the newest points of every person, in place.");
  module.def("steady_bones", steady_bones, array("means"), array("last_ns"), array("slots"), array("seen"),
             array("time_ns"), array("bones"), array("parameters"), array("pose_m"),
             "Give the bones of every person their mean length, in place.");
}

}  // namespace langpose

// FrameStep: encoder and lifter of a model with one token a frame, called by langpose_rt/runtime/native.py.
//
// Here: memory, checks and the choice of the instruction set. The weights are copied once, into the
// order that the products read them in; a call borrows its arrays and works with the GIL released. Two
// threads must not use one FrameStep, or one window, at a time.
#include "native_step.hpp"

#include <cstring>
#include <memory>
#include <new>

#include "checked_arrays.hpp"
#include "frame_step.hpp"

namespace langpose {
namespace {

// What this processor can run, the best first. __builtin_cpu_supports asks the operating system too.
std::vector<const Kernels*> kernels_here() {
  std::vector<const Kernels*> found;
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (avx2 && __builtin_cpu_supports("avx512f")) found.push_back(avx512_kernels());
  if (avx2) found.push_back(avx2_kernels());
#endif
  found.push_back(plain_kernels());
  std::vector<const Kernels*> built;
  for (const Kernels* kernels : found) {
    if (kernels != nullptr) built.push_back(kernels);
  }
  return built;
}

const Kernels& kernels_named(const char* name) {
  for (const Kernels* kernels : kernels_here()) {
    if (std::strcmp(name, kernels->name) == 0) return *kernels;
  }
  throw nb::value_error(sentence("this processor has no '%s'", name).c_str());
}

struct Free {
  void operator()(void* memory) const { ::operator delete(memory, std::align_val_t(64)); }
};

template <typename T>
using Buffer = std::unique_ptr<T[], Free>;

// Zeros, on a boundary of 64 bytes.
template <typename T>
Buffer<T> zeros(int64_t count) {
  const size_t bytes = sizeof(T) * static_cast<size_t>(count > 0 ? count : 1);
  void* memory = ::operator new(bytes, std::align_val_t(64));
  std::memset(memory, 0, bytes);
  return Buffer<T>(static_cast<T*>(memory));
}

constexpr nb::dlpack::dtype kHalf{static_cast<uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};

using AnyArray = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// Weights by name, and where their copies live.
class Store {
 public:
  Store(const nb::dict& arrays, const Kernels& kernels) : arrays_(arrays), kernels_(kernels) {}

  template <typename T>
  const T* numbers_of(const std::string& name, std::vector<int64_t> shape) {
    const AnyArray array = checked(name, shape);
    if (array.dtype() != nb::dtype<T>()) throw wrong_dtype(name);
    return copied(static_cast<const T*>(array.data()), static_cast<int64_t>(array.size()),
                  static_cast<int64_t>(array.size()));
  }

  Norm norm(const std::string& name, int channels) {
    return {numbers_of<float>(name + ".weight", {channels}), numbers_of<float>(name + ".bias", {channels})};
  }

  Linear linear(const std::string& name, int outputs, int inputs) {
    const AnyArray weight = checked(name + ".weight", {outputs, inputs});
    const AnyArray bias = checked(name + ".bias", {outputs});
    if (bias.dtype() != nb::dtype<float>()) throw wrong_dtype(name + ".bias");
    const bool half = kernels_.reads_half && weight.dtype() == kHalf;
    if (weight.dtype() != nb::dtype<float>() && !half) throw wrong_dtype(name + ".weight");
    const int padded = (outputs + kernels_.panel - 1) / kernels_.panel * kernels_.panel;
    Linear made{nullptr, half, copied(static_cast<const float*>(bias.data()), outputs, padded), inputs,
                outputs};
    made.panels = half ? panels(static_cast<const uint16_t*>(weight.data()), outputs, inputs)
                       : static_cast<const void*>(
                             panels(static_cast<const float*>(weight.data()), outputs, inputs));
    return made;
  }

 private:
  static nb::builtin_exception wrong_dtype(const std::string& name) {
    return nb::type_error(sentence("%s has a dtype that this step does not read", name.c_str()).c_str());
  }

  AnyArray checked(const std::string& name, const std::vector<int64_t>& shape) {
    if (!arrays_.contains(name.c_str())) {
      throw nb::key_error(sentence("%s is missing", name.c_str()).c_str());
    }
    const auto array = nb::cast<AnyArray>(arrays_[name.c_str()], false);
    bool fits = array.ndim() == shape.size();
    for (size_t axis = 0; fits && axis < shape.size(); ++axis) {
      fits = static_cast<int64_t>(array.shape(axis)) == shape[axis];
    }
    if (!fits) {
      std::string expected;
      for (const int64_t size : shape) expected += (expected.empty() ? "" : ", ") + std::to_string(size);
      throw nb::value_error(
          sentence("%s has another shape than [%s]", name.c_str(), expected.c_str()).c_str());
    }
    return array;
  }

  template <typename T>
  T* keep(Buffer<T> buffer) {
    T* at = buffer.get();
    kept_.emplace_back(buffer.release(), Free{});
    return at;
  }

  template <typename T>
  const T* copied(const T* from, int64_t count, int64_t room) {
    Buffer<T> copy = zeros<T>(room);
    std::memcpy(copy.get(), from, sizeof(T) * static_cast<size_t>(count));
    return keep(std::move(copy));
  }

  // [output][input] into [panel][input][output of the panel].
  template <typename T>
  const T* panels(const T* weight, int outputs, int inputs) {
    const int width = kernels_.panel, count = (outputs + width - 1) / width;
    Buffer<T> packed = zeros<T>(static_cast<int64_t>(count) * width * inputs);
    for (int output = 0; output < outputs; ++output) {
      T* to = packed.get() + static_cast<int64_t>(output / width) * inputs * width + output % width;
      for (int input = 0; input < inputs; ++input) {
        to[static_cast<int64_t>(input) * width] = weight[static_cast<int64_t>(output) * inputs + input];
      }
    }
    return keep(std::move(packed));
  }

  const nb::dict& arrays_;
  const Kernels& kernels_;

 public:
  std::vector<std::unique_ptr<void, Free>> kept_;
};

int size_of(const nb::dict& sizes, const char* name) {
  const int size = nb::cast<int>(sizes[name]);
  if (size < 0) throw nb::value_error(sentence("%s must not be negative, got %d", name, size).c_str());
  return size;
}

void expect_indices(const char* name, const int32_t* indices, int count, const char* of, int limit) {
  for (int i = 0; i < count; ++i) {
    if (indices[i] < 0 || indices[i] >= limit) {
      throw nb::value_error(sentence("%s names %s %d of %d", name, of, indices[i], limit).c_str());
    }
  }
}

class FrameStep {
 public:
  FrameStep(const char* instruction_set, const nb::dict& sizes, int64_t max_age_ns,
            const nb::dict& arrays)
      : kernels_(kernels_named(instruction_set)) {
    model_.sides = size_of(sizes, "sides");
    model_.width = size_of(sizes, "width");
    model_.heads = size_of(sizes, "heads");
    model_.depth = size_of(sizes, "depth");
    model_.hidden = size_of(sizes, "hidden");
    model_.window = size_of(sizes, "window");
    model_.representation = size_of(sizes, "representation");
    model_.embedding = size_of(sizes, "embedding");
    model_.bones = size_of(sizes, "bones");
    model_.extras = size_of(sizes, "extras");
    model_.max_age_ns = max_age_ns;
    if (model_.heads < 1 || model_.width % (2 * model_.heads) != 0 || model_.window < 1 ||
        (model_.sides != 1 && model_.sides != 2)) {
      throw nb::value_error("these sizes are not those of a model with one token a frame");
    }
    take_weights(arrays);
    scratch_ = zeros<float>(kernels_.scratch_floats(model_));
  }

  void encode(const Array<float, 4>& window_keys, const Array<float, 4>& window_values,
              const Array<float, 3>& window_features, const Array<int64_t, 2>& window_time_ns,
              const Array<int32_t, 1>& window_head, const Array<int32_t, 1>& window_fill,
              const Array<const float, 3>& rows, const Array<const float, 2>& extras,
              const Array<const int32_t, 1>& slots, const Array<const int64_t, 1>& time_ns,
              const Array<float, 2>& embeddings) {
    expect_one_window(window_keys, window_values, window_features, window_time_ns, window_head,
                      window_fill);
    expect(window_keys, "window_keys", 1, static_cast<size_t>(model_.depth * model_.sides));
    expect(window_keys, "window_keys", 2, static_cast<size_t>(model_.window));
    expect(window_keys, "window_keys", 3, static_cast<size_t>(model_.width));
    expect(window_features, "window_features", 2,
           static_cast<size_t>(model_.sides * model_.representation));
    const size_t persons = slots.shape(0);
    expect(rows, "rows", 0, persons);
    expect(rows, "rows", 1, kJoints);
    expect(rows, "rows", 2, kRowChannels);
    expect(extras, "extras", 0, persons);
    expect(extras, "extras", 1, static_cast<size_t>(model_.extras));
    expect(time_ns, "time_ns", 0, persons);
    expect(embeddings, "embeddings", 0, persons);
    expect(embeddings, "embeddings", 1, static_cast<size_t>(model_.embedding));
    const Rings rings{numbers(window_keys, "window_keys"),
                      numbers(window_values, "window_values"),
                      numbers(window_features, "window_features"),
                      numbers(window_time_ns, "window_time_ns"),
                      numbers(window_head, "window_head"),
                      numbers(window_fill, "window_fill")};
    const Slots given(slots, rings.head, rings.fill, window_head.shape(0), window_time_ns.shape(1));
    given.check_distinct();
    const EncoderBatch all{static_cast<int>(persons),     given.slots,
                           numbers(time_ns, "time_ns"),   numbers(rows, "rows"),
                           numbers(extras, "extras"),     numbers(embeddings, "embeddings")};

    nb::gil_scoped_release released;
    for (int first = 0; first < all.persons; first += kPersonsAtOnce) {
      EncoderBatch part = all;
      part.persons = all.persons - first < kPersonsAtOnce ? all.persons - first : kPersonsAtOnce;
      part.slots += first;
      part.time_ns += first;
      part.rows += static_cast<int64_t>(first) * kJoints * kRowChannels;
      part.extras += static_cast<int64_t>(first) * model_.extras;
      part.embeddings += static_cast<int64_t>(first) * model_.embedding;
      kernels_.encode(model_, rings, part, scratch_.get());
    }
  }

  void lift(const Array<float, 3>& window_features, const Array<int32_t, 1>& window_head,
            const Array<int32_t, 1>& window_fill, const Array<const int32_t, 1>& slots,
            const Array<const int32_t, 1>& frames_back, const Array<const float, 1>& lag_s,
            const Array<float, 3>& poses, const Array<float, 2>& sigmas) {
    const size_t persons = slots.shape(0);
    expect(window_features, "window_features", 1, static_cast<size_t>(model_.window));
    expect(window_features, "window_features", 2,
           static_cast<size_t>(model_.sides * model_.representation));
    expect(window_head, "window_head", 0, window_features.shape(0));
    expect(window_fill, "window_fill", 0, window_features.shape(0));
    expect(frames_back, "frames_back", 0, persons);
    expect(lag_s, "lag_s", 0, persons);
    expect(poses, "poses", 0, persons);
    expect(poses, "poses", 1, kJoints);
    expect(poses, "poses", 2, 3);
    expect(sigmas, "sigmas", 0, persons);
    expect(sigmas, "sigmas", 1, kJoints);
    const Rings rings{nullptr,
                      nullptr,
                      numbers(window_features, "window_features"),
                      nullptr,
                      numbers(window_head, "window_head"),
                      numbers(window_fill, "window_fill")};
    const Slots given(slots, rings.head, rings.fill, window_head.shape(0), window_features.shape(1));
    const LifterBatch all{static_cast<int>(persons), given.slots, numbers(frames_back, "frames_back"),
                          numbers(lag_s, "lag_s"),   numbers(poses, "poses"),
                          numbers(sigmas, "sigmas")};
    given.check_held(all.frames_back);

    nb::gil_scoped_release released;
    for (int first = 0; first < all.persons; first += kPersonsAtOnce) {
      LifterBatch part = all;
      part.persons = all.persons - first < kPersonsAtOnce ? all.persons - first : kPersonsAtOnce;
      part.slots += first;
      part.frames_back += first;
      part.lag_s += first;
      part.poses += static_cast<int64_t>(first) * kJoints * 3;
      part.sigmas += static_cast<int64_t>(first) * kJoints;
      kernels_.lift(model_, rings, part, scratch_.get());
    }
  }

 private:
  void take_weights(const nb::dict& arrays) {
    Store store(arrays, kernels_);
    const int width = model_.width, representation = model_.representation;
    model_.periods_ns = store.numbers_of<int64_t>("periods_ns", {model_.head_channels() / 2});
    model_.opposite = store.numbers_of<int32_t>("opposite", {kJoints});
    model_.bone_joints = store.numbers_of<int32_t>("bone_joints", {model_.bones, 2});
    model_.bone_lengths_m = store.numbers_of<float>("bone_lengths_m", {model_.bones});
    model_.extra_order = store.numbers_of<int32_t>("extra_order", {model_.extras});
    model_.extra_sign = store.numbers_of<float>("extra_sign", {model_.extras});
    expect_indices("opposite", model_.opposite, kJoints, "joint", kJoints);
    expect_indices("bone_joints", model_.bone_joints, 2 * model_.bones, "joint", kJoints);
    expect_indices("extra_order", model_.extra_order, model_.extras, "input", model_.extras);
    model_.embed = store.linear("encoder.embed", width, model_.inputs());
    model_.embed_up = store.linear("encoder.embed_mlp.0", width, width);
    model_.embed_down = store.linear("encoder.embed_mlp.2", width, width);
    for (int index = 0; index < model_.depth; ++index) {
      const std::string name = "encoder.layers." + std::to_string(index) + ".streams.0.temporal.";
      layers_.push_back({store.norm(name + "norm", width), store.norm(name + "mlp_norm", width),
                         store.linear(name + "attention.qkv", 3 * width, width),
                         store.linear(name + "attention.out", width, width),
                         store.linear(name + "mlp.0", model_.hidden, width),
                         store.linear(name + "mlp.2", width, model_.hidden)});
    }
    model_.layers = layers_.data();
    model_.norm = store.norm("encoder.norm", width);
    model_.to_representation = store.linear("encoder.to_representation", representation, width);
    model_.to_embedding = store.linear("encoder.to_embedding", model_.embedding, representation);
    model_.lifter_hidden =
        store.linear("lifter.hidden.0", 2 * representation, 2 * representation + kLagChannels);
    model_.lifter_pose = store.linear("lifter.to_pose_and_log_sigma", kPoseChannels, 2 * representation);
    kept_ = std::move(store.kept_);
  }

  const Kernels& kernels_;
  Model model_{};
  std::vector<Layer> layers_;
  std::vector<std::unique_ptr<void, Free>> kept_;
  Buffer<float> scratch_;
};

}  // namespace

void bind_frame_step(nb::module_& module) {
  const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
  nb::dict sets;
  for (const Kernels* kernels : kernels_here()) sets[kernels->name] = kernels->reads_half;
  module.attr("INSTRUCTION_SETS") = sets;
  nb::class_<FrameStep>(module, "FrameStep")
      .def(nb::init<const char*, const nb::dict&, int64_t, const nb::dict&>(),
           nb::arg("instruction_set"), nb::arg("sizes"), nb::arg("max_age_ns"), nb::arg("arrays"))
      .def("encode", &FrameStep::encode, array("window_keys"), array("window_values"),
           array("window_features"), array("window_time_ns"), array("window_head"), array("window_fill"),
           array("rows"), array("extras"), array("slots"), array("time_ns"), array("embeddings"),
           "Take the newest frame of every given person into the rings.")
      .def("lift", &FrameStep::lift, array("window_features"), array("window_head"),
           array("window_fill"), array("slots"), array("frames_back"), array("lag_s"), array("poses"),
           array("sigmas"), "Fill poses and sigmas of frames that are in the rings.");
}

}  // namespace langpose

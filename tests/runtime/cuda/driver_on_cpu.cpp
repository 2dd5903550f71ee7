// A CUDA driver without a device: "device" memory is host memory, kernels run on CPU threads, streams do
// at once what they are given, and graphs are recorded and replayed. Enough of the driver for
// langpose_rt.runtime.cuda through the real cuda.bindings, which finds it as libcuda.so.1. It is strict
// where a device would fail silently: it counts what is not freed, and refuses unknown addresses, calls
// without a context, allocation while a stream is being captured, and the use of what was destroyed.
// It shows nothing about speed, nor about the order in which a device does things.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "../../cpp_ext/kernels_on_cpu.cpp"

using Status = int;
constexpr Status kOk = 0, kInvalidValue = 1, kNoMemory = 2, kInvalidContext = 201, kNotFound = 500,
                 kLaunchFailed = 719, kCapturing = 900, kInvalidImage = 200;
using Address = unsigned long long;
using Graph = std::vector<std::function<void()>>;

struct Stream {
  std::unique_ptr<Graph> recording;
};
struct Function {
  std::string name, sizes;
};
// Of every argument, as in langpose_rt.runtime.cuda.kernels.
static const std::map<std::string, std::string> kArguments = {
    {"push", "PPPPPPPPPPPiiii"}, {"reset", "PPPPPPPiiii"},
    {"look", "PPPPPPPPPPPPiiiiq"}, {"feature_at", "PPPPPPii"}};

static std::mutex mutex;
static std::map<Address, size_t> device_memory, pinned_memory;
static std::set<Stream*> streams;
static std::set<Graph*> graphs;
static int retained = 0, modules = 0, launches = 0, graph_launches = 0, fails_after = -1;
static bool failed = false;
static thread_local int entered = 0;

static Status ready() {
  if (failed) return kLaunchFailed;  // as on a device: nothing works any more
  return entered > 0 ? kOk : kInvalidContext;
}
static bool holds(const std::map<Address, size_t>& memory, Address address, size_t size) {
  auto after = memory.upper_bound(address);
  if (after == memory.begin()) return false;
  auto [start, length] = *--after;
  return address + size <= start + length;
}
static bool capturing() {
  for (Stream* stream : streams)
    if (stream->recording) return true;
  return false;
}
static Status give(Stream* stream, std::function<void()> work) {
  if (!streams.count(stream)) return kInvalidValue;
  if (stream->recording) {
    stream->recording->push_back(std::move(work));
  } else {
    work();
  }
  return kOk;
}
static Status allocate(std::map<Address, size_t>& memory, void* out, size_t size) {
  if (Status status = ready()) return status;
  if (capturing()) return kCapturing;
  if (size == 0) return kInvalidValue;
  if (size > (1ull << 33)) return kNoMemory;
  void* got = aligned_alloc(256, (size + 255) / 256 * 256);
  memset(got, 0xff, size);  // NaN: whoever reads what was never written will see it
  memory[reinterpret_cast<Address>(got)] = size;
  memcpy(out, &got, sizeof got);
  return kOk;
}
static Status release(std::map<Address, size_t>& memory, Address address) {
  if (!memory.erase(address)) return kInvalidValue;
  free(reinterpret_cast<void*>(address));
  return kOk;
}

#define CUDA extern "C" __attribute__((visibility("default"))) Status
CUDA cuInit(unsigned) { return kOk; }
CUDA cuDriverGetVersion(int* version) { return *version = 13000, kOk; }
CUDA cuDeviceGetCount(int* count) { return *count = 1, kOk; }
CUDA cuDeviceGet(int* device, int) { return *device = 0, kOk; }
CUDA cuDeviceGetName(char* name, int size, int) {
  strncpy(name, "CPU threads, no GPU", size);
  return kOk;
}
CUDA cuDeviceTotalMem_v2(size_t* size, int) { return *size = 1ull << 33, kOk; }
CUDA cuDeviceTotalMem(size_t* size, int) { return *size = 1ull << 33, kOk; }
CUDA cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;
  return kOk;
}
CUDA cuDevicePrimaryCtxRetain(void** context, int) {
  ++retained;
  return *context = &retained, kOk;
}
CUDA cuDevicePrimaryCtxRelease(int) { return --retained, kOk; }
CUDA cuCtxPushCurrent(void*) { return ++entered, kOk; }
CUDA cuCtxPopCurrent(void** context) { return *context = &retained, --entered, kOk; }
CUDA cuGetErrorString(int status, const char** text) {
  static const std::map<int, const char*> kTexts = {
      {kInvalidValue, "invalid argument"}, {kNoMemory, "out of memory"},
      {kInvalidContext, "invalid device context"}, {kNotFound, "named symbol not found"},
      {kLaunchFailed, "unspecified launch failure"}, {kCapturing, "operation not permitted when stream is capturing"},
      {kInvalidImage, "device kernel image is invalid"}};
  auto known = kTexts.find(status);
  *text = known == kTexts.end() ? "unknown error" : known->second;
  return kOk;
}
CUDA cuStreamCreate(void** out, unsigned) {
  if (Status status = ready()) return status;
  auto* stream = new Stream;
  streams.insert(stream);
  return *out = stream, kOk;
}
CUDA cuStreamDestroy(Stream* stream) {
  if (!streams.erase(stream)) return kInvalidValue;
  delete stream;
  return kOk;
}
CUDA cuStreamSynchronize(Stream* stream) {
  if (Status status = ready()) return status;
  if (!streams.count(stream)) return kInvalidValue;
  return stream->recording ? kCapturing : kOk;
}
CUDA cuCtxSynchronize() { return ready(); }
CUDA cuMemAlloc(Address* out, size_t size) { return allocate(device_memory, out, size); }
CUDA cuMemFree(Address address) { return release(device_memory, address); }
CUDA cuMemHostAlloc(void** out, size_t size, unsigned) { return allocate(pinned_memory, out, size); }
CUDA cuMemFreeHost(void* address) { return release(pinned_memory, reinterpret_cast<Address>(address)); }
CUDA cuMemsetD8(Address address, unsigned char value, size_t size) {
  if (!holds(device_memory, address, size)) return kInvalidValue;
  memset(reinterpret_cast<void*>(address), value, size);
  return kOk;
}
static Status copy(Address to, Address from, size_t size, Stream* stream) {
  return give(stream, [=] { memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), size); });
}
CUDA cuMemcpyHtoDAsync(Address to, void* from, size_t size, Stream* stream) {
  if (Status status = ready()) return status;
  const Address host = reinterpret_cast<Address>(from);
  if (!holds(device_memory, to, size) || !holds(pinned_memory, host, size)) return kInvalidValue;
  return copy(to, host, size, stream);
}
CUDA cuMemcpyDtoHAsync(void* to, Address from, size_t size, Stream* stream) {
  if (Status status = ready()) return status;
  const Address host = reinterpret_cast<Address>(to);
  if (!holds(pinned_memory, host, size) || !holds(device_memory, from, size)) return kInvalidValue;
  return copy(host, from, size, stream);
}
CUDA cuModuleLoadData(void** out, const void* image) {
  if (Status status = ready()) return status;
  if (memcmp(image, "\x7f" "ELF", 4)) return kInvalidImage;  // a cubin is one
  ++modules;
  return *out = &modules, kOk;
}
CUDA cuModuleUnload(void*) { return --modules, kOk; }
CUDA cuModuleGetFunction(Function** out, void*, const char* name) {
  std::string kind = name;
  if (kind.rfind("window_", 0) != 0) return kNotFound;
  kind = kind.substr(7);
  for (const char* suffix : {"_float", "_half"})
    if (size_t at = kind.rfind(suffix); at != std::string::npos) kind = kind.substr(0, at);
  auto known = kArguments.find(kind);
  if (known == kArguments.end()) return kNotFound;
  return *out = new Function{name, known->second}, kOk;
}
CUDA cuLaunchKernel(Function* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned,
                    unsigned, unsigned, Stream* stream, void** arguments, void** packed) {
  if (Status status = ready()) return status;
  if (!x || !y || z != 1 || !threads || threads > 1024) return kInvalidValue;
  size_t offset = 0;
  auto values = std::make_shared<std::vector<Address>>();  // a launch keeps its arguments, not pointers
  for (size_t i = 0; i < function->sizes.size(); ++i) {
    Address value = 0;
    const size_t size = function->sizes[i] == 'i' ? 4 : 8;
    if (arguments) {
      memcpy(&value, arguments[i], size);
    } else {  // PyCUDA: one buffer, every argument at a multiple of its size
      offset = (offset + size - 1) / size * size;
      memcpy(&value, static_cast<char*>(packed[1]) + offset, size);
      offset += size;
    }
    if (function->sizes[i] == 'P' && !holds(device_memory, value, 1)) return kInvalidValue;
    values->push_back(value);
  }
  if (fails_after >= 0 && fails_after-- == 0) return failed = true, kLaunchFailed;
  return give(stream, [=, name = function->name] {
    ++launches;
    std::vector<void*> pointers;
    for (Address& value : *values) pointers.push_back(&value);
    launch_on_cpu(name.c_str(), x, y, 1, pointers.data());  // any number of threads is right
  });
}
CUDA cuStreamBeginCapture(Stream* stream, int) {
  if (Status status = ready()) return status;
  if (!streams.count(stream) || stream->recording) return kInvalidValue;
  if (getenv("LANGPOSE_NO_GRAPHS")) return kInvalidValue;
  stream->recording = std::make_unique<Graph>();
  return kOk;
}
CUDA cuStreamEndCapture(Stream* stream, Graph** out) {
  if (!streams.count(stream) || !stream->recording) return kInvalidValue;
  *out = stream->recording.release();
  graphs.insert(*out);
  return kOk;
}
CUDA cuGraphInstantiateWithFlags(Graph** out, Graph* graph, unsigned long long) {
  if (!graphs.count(graph)) return kInvalidValue;
  *out = new Graph(*graph);
  graphs.insert(*out);
  return kOk;
}
CUDA cuGraphInstantiate(Graph** out, Graph* graph, unsigned long long flags) {
  return cuGraphInstantiateWithFlags(out, graph, flags);
}
CUDA cuGraphLaunch(Graph* graph, Stream* stream) {
  if (Status status = ready()) return status;
  if (!graphs.count(graph) || !streams.count(stream)) return kInvalidValue;
  if (fails_after >= 0 && fails_after-- == 0) return failed = true, kLaunchFailed;
  ++graph_launches;
  for (auto& work : *graph) work();
  return kOk;
}
CUDA cuGraphDestroy(Graph* graph) {
  if (!graphs.erase(graph)) return kInvalidValue;
  delete graph;
  return kOk;
}
CUDA cuGraphExecDestroy(Graph* graph) { return cuGraphDestroy(graph); }

// Names under which PyCUDA, which links, asks for the same; cuda.bindings asks by the plain ones.
CUDA cuCtxPushCurrent_v2(void* context) { return cuCtxPushCurrent(context); }
CUDA cuCtxPopCurrent_v2(void** context) {
  void* unused;
  return cuCtxPopCurrent(context ? context : &unused);
}
CUDA cuFuncSetBlockShape(Function*, int, int, int) { return ready(); }
CUDA cuCtxGetDevice(int* device) { return *device = 0, kOk; }
CUDA cuDevicePrimaryCtxRelease_v2(int device) { return cuDevicePrimaryCtxRelease(device); }
CUDA cuMemAlloc_v2(Address* out, size_t size) { return cuMemAlloc(out, size); }
CUDA cuMemFree_v2(Address address) { return cuMemFree(address); }
CUDA cuMemsetD8_v2(Address address, unsigned char value, size_t size) { return cuMemsetD8(address, value, size); }
CUDA cuStreamDestroy_v2(Stream* stream) { return cuStreamDestroy(stream); }
CUDA cuMemcpyHtoDAsync_v2(Address to, void* from, size_t size, Stream* stream) {
  return cuMemcpyHtoDAsync(to, from, size, stream);
}
CUDA cuMemcpyDtoHAsync_v2(void* to, Address from, size_t size, Stream* stream) {
  return cuMemcpyDtoHAsync(to, from, size, stream);
}
CUDA cuModuleLoadDataEx(void** out, const void* image, unsigned, int*, void**) {
  return cuModuleLoadData(out, image);
}

// For the tests.
CUDA on_cpu_counts(int* out) {  // kernel launches, graph launches, and everything that is still held
  out[0] = launches, out[1] = graph_launches;
  out[2] = device_memory.size(), out[3] = pinned_memory.size(), out[4] = streams.size();
  return out[5] = graphs.size(), out[6] = retained, out[7] = modules, kOk;
}
CUDA on_cpu_fail_after(int count) { return fails_after = count, failed = false, kOk; }
CUDA on_cpu_enqueue(Stream* stream, void (*work)(int), int which) {  // as a library that has its own kernels
  return give(stream, [=] { work(which); });
}

static Status address_of(const char* symbol, void** out, int* found) {
  static void* self = [] {
    Dl_info info;
    dladdr(reinterpret_cast<void*>(&cuInit), &info);
    return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  }();
  *out = dlsym(self, symbol);
  if (found) *found = *out ? 0 : 1;
  return *out ? kOk : kNotFound;
}
CUDA cuGetProcAddress(const char* symbol, void** out, int, unsigned long long) {
  return address_of(symbol, out, nullptr);
}
CUDA cuGetProcAddress_v2(const char* symbol, void** out, int version, unsigned long long flags, int* found) {
  if (std::string(symbol) == "cuGetProcAddress") {
    *out = version >= 12000 ? reinterpret_cast<void*>(&cuGetProcAddress_v2) : reinterpret_cast<void*>(&cuGetProcAddress);
    if (found) *found = 0;
    return (void)flags, kOk;
  }
  return address_of(symbol, out, found);
}

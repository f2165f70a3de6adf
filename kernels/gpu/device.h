// The GPU as the host sees it: memory, copies, streams, events. Two implementations: the CUDA runtime (device_cuda.cpp)
// and the emulator (kernels/simt/). Nothing here needs a CUDA header. What goes wrong is a gpu::Failure that names the
// call or the kernel.
//
// Work on a stream runs in order; a function that takes a stream returns before its work is done, unless it says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

// The CUDA runtime's own names for the handles.
struct CUstream_st;
struct CUevent_st;

namespace lookalike::gpu {

// Whether this build has GPU kernels. Where it is false nothing in namespaces gpu and cuda is defined; code that calls
// them stands behind `if constexpr (gpu::kBuilt)`.
#ifdef LOOKALIKE_HAS_GPU
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;
#endif

using Stream = CUstream_st*;
using Event = CUevent_st*;

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Whether there is a device that this build can use; if not, why_not() is one line that says what is missing.
bool available();
std::string why_not();

struct Limits {
  std::string name;
  int major, minor;  // compute capability
  int multiprocessors;
  int64_t shared_bytes;  // that one block may have
  int64_t memory_bytes;
};
const Limits& limits();

// All kernels and most copies run on the compute stream; uploads that overlap with them on the copy stream.
Stream compute_stream();
Stream copy_stream();
// Returns when everything on the stream is done; reports what went wrong there.
void synchronize(Stream stream);

// Memory from a pool. It may be used on `stream` at once, and is given back when what is on `stream` by then is done.
// `bytes` may be 0.
void* allocate(size_t bytes, Stream stream);
void release(void* memory, Stream stream) noexcept;
// Host memory that copies can overlap with kernels.
void* allocate_pinned(size_t bytes);
void release_pinned(void* memory) noexcept;

// Copies from and to ordinary host memory have taken the source when they return.
void copy_to_device(void* to, const void* from, size_t bytes, Stream stream);
// Returns when the bytes are there.
void copy_to_host(void* to, const void* from, size_t bytes, Stream stream);
void copy_on_device(void* to, const void* from, size_t bytes, Stream stream);
void fill_bytes(void* memory, uint8_t value, size_t bytes, Stream stream);

Event make_event();
void destroy(Event event) noexcept;
void record(Event event, Stream stream);
// What comes later on `stream` waits for the event.
void wait(Stream stream, Event event);
// The host waits.
void synchronize(Event event);
// Between two recorded events that are done.
double milliseconds(Event from, Event to);

}  // namespace lookalike::gpu

// kernels/gpu/device.h on the emulator: device memory is host memory that the checker knows, and everything is done at once.
#include <chrono>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "kernels/simt/emulator.h"

struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};

namespace lookalike::gpu {

bool available() {
  return true;
}
std::string why_not() {
  return "";
}

const Limits& limits() {
  static const Limits result{.name = "emulator",
                             .major = 9,
                             .minor = 0,
                             .multiprocessors = 5,  // so that plans have parts, of several rounds, and uneven ones
                             .shared_bytes = simt::Emulator::kSharedBytes,
                             .memory_bytes = int64_t{8} << 30};
  return result;
}

Stream compute_stream() {
  return nullptr;
}
Stream copy_stream() {
  return nullptr;
}
void synchronize(Stream) {}

void* allocate(size_t bytes, Stream) {
  void* const memory = std::aligned_alloc(256, (bytes + 256) / 256 * 256);
  if (!memory) throw Failure(fmt::format("out of GPU memory: {} bytes asked for", bytes));
  std::memset(memory, 0xFF, bytes);
  simt::emulator().buffers[reinterpret_cast<uintptr_t>(memory)] = {bytes, {}};
  return memory;
}
void release(void* memory, Stream) noexcept {
  simt::emulator().recent = nullptr;  // it may be this one
  simt::emulator().buffers.erase(reinterpret_cast<uintptr_t>(memory));
  std::free(memory);
}
void* allocate_pinned(size_t bytes) {
  return std::malloc(bytes);
}
void release_pinned(void* memory) noexcept {
  std::free(memory);
}

void copy_to_device(void* to, const void* from, size_t bytes, Stream) {
  if (bytes) std::memcpy(to, from, bytes);
}
void copy_to_host(void* to, const void* from, size_t bytes, Stream) {
  if (bytes) std::memcpy(to, from, bytes);
}
void copy_on_device(void* to, const void* from, size_t bytes, Stream) {
  if (bytes) std::memcpy(to, from, bytes);
}
void fill_bytes(void* memory, uint8_t value, size_t bytes, Stream) {
  if (bytes) std::memset(memory, value, bytes);
}

Event make_event() {
  return new CUevent_st;
}
void destroy(Event event) noexcept {
  delete event;
}
void record(Event event, Stream) {
  event->time = std::chrono::steady_clock::now();
}
void wait(Stream, Event) {}
void synchronize(Event) {}
double milliseconds(Event from, Event to) {
  return std::chrono::duration<double, std::milli>(to->time - from->time).count();
}

}  // namespace lookalike::gpu

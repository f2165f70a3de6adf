#include <cuda_runtime.h>

#include <source_location>

#include <fmt/format.h>

#include "kernels/gpu/device.h"
#include "kernels/gpu/kernel.h"

namespace lookalike::gpu {
namespace {

void check(cudaError_t status, const char* what, std::source_location where = std::source_location::current()) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that it is not reported again
  throw Failure(fmt::format("{}:{}: {}: {}", where.file_name(), where.line(), what, cudaGetErrorString(status)));
}

cudaError_t count_devices(int* count) {
  const cudaError_t status = cudaGetDeviceCount(count);
  if (status != cudaSuccess) cudaGetLastError();
  return status;
}

Stream make_stream() {
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return stream;
}

}  // namespace

bool available() {
  static const bool found = [] {
    int count = 0;
    return count_devices(&count) == cudaSuccess && count > 0 && limits().major >= 8;
  }();
  return found;
}

std::string why_not() {
  int count = 0;
  if (const cudaError_t status = count_devices(&count); status != cudaSuccess) {
    return fmt::format("no usable GPU: {}", cudaGetErrorString(status));
  }
  if (count == 0) return "no GPU found";
  return fmt::format("the GPU {} has compute capability {}.{}, needed is 8.0", limits().name, limits().major,
                     limits().minor);
}

const Limits& limits() {
  static const Limits result = [] {
    int device = 0;
    cudaDeviceProp properties;
    check(cudaGetDevice(&device), "choosing a device");
    check(cudaGetDeviceProperties(&properties, device), "reading the device's properties");
    return Limits{.name = properties.name,
                  .major = properties.major,
                  .minor = properties.minor,
                  .multiprocessors = properties.multiProcessorCount,
                  .shared_bytes = static_cast<int64_t>(properties.sharedMemPerBlockOptin),
                  .memory_bytes = static_cast<int64_t>(properties.totalGlobalMem)};
  }();
  return result;
}

Stream compute_stream() {
  static const Stream stream = [] {
    // Freed memory stays in the pool.
    int device = 0;
    cudaMemPool_t pool;
    uint64_t keep = ~uint64_t{0};
    check(cudaGetDevice(&device), "choosing a device");
    check(cudaDeviceGetDefaultMemPool(&pool, device), "finding the memory pool");
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "setting up the memory pool");
    return make_stream();
  }();
  return stream;
}

Stream copy_stream() {
  static const Stream stream = make_stream();
  return stream;
}

void synchronize(Stream stream) {
  check(cudaStreamSynchronize(stream), "waiting for the GPU");
}

void* allocate(size_t bytes, Stream stream) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocAsync(&memory, bytes == 0 ? 1 : bytes, stream);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Failure(fmt::format("out of GPU memory: {} bytes asked for, {} of {} free", bytes, free, total));
  }
  check(status, "allocating GPU memory");
  return memory;
}

void release(void* memory, Stream stream) noexcept {
  if (memory) cudaFreeAsync(memory, stream);
}

void* allocate_pinned(size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes == 0 ? 1 : bytes), "allocating pinned memory");
  return memory;
}

void release_pinned(void* memory) noexcept {
  if (memory) cudaFreeHost(memory);
}

void copy_to_device(void* to, const void* from, size_t bytes, Stream stream) {
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "copying to the GPU");
}

void copy_to_host(void* to, const void* from, size_t bytes, Stream stream) {
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "copying from the GPU");
  synchronize(stream);
}

void copy_on_device(void* to, const void* from, size_t bytes, Stream stream) {
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copying on the GPU");
}

void fill_bytes(void* memory, uint8_t value, size_t bytes, Stream stream) {
  if (bytes) check(cudaMemsetAsync(memory, value, bytes, stream), "filling GPU memory");
}

Event make_event() {
  cudaEvent_t event;
  check(cudaEventCreate(&event), "making an event");
  return event;
}

void destroy(Event event) noexcept {
  if (event) cudaEventDestroy(event);
}

void record(Event event, Stream stream) {
  check(cudaEventRecord(event, stream), "recording an event");
}

void wait(Stream stream, Event event) {
  check(cudaStreamWaitEvent(stream, event, 0), "waiting for an event");
}

void synchronize(Event event) {
  check(cudaEventSynchronize(event), "waiting for an event");
}

double milliseconds(Event from, Event to) {
  float result = 0;
  check(cudaEventElapsedTime(&result, from, to), "reading the time between events");
  return result;
}

void detail::launch(const Launch& how, const void* kernel, void** arguments) {
  if (how.shared_bytes > 0) {  // more than 48 KiB, static arrays included, must be asked for
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(how.shared_bytes)),
          how.name, how.where);
  }
  check(cudaLaunchKernel(kernel, how.grid, how.block, arguments, how.shared_bytes, how.stream), how.name, how.where);
}

}  // namespace lookalike::gpu

// From a tensor to the kernels of its device and element type:
//
//   LOOKALIKE_ON_DEVICE(x, { on::relu_forward(x.data<T>(), y.data<T>(), x.size(), stream...); });
//
// compiles the block for each combination and runs the one that fits x. In it
//   on         is the namespace of the kernels, cpu or cuda
//   T          is x's element type: float or double on the CPU, float or bf16 on the GPU
//   W          is the type of weights and statistics: T on the CPU, float on the GPU
//   stream...  is the compute stream, or nothing on the CPU
#pragma once

#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "engine/core/shape.h"
#include "kernels/gpu/device.h"

#define LOOKALIKE_ON_CPU(tensor, ...)                                                                   \
  ::lookalike::with_float((tensor).dtype(), [&]<class T, class... S>(T, [[maybe_unused]] S... stream) { \
    using W [[maybe_unused]] = T;                                                                       \
    namespace on = ::lookalike::cpu;                                                                    \
    __VA_ARGS__                                                                                         \
  })

#define LOOKALIKE_ON_GPU(tensor, ...)                                                     \
  if constexpr (::lookalike::gpu::kBuilt)                                                 \
  ::lookalike::with_gpu_float((tensor).device(), (tensor).dtype(),                        \
                              [&]<class T, class... S>(T, [[maybe_unused]] S... stream) { \
                                using W [[maybe_unused]] = float;                         \
                                namespace on = ::lookalike::cuda;                         \
                                __VA_ARGS__                                               \
                              })

#define LOOKALIKE_ON_DEVICE(tensor, ...)               \
  do {                                                 \
    if ((tensor).device() == ::lookalike::Device::cpu) \
      LOOKALIKE_ON_CPU(tensor, __VA_ARGS__);           \
    else                                               \
      LOOKALIKE_ON_GPU(tensor, __VA_ARGS__);           \
  } while (false)

namespace lookalike {

namespace cpu {}
namespace cuda {}

// Calls body(T{}, stream) with T = float or bf16; anything else is an Error. On Device::meta there
// is nothing to compute.
template <class Body>
void with_gpu_float(Device device, DType type, const Body& body) {
  if (device == Device::meta) return;
  if (type == DType::bf16) return body(bf16{}, gpu::compute_stream());
  check(type == DType::f32, "element type is {}, expected f32 or bf16 on the GPU", name_of(type));
  body(float{}, gpu::compute_stream());
}

// GPU kernels that say so in their headers count elements in 31 bits, with room for the threads behind the end.
inline void check_gpu_size(const char* op, const Shape& shape, Device device) {
  constexpr int64_t kMost = (int64_t{1} << 31) - (1 << 16);
  check(device != Device::cuda || shape.size() <= kMost,
        "{}: {} has {} elements, expected at most {} on the GPU", op, shape, shape.size(), kMost);
}
// Of the images of a convolution, whose channels its kernels fill up to 16 bytes, and whose rows and columns they count in 16
// bits with the padding.
inline void check_gpu_images(const char* op, const Shape& shape, int64_t padding, DType type, Device device) {
  if (device != Device::cuda) return;
  const int64_t width = type == DType::bf16 ? 8 : 4, channels = shape[3];
  const int64_t filled = channels < 3 ? channels : (channels + width - 1) / width * width;
  check_gpu_size(op, {shape[0], shape[1], shape[2], filled}, device);
  constexpr int64_t kMost = (1 << 15) - 1;
  check(shape[1] + 2 * padding <= kMost && shape[2] + 2 * padding <= kMost,
        "{}: images {} with padding {}, expected at most {} rows and columns on the GPU", op, shape, padding, kMost);
}

}  // namespace lookalike

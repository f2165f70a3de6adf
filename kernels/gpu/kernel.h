// What every .cu file includes: the CUDA language, from nvcc or from the emulator, and launch().
//
//   LOOKALIKE_SHARED(float, tile, [32][33]);     an array in shared memory, in a kernel's body
//   LOOKALIKE_DYNAMIC_SHARED(float, buffer);     float* to the launch's dynamic shared memory, aligned to 16 bytes
//   launch({"add_forward", blocks, threads, stream}, add_kernel<T>, a, b, y, n);
#pragma once

#include <cstdint>
#include <source_location>
#include <tuple>

#include "kernels/bf16.h"
#include "kernels/gpu/device.h"

#ifdef LOOKALIKE_SIMT
#include "kernels/simt/simt.h"
#else
#include <cuda_runtime.h>
#define LOOKALIKE_SHARED(type, name, dimensions) __shared__ type name dimensions
#define LOOKALIKE_DYNAMIC_SHARED(type, name)                        \
  extern __shared__ __align__(16) unsigned char lookalike_shared[]; \
  type* const name = reinterpret_cast<type*>(lookalike_shared)
#endif

namespace lookalike::gpu {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// How to launch, and where in the source that was, for errors.
struct Launch {
  Launch(const char* name, dim3 grid, dim3 block, Stream stream, size_t shared_bytes = 0,
         std::source_location where = std::source_location::current())
      : name(name), grid(grid), block(block), stream(stream), shared_bytes(shared_bytes), where(where) {}

  const char* name;
  dim3 grid, block;
  Stream stream;
  size_t shared_bytes;  // dynamic
  std::source_location where;
};

#ifdef LOOKALIKE_SIMT
template <class... Parameters, class... Arguments>
void launch(const Launch& how, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
  const struct Call {
    void (*kernel)(Parameters...);
    std::tuple<std::remove_cv_t<Parameters>...> values;
  } call{kernel, {arguments...}};
  const auto thread = [](const void* of) {
    const auto& [function, values] = *static_cast<const Call*>(of);
    std::apply(function, values);
  };
  simt::run(how, thread, &call, sizeof(call));
}
#else
namespace detail {
void launch(const Launch& how, const void* kernel, void** arguments);
}
// No work (an empty grid) is no launch. The arguments are converted to the kernel's parameter types.
template <class... Parameters, class... Arguments>
void launch(const Launch& how, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
  std::tuple<std::remove_cv_t<Parameters>...> values(arguments...);
  std::apply(
      [&](auto&... value) {
        void* pointers[] = {&value..., nullptr};
        detail::launch(how, reinterpret_cast<const void*>(kernel), pointers);
      },
      values);
}
#endif

template <class Integer>
LOOKALIKE_HOST_DEVICE constexpr Integer ceil_divide(Integer a, Integer b) {
  return (a + b - 1) / b;
}

}  // namespace lookalike::gpu

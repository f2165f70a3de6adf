// Bound by memory: 6 bytes an element.
#include "kernels/cast.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T, class U>
struct Cast {
  const T* x;
  U* y;
  template <int kWidth>
  __device__ void run(int64_t i) const {
    const auto from = gpu::load<kWidth>(x + i);
    gpu::Pack<U, kWidth> to;
#pragma unroll
    for (int j = 0; j < kWidth; j++) to.x[j] = from_float<U>(to_float(from.x[j]));
    gpu::store(y + i, to);
  }
};

}  // namespace

void cast(const float* x, bf16* y, int64_t n, gpu::Stream stream) {
  gpu::for_runs<4>("cast", n, gpu::aligned_to_16(x, y), stream, Cast<float, bf16>{x, y});
}
void cast(const bf16* x, float* y, int64_t n, gpu::Stream stream) {
  gpu::for_runs<4>("cast", n, gpu::aligned_to_16(x, y), stream, Cast<bf16, float>{x, y});
}

}  // namespace lookalike::cuda

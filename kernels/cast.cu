// Bound by memory: 6 bytes an element.
#include "kernels/cast.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

template <class T>
struct alignas(4 * sizeof(T)) Four {
  T x[4];
};

template <class T, class U>
struct Cast {
  const T* x;
  U* y;
  __device__ void operator()(int64_t i) const { y[i] = from_float<U>(to_float(x[i])); }
};

template <class T, class U>
struct CastFour {
  const Four<T>* x;
  Four<U>* y;
  __device__ void operator()(int64_t i) const {
    const Four<T> from = x[i];
    Four<U> to;
#pragma unroll
    for (int j = 0; j < 4; j++) to.x[j] = from_float<U>(to_float(from.x[j]));
    y[i] = to;
  }
};

template <class T>
bool aligned(const T* x) {
  return reinterpret_cast<uintptr_t>(x) % sizeof(Four<T>) == 0;
}

template <class T, class U>
void cast_all(const T* x, U* y, int64_t n, gpu::Stream stream) {
  int64_t done = 0;
  if (aligned(x) && aligned(y)) {
    done = n / 4 * 4;
    gpu::for_each("cast", n / 4, stream,
                  CastFour<T, U>{reinterpret_cast<const Four<T>*>(x), reinterpret_cast<Four<U>*>(y)});
  }
  gpu::for_each("cast", n - done, stream, Cast<T, U>{x + done, y + done});
}

}  // namespace

void cast(const float* x, bf16* y, int64_t n, gpu::Stream stream) {
  cast_all(x, y, n, stream);
}
void cast(const bf16* x, float* y, int64_t n, gpu::Stream stream) {
  cast_all(x, y, n, stream);
}

}  // namespace lookalike::cuda

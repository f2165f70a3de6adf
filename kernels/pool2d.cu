// A thread makes a run of channels of one position, 16 bytes' worth where the channels divide by it, so that neighbouring
// threads read and write neighbouring memory. Backward gathers from the windows that cover a position: no atomics.
#include "kernels/gpu/elementwise.h"
#include "kernels/pool2d.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256;

// Channels first: the run and the position that a thread of a grid-stride loop works on.
struct Place {
  int64_t image, row, column, channel;
};
__device__ inline Place place_of(int64_t index, int64_t height, int64_t width, int64_t channels, int run) {
  const int64_t runs = channels / run, position = index / runs, line = position / width;
  return {line / height, line % height, position % width, index % runs * run};
}

template <class T, int kRun, bool kMax>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(Pool2dParams p, int64_t out_h, int64_t out_w, const T* x, T* y, uint8_t* argmax) {
  const int64_t items = p.images * out_h * out_w * (p.channels / kRun);
  const float share = 1.0f / static_cast<float>(p.size * p.size);
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < items; i += int64_t{gridDim.x} * blockDim.x) {
    const Place at = place_of(i, out_h, out_w, p.channels, kRun);
    const T* from =
        x + ((at.image * p.height + at.row * p.stride) * p.width + at.column * p.stride) * p.channels + at.channel;
    float best[kRun];
    gpu::Pack<uint8_t, kRun> winner;
#pragma unroll
    for (int j = 0; j < kRun; j++) best[j] = kMax ? -INFINITY : 0, winner.x[j] = 0;
    for (int h = 0; h < p.size; h++) {
      float line[kRun] = {};  // sums of lines, then of the window: shorter chains round less
      for (int w = 0; w < p.size; w++) {
        const auto values = gpu::load<kRun>(from + (h * p.width + w) * p.channels);
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float value = to_float(values.x[j]);
          if constexpr (kMax) {
            if (value > best[j]) best[j] = value, winner.x[j] = static_cast<uint8_t>(h * p.size + w);
          } else {
            line[j] += value;
          }
        }
      }
#pragma unroll
      for (int j = 0; !kMax && j < kRun; j++) best[j] += line[j];
    }
    const int64_t to = ((at.image * out_h + at.row) * out_w + at.column) * p.channels + at.channel;
    gpu::Pack<T, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(kMax ? best[j] : best[j] * share);
    gpu::store(y + to, out);
    if (kMax && argmax != nullptr) gpu::store(argmax + to, winner);
  }
}

template <class T, int kRun, bool kMax>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(Pool2dParams p, int64_t out_h, int64_t out_w, const T* dy, const uint8_t* argmax, T* dx) {
  const int64_t items = p.images * p.height * p.width * (p.channels / kRun);
  const float share = 1.0f / static_cast<float>(p.size * p.size);
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < items; i += int64_t{gridDim.x} * blockDim.x) {
    const Place at = place_of(i, p.height, p.width, p.channels, kRun);
    float sum[kRun] = {};
    // Windows [first, last] of each direction cover this position.
    const int64_t first_h = at.row < p.size ? 0 : (at.row - p.size) / p.stride + 1;
    const int64_t first_w = at.column < p.size ? 0 : (at.column - p.size) / p.stride + 1;
    const int64_t last_h = min(at.row / p.stride, out_h - 1), last_w = min(at.column / p.stride, out_w - 1);
    for (int64_t h = first_h; h <= last_h; h++) {
      for (int64_t w = first_w; w <= last_w; w++) {
        const int64_t from = ((at.image * out_h + h) * out_w + w) * p.channels + at.channel;
        const auto grads = gpu::load<kRun>(dy + from);
        gpu::Pack<uint8_t, kRun> winner;
        if constexpr (kMax) winner = gpu::load<kRun>(argmax + from);
        const int64_t place = (at.row - h * p.stride) * p.size + at.column - w * p.stride;
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float grad = to_float(grads.x[j]);
          if constexpr (kMax)
            sum[j] += winner.x[j] == place ? grad : 0.0f;
          else
            sum[j] += grad;
        }
      }
    }
    gpu::Pack<T, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(kMax ? sum[j] : sum[j] * share);
    gpu::store(dx + ((at.image * p.height + at.row) * p.width + at.column) * p.channels + at.channel, out);
  }
}

// body(integral_constant) with the length of the runs.
template <class T, class Body>
void with_run(int64_t channels, bool aligned, const Body& body) {
  constexpr int kRun = 16 / sizeof(T);
  if (aligned && channels % kRun == 0)
    body(std::integral_constant<int, kRun>{});
  else
    body(std::integral_constant<int, 1>{});
}

template <bool kMax, class T>
void forward(const char* name, const Pool2dParams& p, const T* x, T* y, uint8_t* argmax, gpu::Stream stream) {
  with_run<T>(p.channels, gpu::aligned_to_16(x, y, argmax), [&](auto run) {
    const int64_t items = p.images * p.out_height() * p.out_width() * p.channels / run;
    gpu::launch({name, dim3(gpu::elementwise_blocks(items, kThreads)), dim3(kThreads), stream},
                forward_kernel<T, run.value, kMax>, p, p.out_height(), p.out_width(), x, y, argmax);
  });
}

template <bool kMax, class T>
void backward(const char* name, const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx, gpu::Stream stream) {
  with_run<T>(p.channels, gpu::aligned_to_16(dy, dx, argmax), [&](auto run) {
    const int64_t items = p.images * p.height * p.width * p.channels / run;
    gpu::launch({name, dim3(gpu::elementwise_blocks(items, kThreads)), dim3(kThreads), stream},
                backward_kernel<T, run.value, kMax>, p, p.out_height(), p.out_width(), dy, argmax, dx);
  });
}

// Global pooling: a block takes 32 channels of one image; its 8 lines share the positions and are then merged in order.
constexpr int kLines = 8;

template <class T, bool kMax>
__global__ void __launch_bounds__(gpu::kWarp* kLines)
    global_forward_kernel(int64_t positions, int64_t channels, const T* x, T* y, int32_t* argmax) {
  LOOKALIKE_SHARED(float, values, [kLines][gpu::kWarp]);
  LOOKALIKE_SHARED(int64_t, places, [kLines][gpu::kWarp]);
  const int64_t channel = int64_t{blockIdx.y} * gpu::kWarp + threadIdx.x, image = blockIdx.x;
  float value = kMax ? -INFINITY : 0;
  int64_t place = positions;
  if (channel < channels) {
    for (int64_t i = threadIdx.y; i < positions; i += kLines) {
      const float next = to_float(x[(image * positions + i) * channels + channel]);
      if constexpr (kMax) {
        if (next > value || place == positions) value = next, place = i;
      } else {
        value += next;
      }
    }
  }
  values[threadIdx.y][threadIdx.x] = value;
  places[threadIdx.y][threadIdx.x] = place;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= channels) return;
  for (int line = 1; line < kLines; line++) {
    const float next = values[line][threadIdx.x];
    const int64_t at = places[line][threadIdx.x];
    if constexpr (kMax) {
      // A line without positions has none before `place`.
      if (next > value || (next == value && at < place)) value = next, place = at;
    } else {
      value += next;
    }
  }
  const int64_t to = image * channels + channel;
  y[to] = from_float<T>(kMax ? value : value / static_cast<float>(positions));
  if (kMax) argmax[to] = static_cast<int32_t>(place);
}

template <class T, bool kMax>
__global__ void __launch_bounds__(kThreads) global_backward_kernel(int64_t images, int64_t positions, int64_t channels,
                                                                   const T* dy, const int32_t* argmax, T* dx) {
  const int64_t items = images * positions * channels;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < items; i += int64_t{gridDim.x} * blockDim.x) {
    const int64_t line = i / channels, from = line / positions * channels + i % channels;
    const float grad = to_float(dy[from]);
    if constexpr (kMax)
      dx[i] = from_float<T>(argmax[from] == line % positions ? grad : 0.0f);
    else
      dx[i] = from_float<T>(grad / static_cast<float>(positions));
  }
}

template <bool kMax, class T>
void global_forward(const char* name, int64_t images, int64_t positions, int64_t channels, const T* x, T* y,
                    int32_t* argmax, gpu::Stream stream) {
  const dim3 grid(static_cast<unsigned>(images),
                  static_cast<unsigned>(gpu::ceil_divide<int64_t>(channels, gpu::kWarp)));
  gpu::launch({name, grid, dim3(gpu::kWarp, kLines), stream}, global_forward_kernel<T, kMax>, positions, channels, x, y,
              argmax);
}

template <bool kMax, class T>
void global_backward(const char* name, int64_t images, int64_t positions, int64_t channels, const T* dy,
                     const int32_t* argmax, T* dx, gpu::Stream stream) {
  gpu::launch({name, dim3(gpu::elementwise_blocks(images * positions * channels, kThreads)), dim3(kThreads), stream},
              global_backward_kernel<T, kMax>, images, positions, channels, dy, argmax, dx);
}

}  // namespace

template <class T>
void max_pool2d_forward(const Pool2dParams& p, const T* x, T* y, uint8_t* argmax, gpu::Stream stream) {
  forward<true>("max_pool2d_forward", p, x, y, argmax, stream);
}
template <class T>
void max_pool2d_backward(const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx, gpu::Stream stream) {
  backward<true>("max_pool2d_backward", p, dy, argmax, dx, stream);
}
template <class T>
void avg_pool2d_forward(const Pool2dParams& p, const T* x, T* y, gpu::Stream stream) {
  forward<false, T>("avg_pool2d_forward", p, x, y, nullptr, stream);
}
template <class T>
void avg_pool2d_backward(const Pool2dParams& p, const T* dy, T* dx, gpu::Stream stream) {
  backward<false, T>("avg_pool2d_backward", p, dy, nullptr, dx, stream);
}
template <class T>
void global_max_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y, int32_t* argmax,
                             gpu::Stream stream) {
  global_forward<true>("global_max_pool_forward", images, positions, channels, x, y, argmax, stream);
}
template <class T>
void global_max_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, const int32_t* argmax,
                              T* dx, gpu::Stream stream) {
  global_backward<true>("global_max_pool_backward", images, positions, channels, dy, argmax, dx, stream);
}
template <class T>
void global_avg_pool_forward(int64_t images, int64_t positions, int64_t channels, const T* x, T* y,
                             gpu::Stream stream) {
  global_forward<false, T>("global_avg_pool_forward", images, positions, channels, x, y, nullptr, stream);
}
template <class T>
void global_avg_pool_backward(int64_t images, int64_t positions, int64_t channels, const T* dy, T* dx,
                              gpu::Stream stream) {
  global_backward<false, T>("global_avg_pool_backward", images, positions, channels, dy, nullptr, dx, stream);
}

#define INSTANTIATE(T)                                                                                          \
  template void max_pool2d_forward(const Pool2dParams&, const T*, T*, uint8_t*, gpu::Stream);                   \
  template void max_pool2d_backward(const Pool2dParams&, const T*, const uint8_t*, T*, gpu::Stream);            \
  template void avg_pool2d_forward(const Pool2dParams&, const T*, T*, gpu::Stream);                             \
  template void avg_pool2d_backward(const Pool2dParams&, const T*, T*, gpu::Stream);                            \
  template void global_max_pool_forward(int64_t, int64_t, int64_t, const T*, T*, int32_t*, gpu::Stream);        \
  template void global_max_pool_backward(int64_t, int64_t, int64_t, const T*, const int32_t*, T*, gpu::Stream); \
  template void global_avg_pool_forward(int64_t, int64_t, int64_t, const T*, T*, gpu::Stream);                  \
  template void global_avg_pool_backward(int64_t, int64_t, int64_t, const T*, T*, gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cuda

// A thread makes a run of channels of one position, 16 bytes' worth where the channels divide by it, so that neighbouring
// threads read and write neighbouring memory. Backward: where windows stand apart, a thread reads a window's gradient once and
// writes all positions of it; where they overlap, it gathers from the windows that cover a position: no atomics.
#include "kernels/gpu/columns.h"
#include "kernels/gpu/fast_divide.h"
#include "kernels/pool2d.h"

namespace lookalike::cuda {
namespace {

using gpu::FastDivide;

// Windows, and a grid of positions that items count off: channels first, by runs.
struct Grid {
  int height, width, channels, size, stride, padding, out_h, out_w;
  FastDivide by_runs, by_width, by_height;

  Grid(const Pool2dParams& p, int run, int64_t rows, int64_t columns)
      : height(static_cast<int>(p.height)),
        width(static_cast<int>(p.width)),
        channels(static_cast<int>(p.channels)),
        size(static_cast<int>(p.size)),
        stride(static_cast<int>(p.stride)),
        padding(static_cast<int>(p.padding)),
        out_h(static_cast<int>(p.out_height())),
        out_w(static_cast<int>(p.out_width())),
        by_runs(p.channels / run),
        by_width(columns),
        by_height(rows) {}

  struct Place {
    int image, row, column, run;
  };
  __device__ Place place(int64_t item) const {
    int run = static_cast<int>(item), column = by_runs.split(run), row = by_width.split(column);
    const int image = by_height.split(row);
    return {image, row, column, run};
  }
};

// kSize 0: any, with any padding.
template <class T, int kRun, bool kMax, int kSize>
struct Forward {
  Grid grid;  // of y
  const T* x;
  T* y;
  uint8_t* argmax;

  __device__ void operator()(int64_t item) const {
    const auto [image, row, column, run] = grid.place(item);
    const int size = kSize > 0 ? kSize : grid.size;
    const int line = grid.width * grid.channels;
    const int above = row * grid.stride - (kSize > 0 ? 0 : grid.padding);
    const int before = column * grid.stride - (kSize > 0 ? 0 : grid.padding);
    // What of the window lies in the image.
    const int top = kSize > 0 ? 0 : max(-above, 0), bottom = kSize > 0 ? kSize : min(size, grid.height - above);
    const int left = kSize > 0 ? 0 : max(-before, 0), right = kSize > 0 ? kSize : min(size, grid.width - before);
    const T* from =
        x + int64_t{(image * grid.height + above + top) * grid.width + before + left} * grid.channels + run * kRun;
    float best[kRun];
    gpu::Pack<uint8_t, kRun> winner;
#pragma unroll
    for (int j = 0; j < kRun; j++)
      best[j] = kMax ? -INFINITY : 0, winner.x[j] = static_cast<uint8_t>(top * size + left);
#pragma unroll
    for (int h = top; h < bottom; h++, from += line) {
      float sum[kRun] = {};  // of a line, then of the window: shorter chains round less
#pragma unroll
      for (int w = left; w < right; w++) {
        const auto values = gpu::load<kRun>(from + (w - left) * grid.channels);
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float value = to_float(values.x[j]);
          if constexpr (kMax) {
            if (value > best[j]) best[j] = value, winner.x[j] = static_cast<uint8_t>(h * size + w);
          } else {
            sum[j] += value;
          }
        }
      }
#pragma unroll
      for (int j = 0; !kMax && j < kRun; j++) best[j] += sum[j];
    }
    const float share = 1.0f / static_cast<float>(size * size);
    gpu::Pack<T, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(kMax ? best[j] : best[j] * share);
    gpu::store(y + item * kRun, out);
    if (kMax && argmax != nullptr) gpu::store(argmax + item * kRun, winner);
  }
};

// Windows apart: squares of stride x stride positions, with the window, if there is one, in the upper left of each.
template <class T, int kRun, bool kMax>
struct BackwardApart {
  Grid grid;  // of squares
  float share;
  const T* dy;
  const uint8_t* argmax;
  T* dx;

  __device__ void operator()(int64_t item) const {
    const auto [image, row, column, run] = grid.place(item);
    gpu::Pack<T, kRun> grads;
    gpu::Pack<uint8_t, kRun> winner;
    const bool window = row < grid.out_h && column < grid.out_w;
    if (window) {
      const int64_t from = int64_t{(image * grid.out_h + row) * grid.out_w + column} * grid.channels + run * kRun;
      grads = gpu::load<kRun>(dy + from);
      if constexpr (kMax) winner = gpu::load<kRun>(argmax + from);
    }
    const int above = row * grid.stride - grid.padding, before = column * grid.stride - grid.padding;
    const int top = max(-above, 0), bottom = min(grid.stride, grid.height - above);
    const int left = max(-before, 0), right = min(grid.stride, grid.width - before);
    T* to = dx + int64_t{(image * grid.height + above + top) * grid.width + before + left} * grid.channels + run * kRun;
    for (int h = top; h < bottom; h++, to += grid.width * grid.channels) {
      for (int w = left; w < right; w++) {
        const bool inside = window && h < grid.size && w < grid.size;
        gpu::Pack<T, kRun> out;
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const bool mine = inside && (!kMax || winner.x[j] == h * grid.size + w);
          out.x[j] = from_float<T>(mine ? to_float(grads.x[j]) * share : 0.0f);
        }
        gpu::store(to + (w - left) * grid.channels, out);
      }
    }
  }
};

template <class T, int kRun, bool kMax>
struct BackwardOverlapping {
  Grid grid;  // of x
  FastDivide by_stride;
  float share;
  const T* dy;
  const uint8_t* argmax;
  T* dx;

  __device__ void operator()(int64_t item) const {
    const auto [image, h_of_x, w_of_x, run] = grid.place(item);
    const int row = h_of_x + grid.padding, column = w_of_x + grid.padding;
    float sum[kRun] = {};
    // Windows [first, last] of each direction cover this position.
    const int first_h = row < grid.size ? 0 : by_stride.divide(row - grid.size) + 1;
    const int first_w = column < grid.size ? 0 : by_stride.divide(column - grid.size) + 1;
    const int last_h = min(by_stride.divide(row), grid.out_h - 1);
    const int last_w = min(by_stride.divide(column), grid.out_w - 1);
    for (int h = first_h; h <= last_h; h++) {
      for (int w = first_w; w <= last_w; w++) {
        const int64_t from = int64_t{(image * grid.out_h + h) * grid.out_w + w} * grid.channels + run * kRun;
        const auto grads = gpu::load<kRun>(dy + from);
        gpu::Pack<uint8_t, kRun> winner;
        if constexpr (kMax) winner = gpu::load<kRun>(argmax + from);
        const int place = (row - h * grid.stride) * grid.size + column - w * grid.stride;
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
    for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(sum[j] * share);
    gpu::store(dx + item * kRun, out);
  }
};

template <bool kMax, class T>
void forward(const char* name, const Pool2dParams& p, const T* x, T* y, uint8_t* argmax, gpu::Stream stream) {
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x, y, argmax), [&](auto run) {
    const int64_t items = p.images * p.out_height() * p.out_width() * p.channels / run;
    const Grid grid(p, run, p.out_height(), p.out_width());
    if (p.size == 2 && p.padding == 0)
      gpu::for_each(name, items, stream, Forward<T, run.value, kMax, 2>{grid, x, y, argmax});
    else
      gpu::for_each(name, items, stream, Forward<T, run.value, kMax, 0>{grid, x, y, argmax});
  });
}

template <bool kMax, class T>
void backward(const char* name, const Pool2dParams& p, const T* dy, const uint8_t* argmax, T* dx, gpu::Stream stream) {
  const float share = kMax ? 1.0f : 1.0f / static_cast<float>(p.size * p.size);
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(dy, dx, argmax), [&](auto run) {
    if (p.stride >= p.size) {
      const int64_t rows = gpu::ceil_divide(p.height + p.padding, p.stride);
      const int64_t columns = gpu::ceil_divide(p.width + p.padding, p.stride);
      gpu::for_each(name, p.images * rows * columns * p.channels / run, stream,
                    BackwardApart<T, run.value, kMax>{Grid(p, run, rows, columns), share, dy, argmax, dx});
    } else {
      gpu::for_each(name, p.images * p.height * p.width * p.channels / run, stream,
                    BackwardOverlapping<T, run.value, kMax>{Grid(p, run, p.height, p.width), FastDivide(p.stride),
                                                            share, dy, argmax, dx});
    }
  });
}

// Greater values have greater keys, and of equal ones the first place; 0 is less than any.
__device__ inline uint64_t key_of(float value, int place) {
  const uint32_t bits = __float_as_uint(value + 0.0f);  // one zero
  return uint64_t{bits >> 31 ? ~bits : bits | 0x80000000u} << 32 | ~static_cast<uint32_t>(place);
}
struct Greater {
  __device__ uint64_t operator()(uint64_t a, uint64_t b) const { return a < b ? b : a; }
};

// A block takes one image and some of its channels.
template <class T, int kRun, bool kMax>
__global__ void __launch_bounds__(gpu::kColumnThreads)
    global_forward_kernel(int positions, int channels, const T* x, T* y, int32_t* argmax) {
  const int image = static_cast<int>(blockIdx.x), first = static_cast<int>(blockIdx.y * blockDim.x) * kRun;
  const int channel = first + static_cast<int>(threadIdx.x) * kRun;
  x += int64_t{image} * positions * channels, y += int64_t{image} * channels;
  const T* const from = x + channel;
  float value[kRun] = {};
  int place[kRun];
#pragma unroll
  for (int j = 0; j < kRun; j++) place[j] = -1;
  if (channel < channels) {
    const gpu::ColumnShare<kRun> share{channel, static_cast<int>(threadIdx.y), positions};
    share.template walk<4>([&](int i) { return gpu::load<kRun>(from + int64_t{i} * channels); },
                           [&](int i, const gpu::Pack<T, kRun>& values) {
#pragma unroll
                             for (int j = 0; j < kRun; j++) {
                               const float next = to_float(values.x[j]);
                               if constexpr (kMax) {
                                 if (next > value[j] || place[j] < 0) value[j] = next, place[j] = i;
                               } else {
                                 value[j] += next;
                               }
                             }
                           });
  }
  if constexpr (kMax) {
    uint64_t keys[kRun];
#pragma unroll
    for (int j = 0; j < kRun; j++) keys[j] = place[j] < 0 ? 0 : key_of(value[j], place[j]);
    argmax += int64_t{image} * channels;
    gpu::merge_lines(
        keys, first, channels,
        [&](int c, uint64_t key) {
          const int winner = static_cast<int>(~static_cast<uint32_t>(key));
          y[c] = x[int64_t{winner} * channels + c], argmax[c] = winner;
        },
        Greater{});
  } else {
    gpu::merge_lines(value, first, channels,
                     [&](int c, float sum) { y[c] = from_float<T>(sum / static_cast<float>(positions)); });
  }
}

// A thread reads its channels' gradient once and walks down its share of the positions.
template <class T, int kRun, bool kMax>
__global__ void __launch_bounds__(gpu::kColumnThreads)
    global_backward_kernel(int positions, int positions_in_block, int channels, float share, const T* dy,
                           const int32_t* argmax, T* dx) {
  const int channel = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * kRun;
  if (channel >= channels) return;
  const int64_t image = blockIdx.x, from = image * channels + channel;
  auto grads = gpu::load<kRun>(dy + from);
  gpu::Pack<int32_t, kRun> winner;
  if constexpr (kMax) winner = gpu::load<kRun>(argmax + from);
#pragma unroll
  for (int j = 0; !kMax && j < kRun; j++) grads.x[j] = from_float<T>(to_float(grads.x[j]) * share);
  const int first = static_cast<int>(blockIdx.z) * positions_in_block, end = min(first + positions_in_block, positions);
  dx += image * positions * channels + channel;
  for (int i = first + static_cast<int>(threadIdx.y); i < end; i += static_cast<int>(blockDim.y)) {
    gpu::Pack<T, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = !kMax || winner.x[j] == i ? grads.x[j] : from_float<T>(0.0f);
    gpu::store(dx + int64_t{i} * channels, out);
  }
}

template <bool kMax, class T>
void global_forward(const char* name, int64_t images, int64_t positions, int64_t channels, const T* x, T* y,
                    int32_t* argmax, gpu::Stream stream) {
  gpu::with_run<T>(channels, gpu::aligned_to_16(x), [&](auto run) {
    const gpu::ColumnLayout layout(positions, channels, run);
    gpu::launch({name, dim3(static_cast<unsigned>(images), layout.grid.x), layout.block, stream},
                global_forward_kernel<T, run.value, kMax>, positions, channels, x, y, argmax);
  });
}

template <bool kMax, class T>
void global_backward(const char* name, int64_t images, int64_t positions, int64_t channels, const T* dy,
                     const int32_t* argmax, T* dx, gpu::Stream stream) {
  gpu::with_run<T>(channels, gpu::aligned_to_16(dy, dx, argmax), [&](auto run) {
    const gpu::ColumnLayout layout(positions, channels, run, images);
    gpu::launch({name, dim3(static_cast<unsigned>(images), layout.grid.x, layout.grid.y), layout.block, stream},
                global_backward_kernel<T, run.value, kMax>, positions, layout.rows_in_block, channels,
                1.0f / static_cast<float>(positions), dy, argmax, dx);
  });
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

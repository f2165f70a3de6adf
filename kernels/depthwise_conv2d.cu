// Bound by memory. Forward: a thread makes a run of channels, 16 bytes' worth where the channels divide by it, of kColumns neighbouring
// outputs of a row, so that a pixel which several of them see is read once. Backward data with stride 1 is the same with the filter turned
// round; with other strides a thread gathers what meets its pixel. Backward weights: sums over pixels for each tap and channel, blocks of
// pixels first, then their sums in order (columns.h); no atomics.
#include "kernels/depthwise_conv2d.h"
#include "kernels/gpu/columns.h"
#include "kernels/gpu/fast_divide.h"

namespace lookalike::cuda {
namespace {

using gpu::FastDivide;

int small(int64_t n) {
  return static_cast<int>(n);
}

// A correlation of `in` [images, in_h, in_w, channels], made at strips of columns of `out`.
struct Strips {
  int in_h, in_w, out_h, out_w, channels, kernel_h, kernel_w, stride, top, left;
  FastDivide by_runs, by_strips, by_rows;
};

// kSize and kStride 0: any. turned: the filter by 180 degrees.
template <class T, int kRun, int kSize, int kStride>
struct Forward {
  static constexpr int kColumns = kSize == 5 && (kStride == 2 || kRun == 8) ? 2 : 4;  // more don't fit the registers
  Strips strips;
  bool turned;
  AnyActivation f;
  const T* x;
  const float *w, *bias;
  T* y;

  __device__ void operator()(int64_t item) const {
    int run = static_cast<int>(item), strip = strips.by_runs.split(run), row = strips.by_strips.split(strip);
    const int image = strips.by_rows.split(row), channel = run * kRun, column = strip * kColumns;
    const int kernel_h = kSize > 0 ? kSize : strips.kernel_h, kernel_w = kSize > 0 ? kSize : strips.kernel_w;
    const int stride = kStride > 0 ? kStride : strips.stride, channels = strips.channels;
    const int above = row * stride - strips.top, before = column * stride - strips.left;
    float sums[kColumns][kRun] = {};
#pragma unroll 1  // a whole filter is more code than instruction caches hold
    for (int r = 0; r < kernel_h; r++) {
      if (above + r < 0 || above + r >= strips.in_h) continue;
      const T* const from = x + int64_t{(image * strips.in_h + above + r) * strips.in_w} * channels + channel;
#pragma unroll
      for (int i = 0; i < (kColumns - 1) * stride + kernel_w; i++) {
        if (before + i < 0 || before + i >= strips.in_w) continue;
        const auto values = gpu::load<kRun>(from + (before + i) * channels);
#pragma unroll
        for (int t = 0; t < kColumns; t++) {
          const int s = i - t * stride;
          if (s < 0 || s >= kernel_w) continue;
          const int tap = r * kernel_w + s, turned_tap = kernel_h * kernel_w - 1 - tap;
          const auto weights = gpu::load<kRun>(w + (turned ? turned_tap : tap) * channels + channel);
#pragma unroll
          for (int j = 0; j < kRun; j++) sums[t][j] += to_float(values.x[j]) * weights.x[j];
        }
      }
    }
    T* const to = y + int64_t{(image * strips.out_h + row) * strips.out_w + column} * channels + channel;
#pragma unroll
    for (int t = 0; t < kColumns; t++) {
      if (column + t >= strips.out_w) break;
      gpu::Pack<T, kRun> out;
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        out.x[j] = from_float<T>(f.forward(bias != nullptr ? sums[t][j] + bias[channel + j] : sums[t][j]));
      }
      gpu::store(to + t * channels, out);
    }
  }
};

// Of any stride: each pixel of x gathers from the outputs that see it.
template <class T, int kRun>
struct BackwardData {
  int in_h, in_w, out_h, out_w, channels, kernel_h, kernel_w, stride, top, left;
  FastDivide by_runs, by_width, by_height, by_stride;
  const T* dz;
  const float* w;
  T* dx;

  __device__ void operator()(int64_t item) const {
    int run = static_cast<int>(item), column = by_runs.split(run), row = by_width.split(column);
    const int image = by_height.split(row), channel = run * kRun;
    float sums[kRun] = {};
    int r = row + top, s_first = column + left;
    const int p_first = by_stride.split(r), q_first = by_stride.split(s_first);
    for (int p = p_first; r < kernel_h && p >= 0; r += stride, p--) {
      if (p >= out_h) continue;
      const T* const from = dz + int64_t{(image * out_h + p) * out_w} * channels + channel;
      for (int s = s_first, q = q_first; s < kernel_w && q >= 0; s += stride, q--) {
        if (q >= out_w) continue;
        const auto grads = gpu::load<kRun>(from + q * channels);
        const auto weights = gpu::load<kRun>(w + (r * kernel_w + s) * channels + channel);
#pragma unroll
        for (int j = 0; j < kRun; j++) sums[j] += to_float(grads.x[j]) * weights.x[j];
      }
    }
    gpu::Pack<T, kRun> out;
#pragma unroll
    for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(sums[j]);
    gpu::store(dx + item * kRun, out);
  }
};

// Pixels of dz by channels. A block sums up its rows of them for kTaps neighbouring taps of a row of the filter, of which it
// is blockIdx.z's turn; sums [row blocks, taps, channels].
template <class T, int kRun, int kTaps>
__global__ void __launch_bounds__(gpu::kColumnThreads)
    weight_gradient_kernel(int rows, int rows_in_block, Strips strips, const T* x, const T* dz, float* sums) {
  const auto share = gpu::ColumnShare<kRun>::of(rows, rows_in_block);
  const int channels = strips.channels, tap = static_cast<int>(blockIdx.z) * kTaps;
  const int r = tap / strips.kernel_w, s = tap % strips.kernel_w;
  float own[kTaps][kRun] = {};
  if (share.column < channels) {
    struct Loaded {
      gpu::Pack<T, kRun> grads, values[kTaps];
      bool inside[kTaps];
    };
    share.template walk<2>(
        [&](int pixel) {
          Loaded loaded;
          loaded.grads = gpu::load<kRun>(dz + int64_t{pixel} * channels + share.column);
          int column = pixel, row = strips.by_strips.split(column);
          const int image = strips.by_rows.split(row);
          const int h = row * strips.stride + r - strips.top, first = column * strips.stride + s - strips.left;
#pragma unroll
          for (int k = 0; k < kTaps; k++) {
            loaded.inside[k] = h >= 0 && h < strips.in_h && first + k >= 0 && first + k < strips.in_w;
            if (!loaded.inside[k]) continue;
            const int64_t at = (image * strips.in_h + h) * strips.in_w + first + k;
            loaded.values[k] = gpu::load<kRun>(x + at * channels + share.column);
          }
          return loaded;
        },
        [&](int, const Loaded& loaded) {
#pragma unroll
          for (int k = 0; k < kTaps; k++) {
            if (!loaded.inside[k]) continue;
#pragma unroll
            for (int j = 0; j < kRun; j++) own[k][j] += to_float(loaded.grads.x[j]) * to_float(loaded.values[k].x[j]);
          }
        });
  }
#pragma unroll
  for (int k = 0; k < kTaps; k++) {
    float* const to =
        sums + int64_t{static_cast<int>(blockIdx.y) * strips.kernel_h * strips.kernel_w + tap + k} * channels;
    gpu::merge_lines(own[k], static_cast<int>(blockIdx.x * blockDim.x) * kRun, channels,
                     [&](int column, float sum) { to[column] = sum; });
  }
}

// Taps that weight_gradient_kernel takes at a time.
int64_t taps_together(const DepthwiseConv2dParams& p) {
  return p.kernel_w % 5 == 0 ? 5 : p.kernel_w % 3 == 0 ? 3 : 1;
}

template <class Body>
void with_taps(int64_t taps, const Body& body) {
  if (taps == 5)
    body(std::integral_constant<int, 5>{});
  else if (taps == 3)
    body(std::integral_constant<int, 3>{});
  else
    body(std::integral_constant<int, 1>{});
}

int64_t pixels(const DepthwiseConv2dParams& p) {
  return p.batch * p.out_h() * p.out_w();
}

Strips strips_of(const DepthwiseConv2dParams& p, int64_t run, int64_t columns) {
  return {.in_h = small(p.in_h),
          .in_w = small(p.in_w),
          .out_h = small(p.out_h()),
          .out_w = small(p.out_w()),
          .channels = small(p.channels),
          .kernel_h = small(p.kernel_h),
          .kernel_w = small(p.kernel_w),
          .stride = small(p.stride),
          .top = small(p.pad_top),
          .left = small(p.pad_left),
          .by_runs = FastDivide(p.channels / run),
          .by_strips = FastDivide(gpu::ceil_divide(p.out_w(), columns)),
          .by_rows = FastDivide(p.out_h())};
}

template <class T>
void correlate(const char* name, const DepthwiseConv2dParams& p, bool turned, const T* x, const float* w,
               const float* bias, T* y, gpu::Stream stream) {
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x, w, y), [&](auto run) {
    const auto make = [&]<int kSize, int kStride>() {
      using Body = Forward<T, run.value, kSize, kStride>;
      const int64_t strips = gpu::ceil_divide(p.out_w(), int64_t{Body::kColumns});
      gpu::for_each(name, p.batch * p.out_h() * strips * (p.channels / run), stream,
                    Body{strips_of(p, run, Body::kColumns), turned, AnyActivation(p.activation), x, w, bias, y});
    };
    const int64_t size = p.kernel_h == p.kernel_w ? p.kernel_h : 0;
    if (size == 3 && p.stride == 1) return make.template operator()<3, 1>();
    if (size == 3 && p.stride == 2) return make.template operator()<3, 2>();
    if (size == 5 && p.stride == 1) return make.template operator()<5, 1>();
    if (size == 5 && p.stride == 2) return make.template operator()<5, 2>();
    make.template operator()<0, 0>();
  });
}

gpu::ColumnLayout weight_gradient_layout(const DepthwiseConv2dParams& p, int run) {
  return {pixels(p), p.channels, run, p.taps() / taps_together(p)};
}

int64_t row_blocks(const DepthwiseConv2dParams& p) {
  int64_t blocks = 1;
  for (const int run : {1, 4, 8}) blocks = std::max<int64_t>(blocks, weight_gradient_layout(p, run).grid.y);
  return blocks;
}

}  // namespace

template <class T>
int64_t depthwise_conv2d_workspace(const DepthwiseConv2dParams& p) {
  const int64_t sums = row_blocks(p) * p.taps() * p.channels;
  return sums + std::max(gpu::sum_columns_workspace(row_blocks(p), p.taps() * p.channels),
                         gpu::sum_columns_workspace(pixels(p), p.channels));
}

template <class T>
void depthwise_conv2d_forward(const DepthwiseConv2dParams& p, const T* x, const float* w, const float* bias, T* y,
                              gpu::Stream stream) {
  correlate("depthwise_conv2d_forward", p, false, x, w, bias, y, stream);
}

template <class T>
void depthwise_conv2d_backward_data(const DepthwiseConv2dParams& p, const T* dz, const float* w, T* dx,
                                    gpu::Stream stream) {
  if (p.stride == 1) {
    DepthwiseConv2dParams turned{.batch = p.batch,
                                 .in_h = p.out_h(),
                                 .in_w = p.out_w(),
                                 .channels = p.channels,
                                 .kernel_h = p.kernel_h,
                                 .kernel_w = p.kernel_w};
    turned.pad_top = p.kernel_h - 1 - p.pad_top, turned.pad_left = p.kernel_w - 1 - p.pad_left;
    turned.pad_bottom = p.kernel_h - 1 - p.pad_bottom, turned.pad_right = p.kernel_w - 1 - p.pad_right;
    return correlate<T>("depthwise_conv2d_backward_data", turned, true, dz, w, nullptr, dx, stream);
  }
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(dz, w, dx), [&](auto run) {
    gpu::for_each("depthwise_conv2d_backward_data", p.batch * p.in_h * p.in_w * (p.channels / run), stream,
                  BackwardData<T, run.value>{.in_h = small(p.in_h),
                                             .in_w = small(p.in_w),
                                             .out_h = small(p.out_h()),
                                             .out_w = small(p.out_w()),
                                             .channels = small(p.channels),
                                             .kernel_h = small(p.kernel_h),
                                             .kernel_w = small(p.kernel_w),
                                             .stride = small(p.stride),
                                             .top = small(p.pad_top),
                                             .left = small(p.pad_left),
                                             .by_runs = FastDivide(p.channels / run),
                                             .by_width = FastDivide(p.in_w),
                                             .by_height = FastDivide(p.in_h),
                                             .by_stride = FastDivide(p.stride),
                                             .dz = dz,
                                             .w = w,
                                             .dx = dx});
  });
}

template <class T>
void depthwise_conv2d_backward_weights(const DepthwiseConv2dParams& p, const T* x, const T* dz, float* dw, float* dbias,
                                       float* workspace, gpu::Stream stream) {
  float* const rest = workspace + row_blocks(p) * p.taps() * p.channels;
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x, dz), [&](auto run) {
    const gpu::ColumnLayout layout = weight_gradient_layout(p, run);
    const int blocks = small(layout.grid.y), columns = small(p.taps() * p.channels);
    with_taps(taps_together(p), [&](auto taps) {
      gpu::launch({"depthwise_conv2d_backward_weights", layout.grid, layout.block, stream},
                  weight_gradient_kernel<T, run.value, taps.value>, layout.rows, layout.rows_in_block,
                  strips_of(p, run, 1), x, dz, blocks == 1 ? dw : workspace);
    });
    if (blocks != 1)
      gpu::sum_columns<1>("add_weight_gradients", blocks, columns, gpu::PlainColumns<float>{workspace, columns}, rest,
                          dw, stream);
    if (dbias != nullptr)
      gpu::sum_columns<run.value>("depthwise_conv2d_bias_gradient", pixels(p), p.channels,
                                  gpu::PlainColumns<T>{dz, small(p.channels)}, rest, dbias, stream);
  });
}

#define INSTANTIATE(T)                                                                                                 \
  template int64_t depthwise_conv2d_workspace<T>(const DepthwiseConv2dParams&);                                        \
  template void depthwise_conv2d_forward(const DepthwiseConv2dParams&, const T*, const float*, const float*, T*,       \
                                         gpu::Stream);                                                                 \
  template void depthwise_conv2d_backward_data(const DepthwiseConv2dParams&, const T*, const float*, T*, gpu::Stream); \
  template void depthwise_conv2d_backward_weights(const DepthwiseConv2dParams&, const T*, const T*, float*, float*,    \
                                                  float*, gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cuda

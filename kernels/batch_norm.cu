// Batch normalisation in the fewest passes over memory: statistics reads x; forward reads x and writes y (with pool also the
// winners, a quarter); reduce reads x or the winners, and dy; backward reads x and dy (with pool the winners too) and
// writes dx. Everything between is computed again. Rows and channels are shared out as kernels/gpu/columns.h says; a thread
// loads its channels' parameters once.
#include "kernels/batch_norm.h"
#include "kernels/gpu/columns.h"
#include "kernels/gpu/fast_divide.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = gpu::kColumnThreads;
// Who adds up partial sums: a block takes a sector of doubles beside each other.
constexpr int kAddAcross = 4, kAddLines = kThreads / kAddAcross;

using gpu::ColumnLayout;
using gpu::ColumnShare;
using gpu::Pack;

// One double for each channel of a block is made of what its threads have.
template <int kRun, class Store>
__device__ void add_lines(const float (&values)[kRun], int channels, const Store& store) {
  double exact[kRun];
#pragma unroll
  for (int j = 0; j < kRun; j++) exact[j] = values[j];
  gpu::merge_lines(exact, static_cast<int>(blockIdx.x * blockDim.x) * kRun, channels, store);
}

// partials[view][block][2][C]: mean and squared differences from it. Sums are of differences from the block's first row: close
// enough to the mean that the squares lose nothing.
template <class T, int kRun>
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(int rows, int rows_in_block, int channels, const T* x, double* partials) {
  const auto share = ColumnShare<kRun>::of(rows, rows_in_block);
  x += int64_t{blockIdx.z} * rows * channels;
  const T* const first_row = x + int64_t{blockIdx.y} * rows_in_block * channels;
  const T* const from = x + share.column;
  float sum[kRun] = {}, square[kRun] = {};
  if (share.column < channels) {
    float shift[kRun];
    const auto first = gpu::load<kRun>(first_row + share.column);
#pragma unroll
    for (int j = 0; j < kRun; j++) shift[j] = to_float(first.x[j]);
    share.template walk<4>([&](int row) { return gpu::load<kRun>(from + int64_t{row} * channels); },
                           [&](int, const Pack<T, kRun>& values) {
#pragma unroll
                             for (int j = 0; j < kRun; j++) {
                               const float d = to_float(values.x[j]) - shift[j];
                               sum[j] += d, square[j] += d * d;
                             }
                           });
  }
  const double count = min(rows_in_block, rows - static_cast<int>(blockIdx.y) * rows_in_block);
  partials += (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * 2 * channels;
  double total = 0;
  add_lines(sum, channels, [&](int, double s) { total = s; });
  add_lines(square, channels, [&](int c, double s) {
    partials[c] = to_float(first_row[c]) + total / count;
    partials[channels + c] = s - total * total / count;
  });
}

// Sums over the blocks of a view, of differences from the first block's mean (Chan, Golub, LeVeque 1979 in another form).
__global__ void __launch_bounds__(kThreads)
    merge_statistics_kernel(int channels, int rows, int blocks, int rows_in_block, const double* partials, float* mean,
                            float* variance) {
  const int first = static_cast<int>(blockIdx.x) * kAddAcross, channel = first + static_cast<int>(threadIdx.x);
  partials += int64_t{blockIdx.y} * blocks * 2 * channels;
  double sum[1] = {}, squares[1] = {};
  if (channel < channels) {
    const double shift = blocks > 0 ? partials[channel] : 0;
#pragma unroll 8
    for (int block = static_cast<int>(threadIdx.y); block < blocks; block += kAddLines) {
      const double count = min(rows_in_block, rows - block * rows_in_block);
      const double* const from = partials + int64_t{block} * 2 * channels + channel;
      const double d = from[0] - shift;
      sum[0] += count * d, squares[0] += from[channels] + count * d * d;
    }
  }
  mean += int64_t{blockIdx.y} * channels, variance += int64_t{blockIdx.y} * channels;
  const double count = max(rows, 1);
  double total = 0;
  gpu::merge_lines(sum, first, channels, [&](int, double s) { total = s; });
  gpu::merge_lines(squares, first, channels, [&](int c, double s) {
    mean[c] = static_cast<float>((blocks > 0 ? partials[c] : 0) + total / count);
    variance[c] = static_cast<float>(fmax(s - total * total / count, 0.0) / count);
  });
}

__global__ void __launch_bounds__(kThreads)
    update_running_kernel(int64_t views, int64_t channels, int64_t rows, float momentum, const float* mean,
                          const float* variance, float* running_mean, float* running_variance) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  const float count = static_cast<float>(rows), keep = 1 - momentum, unbiased = count / (count - 1);
  float m = running_mean[c], v = running_variance[c];
  for (int64_t view = 0; view < views; view++) {
    m = keep * m + momentum * mean[view * channels + c];
    if (rows > 1) v = keep * v + momentum * unbiased * variance[view * channels + c];
  }
  running_mean[c] = m, running_variance[c] = v;
}

// What a thread's channels need: z = (x - mean) scale + beta.
template <int kRun>
struct Channels {
  float mean[kRun], scale[kRun], beta[kRun], inverse[kRun];  // inverse: of the deviation

  __device__ Channels(const BatchNormParams& p, int view, int channel, const float* means, const float* variances,
                      const float* gammas, const float* betas) {
    const int64_t at = view * p.channels + channel;
    const auto m = gpu::load<kRun>(means + at), v = gpu::load<kRun>(variances + at);
    const auto g = gpu::load<kRun>(gammas + channel), b = gpu::load<kRun>(betas + channel);
#pragma unroll
    for (int j = 0; j < kRun; j++) {
      inverse[j] = rsqrtf(v.x[j] + static_cast<float>(p.epsilon));
      mean[j] = m.x[j], scale[j] = g.x[j] * inverse[j], beta[j] = b.x[j];
    }
  }
  __device__ float z(float x, int j) const {
    return (x - mean[j]) * scale[j] + beta[j];
  }
};

// 2x2 pool windows, side by side; at odd edges of an image there may be such as the edge cuts.
struct Windows {
  int height, width;  // of the images
  gpu::FastDivide by_width, by_height;

  // Rows and columns of windows in an image.
  Windows(const BatchNormParams& p, int64_t rows, int64_t columns)
      : height(static_cast<int>(p.height)), width(static_cast<int>(p.width)), by_width(columns), by_height(rows) {}

  struct Place {
    int image, h, w;
  };
  __device__ Place place(int window) const {
    int w = window, h = by_width.split(w);
    const int image = by_height.split(h);
    return {image, h, w};
  }
  // The upper left of its pixels.
  __device__ int pixel(const Place& at) const { return (at.image * height + 2 * at.h) * width + 2 * at.w; }
};

template <class T, int kRun>
struct Four {
  Pack<T, kRun> at[4];
};

template <class T, int kRun, bool kPool, class F>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(BatchNormParams p, F f, Windows windows, int rows, int rows_in_block, const T* x, const float* mean,
                   const float* variance, const float* gamma, const float* beta, T* y, T* x_max) {
  const auto share = ColumnShare<kRun>::of(rows, rows_in_block);
  const int channels = static_cast<int>(p.channels), view = static_cast<int>(blockIdx.z);
  if (share.column >= channels) return;
  const Channels<kRun> norm(p, view, share.column, mean, variance, gamma, beta);
  x += view * p.view_rows() * channels + share.column;
  const int64_t start = int64_t{view} * rows * channels + share.column;
  if constexpr (kPool) {
    const int line = windows.width * channels;
    const auto load = [&](int row) {
      const T* const from = x + int64_t{windows.pixel(windows.place(row))} * channels;
      return Four<T, kRun>{gpu::load<kRun>(from), gpu::load<kRun>(from + channels), gpu::load<kRun>(from + line),
                           gpu::load<kRun>(from + line + channels)};
    };
    share.template walk<1>(load, [&](int row, const Four<T, kRun>& values) {
      float best[kRun];
      Pack<T, kRun> out, winner;
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float z = norm.z(to_float(values.at[i].x[j]), j);
          if (i == 0 || z > best[j]) best[j] = z, winner.x[j] = values.at[i].x[j];
        }
      }
#pragma unroll
      for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(f.forward(best[j]));
      const int64_t to = start + int64_t{row} * channels;
      gpu::store(y + to, out);
      if (x_max != nullptr) gpu::store(x_max + to, winner);
    });
  } else {
    share.template walk<4>([&](int row) { return gpu::load<kRun>(x + int64_t{row} * channels); },
                           [&](int row, const Pack<T, kRun>& values) {
                             Pack<T, kRun> out;
#pragma unroll
                             for (int j = 0; j < kRun; j++)
                               out.x[j] = from_float<T>(f.forward(norm.z(to_float(values.x[j]), j)));
                             gpu::store(y + start + int64_t{row} * channels, out);
                           });
  }
}

template <class T, int kRun>
struct Pair {
  Pack<T, kRun> x, dy;
};

// partials[view][block][2][C]: sums of dz and of dz (x - mean). Rows are those of dy.
template <class T, int kRun, class F>
__global__ void __launch_bounds__(kThreads)
    reduce_kernel(BatchNormParams p, F f, int rows, int rows_in_block, const T* x, const float* mean,
                  const float* variance, const float* gamma, const float* beta, const T* dy, double* partials) {
  const auto share = ColumnShare<kRun>::of(rows, rows_in_block);
  const int channels = static_cast<int>(p.channels), view = static_cast<int>(blockIdx.z);
  float sum[kRun] = {}, product[kRun] = {};
  if (share.column < channels) {
    const Channels<kRun> norm(p, view, share.column, mean, variance, gamma, beta);
    const int64_t start = int64_t{view} * rows * channels + share.column;
    const auto load = [&](int row) {
      const int64_t at = start + int64_t{row} * channels;
      return Pair<T, kRun>{gpu::load<kRun>(x + at), gpu::load<kRun>(dy + at)};
    };
    share.template walk<2>(load, [&](int, const Pair<T, kRun>& of) {
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        const float value = to_float(of.x.x[j]);
        const float dz = to_float(of.dy.x[j]) * f.backward(f.forward(norm.z(value, j)));
        sum[j] += dz, product[j] += dz * (value - norm.mean[j]);
      }
    });
  }
  partials += (int64_t{view} * gridDim.y + blockIdx.y) * 2 * channels;
  add_lines(sum, channels, [&](int c, double s) { partials[c] = s; });
  add_lines(product, channels, [&](int c, double s) { partials[channels + c] = s; });
}

__global__ void __launch_bounds__(kThreads)
    add_partials_kernel(BatchNormParams p, int blocks, const double* partials, const float* variance, double* sums,
                        float* dgamma, float* dbeta) {
  const int channels = static_cast<int>(p.channels);
  const int first = static_cast<int>(blockIdx.x) * kAddAcross, channel = first + static_cast<int>(threadIdx.x);
  double all_gamma = 0, all_beta = 0;
  for (int64_t view = 0; view < p.views; view++, sums += 2 * channels, variance += channels) {
    double sum[1] = {}, product[1] = {};
    if (channel < channels) {
#pragma unroll 4
      for (int block = static_cast<int>(threadIdx.y); block < blocks; block += kAddLines) {
        const double* const from = partials + (view * blocks + block) * 2 * channels + channel;
        sum[0] += from[0], product[0] += from[channels];
      }
    }
    gpu::merge_lines(sum, first, channels, [&](int c, double s) { sums[c] = s, all_beta += s; });
    gpu::merge_lines(product, first, channels, [&](int c, double s) {
      sums[channels + c] = s, all_gamma += s / sqrt(static_cast<double>(variance[c]) + p.epsilon);
    });
  }
  if (threadIdx.y == 0 && channel < channels)
    dgamma[channel] = static_cast<float>(all_gamma), dbeta[channel] = static_cast<float>(all_beta);
}

// dx = scale (dz - shift) + slope (x - mean), what is subtracted coming through mean and variance. Rows are pixels, or with
// pool windows, those that the image's edge cuts included.
template <class T, int kRun, bool kPool, class F>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(BatchNormParams p, F f, Windows windows, int rows, int rows_in_block, const T* x, const T* x_max,
                    const float* mean, const float* variance, const float* gamma, const float* beta, const T* dy,
                    const double* sums, T* dx) {
  const auto share = ColumnShare<kRun>::of(rows, rows_in_block);
  const int channels = static_cast<int>(p.channels), view = static_cast<int>(blockIdx.z), channel = share.column;
  if (channel >= channels) return;
  const Channels<kRun> norm(p, view, channel, mean, variance, gamma, beta);
  float shift[kRun] = {}, slope[kRun] = {};
  if (sums != nullptr) {
    sums += int64_t{2} * view * channels + channel;
    const double share = 1 / static_cast<double>(p.view_rows());
    const auto sum = gpu::load<kRun>(sums), product = gpu::load<kRun>(sums + channels);
#pragma unroll
    for (int j = 0; j < kRun; j++) {
      shift[j] = static_cast<float>(sum.x[j] * share);
      slope[j] = -norm.scale[j] * static_cast<float>(product.x[j] * share) * norm.inverse[j] * norm.inverse[j];
    }
  }
  const int64_t start = view * p.view_rows() * channels + channel;
  const auto gradient = [&](float value, float dz, int j) {
    return from_float<T>(norm.scale[j] * (dz - shift[j]) + slope[j] * (value - norm.mean[j]));
  };
  if constexpr (kPool) {
    const int out_h = windows.height / 2, out_w = windows.width / 2;
    const int64_t pooled_start = view * (p.images / p.views) * out_h * out_w * channels + channel;
    const int64_t offsets[4] = {0, channels, int64_t{windows.width} * channels, int64_t{windows.width + 1} * channels};
    for (int row = share.begin; row < share.end; row += static_cast<int>(blockDim.y)) {
      const auto at = windows.place(row);
      const int64_t pixel = start + int64_t{windows.pixel(at)} * channels;
      const bool right = 2 * at.w + 1 < windows.width, below = 2 * at.h + 1 < windows.height;
      const bool inside[4] = {true, right, below, right && below};
      Pack<T, kRun> values[4], winner, grads;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (inside[i]) values[i] = gpu::load<kRun>(x + pixel + offsets[i]);
      }
      float dz[kRun] = {};
      bool open[kRun];  // nobody has taken this gradient yet
      if (inside[3]) {
        const int64_t pooled = pooled_start + int64_t{(at.image * out_h + at.h) * out_w + at.w} * channels;
        winner = gpu::load<kRun>(x_max + pooled), grads = gpu::load<kRun>(dy + pooled);
#pragma unroll
        for (int j = 0; j < kRun; j++)
          dz[j] = to_float(grads.x[j]) * f.backward(f.forward(norm.z(to_float(winner.x[j]), j)));
      }
#pragma unroll
      for (int j = 0; j < kRun; j++) open[j] = inside[3];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!inside[i]) continue;
        Pack<T, kRun> out;
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float value = to_float(values[i].x[j]);
          const bool won = open[j] && value == to_float(winner.x[j]);
          open[j] = open[j] && !won;
          out.x[j] = gradient(value, won ? dz[j] : 0, j);
        }
        gpu::store(dx + pixel + offsets[i], out);
      }
    }
  } else {
    const auto load = [&](int row) {
      const int64_t at = start + int64_t{row} * channels;
      return Pair<T, kRun>{gpu::load<kRun>(x + at), gpu::load<kRun>(dy + at)};
    };
    share.template walk<2>(load, [&](int row, const Pair<T, kRun>& of) {
      Pack<T, kRun> out;
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        const float value = to_float(of.x.x[j]);
        out.x[j] = gradient(value, to_float(of.dy.x[j]) * f.backward(f.forward(norm.z(value, j))), j);
      }
      gpu::store(dx + start + int64_t{row} * channels, out);
    });
  }
}

int64_t pooled_rows(const BatchNormParams& p) {
  return p.images / p.views * p.pooled_height() * p.pooled_width();
}

}  // namespace

int64_t batch_norm_workspace(const BatchNormParams& p) {
  int64_t blocks = 0;
  for (const int run : {1, gpu::kWide<float>, gpu::kWide<bf16>})
    blocks = std::max<int64_t>(blocks, ColumnLayout(p.view_rows(), p.channels, run, p.views).grid.y);
  return blocks * p.views * 2 * p.channels;
}

void batch_norm_merge(const BatchNormParams& p, int64_t blocks, int64_t rows_in_block, const double* partials,
                      float* mean, float* variance, gpu::Stream stream) {
  const dim3 grid(static_cast<unsigned>(gpu::ceil_divide<int64_t>(p.channels, kAddAcross)),
                  static_cast<unsigned>(p.views));
  gpu::launch({"batch_norm_merge", grid, dim3(kAddAcross, kAddLines), stream}, merge_statistics_kernel, p.channels,
              p.view_rows(), blocks, rows_in_block, partials, mean, variance);
}

template <class T>
void batch_norm_statistics(const BatchNormParams& p, const T* x, double* workspace, float* mean, float* variance,
                           gpu::Stream stream) {
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x), [&](auto run) {
    const ColumnLayout layout(p.view_rows(), p.channels, run, p.views);
    gpu::launch({"batch_norm_statistics", layout.grid, layout.block, stream}, statistics_kernel<T, run.value>,
                layout.rows, layout.rows_in_block, p.channels, x, workspace);
    batch_norm_merge(p, layout.grid.y, layout.rows_in_block, workspace, mean, variance, stream);
  });
}

void batch_norm_update_running(const BatchNormParams& p, const float* mean, const float* variance, double momentum,
                               float* running_mean, float* running_variance, gpu::Stream stream) {
  if (p.view_rows() == 0) return;
  gpu::launch({"batch_norm_update_running", gpu::element_blocks(p.channels), dim3(gpu::kElementThreads), stream},
              update_running_kernel, p.views, p.channels, p.view_rows(), static_cast<float>(momentum), mean, variance,
              running_mean, running_variance);
}

template <class T>
void batch_norm_forward(const BatchNormParams& p, const T* x, const float* mean, const float* variance,
                        const float* gamma, const float* beta, T* y, T* x_max, gpu::Stream stream) {
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x, y, x_max, mean, variance, gamma, beta), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const ColumnLayout layout(pooled_rows(p), p.channels, run, p.views);
      const auto kernel =
          p.pool ? forward_kernel<T, run.value, true, decltype(f)> : forward_kernel<T, run.value, false, decltype(f)>;
      gpu::launch({"batch_norm_forward", layout.grid, layout.block, stream}, kernel, p, f,
                  Windows(p, p.pooled_height(), p.pooled_width()), layout.rows, layout.rows_in_block, x, mean, variance,
                  gamma, beta, y, x_max);
    });
  });
}

template <class T>
void batch_norm_reduce(const BatchNormParams& p, const T* x, const float* mean, const float* variance,
                       const float* gamma, const float* beta, const T* dy, double* workspace, double* sums,
                       float* dgamma, float* dbeta, gpu::Stream stream) {
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x, dy, mean, variance, gamma, beta), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const ColumnLayout layout(pooled_rows(p), p.channels, run, p.views);
      gpu::launch({"batch_norm_reduce", layout.grid, layout.block, stream}, reduce_kernel<T, run.value, decltype(f)>, p,
                  f, layout.rows, layout.rows_in_block, x, mean, variance, gamma, beta, dy, workspace);
      gpu::launch(
          {"batch_norm_add_partials", dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(p.channels, kAddAcross))),
           dim3(kAddAcross, kAddLines), stream},
          add_partials_kernel, p, static_cast<int>(layout.grid.y), workspace, variance, sums, dgamma, dbeta);
    });
  });
}

template <class T>
void batch_norm_backward(const BatchNormParams& p, const T* x, const T* x_max, const float* mean, const float* variance,
                         const float* gamma, const float* beta, const T* dy, const double* sums, T* dx,
                         gpu::Stream stream) {
  gpu::with_run<T>(p.channels, gpu::aligned_to_16(x, x_max, dy, dx, mean, variance, gamma, beta, sums), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const int64_t side = p.pool ? 2 : 1, columns = gpu::ceil_divide(p.width, side),
                    lines = gpu::ceil_divide(p.height, side);
      const ColumnLayout layout(p.images / p.views * lines * columns, p.channels, run, p.views);
      const auto kernel =
          p.pool ? backward_kernel<T, run.value, true, decltype(f)> : backward_kernel<T, run.value, false, decltype(f)>;
      gpu::launch({"batch_norm_backward", layout.grid, layout.block, stream}, kernel, p, f, Windows(p, lines, columns),
                  layout.rows, layout.rows_in_block, x, x_max, mean, variance, gamma, beta, dy, sums, dx);
    });
  });
}

#define INSTANTIATE(T)                                                                                         \
  template void batch_norm_statistics(const BatchNormParams&, const T*, double*, float*, float*, gpu::Stream); \
  template void batch_norm_forward(const BatchNormParams&, const T*, const float*, const float*, const float*, \
                                   const float*, T*, T*, gpu::Stream);                                         \
  template void batch_norm_reduce(const BatchNormParams&, const T*, const float*, const float*, const float*,  \
                                  const float*, const T*, double*, double*, float*, float*, gpu::Stream);      \
  template void batch_norm_backward(const BatchNormParams&, const T*, const T*, const float*, const float*,    \
                                    const float*, const float*, const T*, const double*, T*, gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cuda

// Batch normalisation in the fewest passes over memory: statistics reads x; forward reads x and writes y (with pool also the
// winners, a quarter); reduce reads x or the winners, and dy; backward reads x and dy (with pool the winners too) and
// writes dx. Everything between is computed again.
//
// A thread owns a run of neighbouring channels, 16 bytes of them where the channels divide by it, whose parameters it loads
// once, and walks down the rows of its block; a block is kThreads threads, as many beside each other as the channels need (a
// power of two, up to a warp), the rest as lines below each other. Sums: each thread's, then the block's lines by a tree,
// then the blocks of a view in order, by a second kernel.
#include "kernels/batch_norm.h"
#include "kernels/gpu/elementwise.h"

namespace lookalike::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kRowsPerThread = 64;

// How rows and channels are shared out.
struct Layout {
  dim3 grid, block;       // grid: channels, row blocks, views
  int64_t rows;           // of a view
  int64_t rows_in_block;  // a multiple of block.y

  Layout(const BatchNormParams& p, int run, int64_t view_rows) : rows(view_rows) {
    const int64_t runs = gpu::ceil_divide<int64_t>(p.channels, run);
    unsigned across = 1;
    while (across < runs && across < gpu::kWarp) across *= 2;
    block = dim3(across, kThreads / across);
    rows_in_block = kRowsPerThread * block.y;
    grid = dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(runs, across)),
                static_cast<unsigned>(gpu::ceil_divide(rows, rows_in_block)), static_cast<unsigned>(p.views));
  }
};

template <class T>
constexpr int kWide = 16 / sizeof(T);

// body(integral_constant) with the length of the runs.
template <class T, class Body>
void with_run(int64_t channels, bool aligned, const Body& body) {
  if (aligned && channels % kWide<T> == 0)
    body(std::integral_constant<int, kWide<T>>{});
  else
    body(std::integral_constant<int, 1>{});
}

// Of values around a shift: how many, their mean and the sum of their squared differences from it.
struct Moments {
  double count, mean, squares;
};
// Chan, Golub, LeVeque 1979.
__device__ inline Moments merge(const Moments& a, const Moments& b) {
  const double count = a.count + b.count;
  if (b.count == 0) return a;
  const double delta = b.mean - a.mean;
  return {count, a.mean + delta * b.count / count, a.squares + b.squares + delta * delta * a.count * b.count / count};
}

// Two sums of each thread become those of the block, in the threads of line 0.
__device__ inline void add_lines(double (&first)[kThreads], double (&second)[kThreads]) {
  const int at = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  for (unsigned lines = blockDim.y / 2; lines > 0; lines /= 2) {
    __syncthreads();
    if (threadIdx.y < lines) {
      first[at] += first[at + lines * blockDim.x];
      second[at] += second[at + lines * blockDim.x];
    }
  }
}

// partials[view][block][2][C]: mean and squares.
template <class T, int kRun>
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(int64_t rows, int64_t rows_in_block, int64_t channels, const T* x, double* partials) {
  LOOKALIKE_SHARED(Moments, lines, [kThreads]);
  const int64_t channel = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kRun;
  const int64_t begin = int64_t{blockIdx.y} * rows_in_block, end = min(begin + rows_in_block, rows);
  const int at = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  const bool inside = channel < channels;
  float shift[kRun], sum[kRun] = {}, square[kRun] = {};
  int count = 0;
  if (inside) {
    const T* const from = x + int64_t{blockIdx.z} * rows * channels + channel;
    // The shift is the block's first row: close enough to the mean that the squares lose nothing.
    const auto first = gpu::load<kRun>(from + begin * channels);
#pragma unroll
    for (int j = 0; j < kRun; j++) shift[j] = to_float(first.x[j]);
#pragma unroll 4
    for (int64_t row = begin + threadIdx.y; row < end; row += blockDim.y, count++) {
      const auto values = gpu::load<kRun>(from + row * channels);
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        const float d = to_float(values.x[j]) - shift[j];
        sum[j] += d, square[j] += d * d;
      }
    }
  }
  for (int j = 0; j < kRun; j++) {
    __syncthreads();  // the lines of the last channel have been read
    if (count > 0) {
      const double n = count, s = sum[j];
      lines[at] = {n, shift[j] + s / n, square[j] - s * s / n};
    } else {
      lines[at] = {0, 0, 0};
    }
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.y < half) lines[at] = merge(lines[at], lines[at + half * blockDim.x]);
    }
    if (threadIdx.y == 0 && inside) {
      double* const to = partials + (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * 2 * channels + channel + j;
      to[0] = lines[at].mean;
      to[channels] = lines[at].squares;
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    merge_statistics_kernel(int64_t views, int64_t channels, int64_t rows, int64_t blocks, int64_t rows_in_block,
                            const double* partials, float* mean, float* variance) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= views * channels) return;
  const double* from = partials + i / channels * blocks * 2 * channels + i % channels;
  Moments total{0, 0, 0};
  for (int64_t block = 0; block < blocks; block++, from += 2 * channels) {
    const double count = static_cast<double>(min(rows_in_block, rows - block * rows_in_block));
    total = merge(total, {count, from[0], from[channels]});
  }
  mean[i] = static_cast<float>(total.mean);
  variance[i] = rows > 0 ? static_cast<float>(fmax(total.squares, 0.0) / static_cast<double>(rows)) : 0.0f;
}

__global__ void __launch_bounds__(kThreads)
    update_running_kernel(int64_t views, int64_t channels, int64_t rows, float momentum, const float* mean,
                          const float* variance, float* running_mean, float* running_variance) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  const float keep = 1 - momentum, unbiased = static_cast<float>(rows) / static_cast<float>(max(rows - 1, int64_t{1}));
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
  float mean[kRun], scale[kRun], beta[kRun], deviation[kRun];

  __device__ Channels(const BatchNormParams& p, int64_t view, int64_t channel, const float* means,
                      const float* variances, const float* gammas, const float* betas) {
#pragma unroll
    for (int j = 0; j < kRun; j++) {
      const int64_t c = channel + j;
      deviation[j] = sqrtf(variances[view * p.channels + c] + static_cast<float>(p.epsilon));
      mean[j] = means[view * p.channels + c], scale[j] = gammas[c] / deviation[j], beta[j] = betas[c];
    }
  }
  __device__ float z(float x, int j) const {
    return (x - mean[j]) * scale[j] + beta[j];
  }
};

// The pixels of pool window `row` of a view (or what is left of one at an odd edge): offsets from the view's start in
// pixels, and whether they are inside of the image.
struct Window {
  int64_t pixel[4];
  bool inside[4];
  bool whole;
  int64_t pooled;  // the window's own place, if it is whole

  __device__ Window(const BatchNormParams& p, int64_t row, int64_t windows_h, int64_t windows_w) {
    const int64_t line = row / windows_w, w = row % windows_w, image = line / windows_h, h = line % windows_h;
    whole = h < p.height / 2 && w < p.width / 2;
    pooled = (image * (p.height / 2) + h) * (p.width / 2) + w;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int64_t y = 2 * h + i / 2, x = 2 * w + i % 2;
      inside[i] = y < p.height && x < p.width;
      pixel[i] = (image * p.height + y) * p.width + x;
    }
  }
};

template <class T, int kRun, bool kPool, class F>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(BatchNormParams p, F f, int64_t rows, int64_t rows_in_block, const T* x, const float* mean,
                   const float* variance, const float* gamma, const float* beta, T* y, T* x_max) {
  const int64_t channel = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kRun, view = blockIdx.z;
  if (channel >= p.channels) return;
  const Channels<kRun> norm(p, view, channel, mean, variance, gamma, beta);
  const int64_t begin = int64_t{blockIdx.y} * rows_in_block, end = min(begin + rows_in_block, rows);
  const T* const from = x + view * p.view_rows() * p.channels + channel;
  y += view * rows * p.channels + channel;
  if constexpr (kPool) x_max += x_max != nullptr ? view * rows * p.channels + channel : 0;
#pragma unroll 4
  for (int64_t row = begin + threadIdx.y; row < end; row += blockDim.y) {
    gpu::Pack<T, kRun> out, winner;
    if constexpr (kPool) {
      const Window window(p, row, p.height / 2, p.width / 2);
      float best[kRun];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const auto values = gpu::load<kRun>(from + window.pixel[i] * p.channels);
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float z = norm.z(to_float(values.x[j]), j);
          if (i == 0 || z > best[j]) best[j] = z, winner.x[j] = values.x[j];
        }
      }
#pragma unroll
      for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(f.forward(best[j]));
      if (x_max != nullptr) gpu::store(x_max + row * p.channels, winner);
    } else {
      const auto values = gpu::load<kRun>(from + row * p.channels);
#pragma unroll
      for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(f.forward(norm.z(to_float(values.x[j]), j)));
    }
    gpu::store(y + row * p.channels, out);
  }
}

// partials[view][block][2][C]: sums of dz and of dz (x - mean). Rows are those of dy.
template <class T, int kRun, class F>
__global__ void __launch_bounds__(kThreads)
    reduce_kernel(BatchNormParams p, F f, int64_t rows, int64_t rows_in_block, const T* x, const float* mean,
                  const float* variance, const float* gamma, const float* beta, const T* dy, double* partials) {
  LOOKALIKE_SHARED(double, first, [kThreads]);
  LOOKALIKE_SHARED(double, second, [kThreads]);
  const int64_t channel = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kRun, view = blockIdx.z;
  const int64_t begin = int64_t{blockIdx.y} * rows_in_block, end = min(begin + rows_in_block, rows);
  const bool inside = channel < p.channels;
  float sum[kRun] = {}, product[kRun] = {};
  if (inside) {
    const Channels<kRun> norm(p, view, channel, mean, variance, gamma, beta);
    const int64_t start = view * rows * p.channels + channel;
#pragma unroll 4
    for (int64_t row = begin + threadIdx.y; row < end; row += blockDim.y) {
      const auto values = gpu::load<kRun>(x + start + row * p.channels);
      const auto grads = gpu::load<kRun>(dy + start + row * p.channels);
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        const float value = to_float(values.x[j]);
        const float dz = to_float(grads.x[j]) * f.backward(f.forward(norm.z(value, j)));
        sum[j] += dz, product[j] += dz * (value - norm.mean[j]);
      }
    }
  }
  const int at = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  for (int j = 0; j < kRun; j++) {
    __syncthreads();  // the sums of the last channel have been read
    first[at] = sum[j], second[at] = product[j];
    add_lines(first, second);
    if (threadIdx.y == 0 && inside) {
      double* const to = partials + (view * gridDim.y + blockIdx.y) * 2 * p.channels + channel + j;
      to[0] = first[at], to[p.channels] = second[at];
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    add_partials_kernel(BatchNormParams p, int64_t blocks, const double* partials, const float* variance, double* sums,
                        float* dgamma, float* dbeta) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= p.channels) return;
  double all_gamma = 0, all_beta = 0;
  for (int64_t view = 0; view < p.views; view++) {
    double sum = 0, product = 0;
    for (int64_t block = 0; block < blocks; block++) {
      const double* const from = partials + (view * blocks + block) * 2 * p.channels + c;
      sum += from[0], product += from[p.channels];
    }
    sums[2 * view * p.channels + c] = sum;
    sums[(2 * view + 1) * p.channels + c] = product;
    all_beta += sum;
    all_gamma += product / sqrt(static_cast<double>(variance[view * p.channels + c]) + p.epsilon);
  }
  dgamma[c] = static_cast<float>(all_gamma), dbeta[c] = static_cast<float>(all_beta);
}

// dx = scale (dz - shift) + slope (x - mean), what is subtracted coming through mean and variance. Rows are pixels, or with
// pool windows, those that the image's edge cuts included.
template <class T, int kRun, bool kPool, class F>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(BatchNormParams p, F f, int64_t rows, int64_t rows_in_block, const T* x, const T* x_max,
                    const float* mean, const float* variance, const float* gamma, const float* beta, const T* dy,
                    const double* sums, T* dx) {
  const int64_t channel = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kRun, view = blockIdx.z;
  if (channel >= p.channels) return;
  const Channels<kRun> norm(p, view, channel, mean, variance, gamma, beta);
  float shift[kRun] = {}, slope[kRun] = {};
  const int64_t view_rows = p.view_rows();
  if (sums != nullptr) {
    sums += 2 * view * p.channels + channel;
    const double count = static_cast<double>(view_rows);
#pragma unroll
    for (int j = 0; j < kRun; j++) {
      const double square = double{norm.deviation[j]} * norm.deviation[j];
      shift[j] = static_cast<float>(sums[j] / count);
      slope[j] = static_cast<float>(-norm.scale[j] * sums[p.channels + j] / (count * square));
    }
  }
  const int64_t begin = int64_t{blockIdx.y} * rows_in_block, end = min(begin + rows_in_block, rows);
  x += view * view_rows * p.channels + channel, dx += view * view_rows * p.channels + channel;
  const auto gradient = [&](float value, float dz, int j) {
    return from_float<T>(norm.scale[j] * (dz - shift[j]) + slope[j] * (value - norm.mean[j]));
  };
  if constexpr (kPool) {
    const int64_t start = view * (p.images / p.views) * (p.height / 2) * (p.width / 2) * p.channels + channel;
    for (int64_t row = begin + threadIdx.y; row < end; row += blockDim.y) {
      const Window window(p, row, (p.height + 1) / 2, (p.width + 1) / 2);
      float dz[kRun] = {};
      gpu::Pack<T, kRun> winner{};
      if (window.whole) {
        winner = gpu::load<kRun>(x_max + start + window.pooled * p.channels);
        const auto grads = gpu::load<kRun>(dy + start + window.pooled * p.channels);
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          dz[j] = to_float(grads.x[j]) * f.backward(f.forward(norm.z(to_float(winner.x[j]), j)));
        }
      }
      bool open[kRun];  // nobody has taken this gradient yet; that of a window that is not whole is zero
#pragma unroll
      for (int j = 0; j < kRun; j++) open[j] = true;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (!window.inside[i]) continue;
        const auto values = gpu::load<kRun>(x + window.pixel[i] * p.channels);
        gpu::Pack<T, kRun> out;
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          const float value = to_float(values.x[j]);
          const bool won = open[j] && value == to_float(winner.x[j]);
          open[j] = open[j] && !won;
          out.x[j] = gradient(value, won ? dz[j] : 0, j);
        }
        gpu::store(dx + window.pixel[i] * p.channels, out);
      }
    }
  } else {
    dy += view * view_rows * p.channels + channel;
#pragma unroll 2
    for (int64_t row = begin + threadIdx.y; row < end; row += blockDim.y) {
      const auto values = gpu::load<kRun>(x + row * p.channels);
      const auto grads = gpu::load<kRun>(dy + row * p.channels);
      gpu::Pack<T, kRun> out;
#pragma unroll
      for (int j = 0; j < kRun; j++) {
        const float value = to_float(values.x[j]);
        out.x[j] = gradient(value, to_float(grads.x[j]) * f.backward(f.forward(norm.z(value, j))), j);
      }
      gpu::store(dx + row * p.channels, out);
    }
  }
}

int64_t pooled_rows(const BatchNormParams& p) {
  return p.images / p.views * p.pooled_height() * p.pooled_width();
}

dim3 blocks_of(int64_t items) {
  return dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(items, kThreads)));
}

}  // namespace

int64_t batch_norm_workspace(const BatchNormParams& p) {
  // Runs of one channel make the most blocks: the fewest lines.
  const Layout layout(p, 1, p.view_rows());
  return int64_t{layout.grid.y} * p.views * 2 * p.channels;
}

void batch_norm_merge(const BatchNormParams& p, int64_t blocks, int64_t rows_in_block, const double* partials,
                      float* mean, float* variance, gpu::Stream stream) {
  gpu::launch({"batch_norm_merge", blocks_of(p.views * p.channels), dim3(kThreads), stream}, merge_statistics_kernel,
              p.views, p.channels, p.view_rows(), blocks, rows_in_block, partials, mean, variance);
}

template <class T>
void batch_norm_statistics(const BatchNormParams& p, const T* x, double* workspace, float* mean, float* variance,
                           gpu::Stream stream) {
  with_run<T>(p.channels, gpu::aligned_to_16(x), [&](auto run) {
    const Layout layout(p, run, p.view_rows());
    gpu::launch({"batch_norm_statistics", layout.grid, layout.block, stream}, statistics_kernel<T, run.value>,
                layout.rows, layout.rows_in_block, p.channels, x, workspace);
    batch_norm_merge(p, layout.grid.y, layout.rows_in_block, workspace, mean, variance, stream);
  });
}

void batch_norm_update_running(const BatchNormParams& p, const float* mean, const float* variance, double momentum,
                               float* running_mean, float* running_variance, gpu::Stream stream) {
  gpu::launch({"batch_norm_update_running", blocks_of(p.channels), dim3(kThreads), stream}, update_running_kernel,
              p.views, p.channels, p.view_rows(), static_cast<float>(momentum), mean, variance, running_mean,
              running_variance);
}

template <class T>
void batch_norm_forward(const BatchNormParams& p, const T* x, const float* mean, const float* variance,
                        const float* gamma, const float* beta, T* y, T* x_max, gpu::Stream stream) {
  with_run<T>(p.channels, gpu::aligned_to_16(x, y, x_max), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const Layout layout(p, run, pooled_rows(p));
      const auto kernel =
          p.pool ? forward_kernel<T, run.value, true, decltype(f)> : forward_kernel<T, run.value, false, decltype(f)>;
      gpu::launch({"batch_norm_forward", layout.grid, layout.block, stream}, kernel, p, f, layout.rows,
                  layout.rows_in_block, x, mean, variance, gamma, beta, y, x_max);
    });
  });
}

template <class T>
void batch_norm_reduce(const BatchNormParams& p, const T* x, const float* mean, const float* variance,
                       const float* gamma, const float* beta, const T* dy, double* workspace, double* sums,
                       float* dgamma, float* dbeta, gpu::Stream stream) {
  with_run<T>(p.channels, gpu::aligned_to_16(x, dy), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const Layout layout(p, run, pooled_rows(p));
      gpu::launch({"batch_norm_reduce", layout.grid, layout.block, stream}, reduce_kernel<T, run.value, decltype(f)>, p,
                  f, layout.rows, layout.rows_in_block, x, mean, variance, gamma, beta, dy, workspace);
      gpu::launch({"batch_norm_add_partials", blocks_of(p.channels), dim3(kThreads), stream}, add_partials_kernel, p,
                  int64_t{layout.grid.y}, workspace, variance, sums, dgamma, dbeta);
    });
  });
}

template <class T>
void batch_norm_backward(const BatchNormParams& p, const T* x, const T* x_max, const float* mean, const float* variance,
                         const float* gamma, const float* beta, const T* dy, const double* sums, T* dx,
                         gpu::Stream stream) {
  with_run<T>(p.channels, gpu::aligned_to_16(x, x_max, dy, dx), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const int64_t windows = p.images / p.views * ((p.height + 1) / 2) * ((p.width + 1) / 2);
      const Layout layout(p, run, p.pool ? windows : p.view_rows());
      const auto kernel =
          p.pool ? backward_kernel<T, run.value, true, decltype(f)> : backward_kernel<T, run.value, false, decltype(f)>;
      gpu::launch({"batch_norm_backward", layout.grid, layout.block, stream}, kernel, p, f, layout.rows,
                  layout.rows_in_block, x, x_max, mean, variance, gamma, beta, dy, sums, dx);
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

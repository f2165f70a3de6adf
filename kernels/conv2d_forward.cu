// Forward convolution: one product (conv2d_gemm.h) whose epilogue adds the bias, applies the activation and stores; or takes
// the maxima of 2x2 windows, whose four pixels are neighbouring rows of the tile; or takes mean and squared differences
// of each channel over the tile for the batch norm that follows.
#include "kernels/batch_norm.h"
#include "kernels/conv2d_cudnn.h"
#include "kernels/conv2d_gemm.h"

namespace lookalike::cuda {
namespace {

// What is done with a whole tile: pooling, or statistics.
template <class T>
struct FinishTile {
  static constexpr bool kWholeTile = true;
  gpu::Output output;
  T* y;
  uint8_t* argmax;
  double* partials;  // null: pool; else [tiles along m][2][channels], mean and squares
  int pixels;

  template <class Tile>
  __device__ void operator()(const Tile& tile, int m, int n) const {
    if (partials == nullptr)
      pool(tile, m, n);
    else
      take_statistics(tile, m, n);
  }

  template <class Tile>
  __device__ void pool(const Tile& tile, int m, int n) const {
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kM / 4 * Tile::kN; i += Tile::kThreads) {
      const int window = i / Tile::kN, j = i % Tile::kN, channel = n + j;
      if (m + 4 * window >= pixels || channel >= output.columns) continue;
      float best = output.finish(tile.at(4 * window, j), channel);
      int place = 0;
#pragma unroll
      for (int k = 1; k < 4; k++) {
        const float next = output.finish(tile.at(4 * window + k, j), channel);
        if (next > best) best = next, place = k;
      }
      const int64_t to = int64_t{m / 4 + window} * output.columns + channel;
      y[to] = from_float<T>(best);
      argmax[to] = static_cast<uint8_t>(place);
    }
  }

  // All rows of the tile are pixels of one view.
  template <class Tile>
  __device__ void take_statistics(const Tile& tile, int m, int n) const {
    constexpr int kParts = Tile::kThreads / Tile::kN, kRows = Tile::kM / kParts;
    LOOKALIKE_SHARED(float, means, [kParts][Tile::kN]);
    LOOKALIKE_SHARED(float, squares, [kParts][Tile::kN]);
    const int j = static_cast<int>(threadIdx.x) % Tile::kN, part = static_cast<int>(threadIdx.x) / Tile::kN;
    const int channel = n + j;
    if (channel < output.columns) {
      const float shift = output.finish(tile.at(part * kRows, j), channel);
      float sum = 0, square = 0;
      for (int i = part * kRows; i < (part + 1) * kRows; i++) {
        const float z = output.finish(tile.at(i, j), channel), d = z - shift;
        y[int64_t{m + i} * output.columns + channel] = from_float<T>(z);
        sum += d, square += d * d;
      }
      means[part][j] = shift + sum / kRows, squares[part][j] = square - sum * sum / kRows;
    }
    __syncthreads();
    if (part != 0 || channel >= output.columns) return;
    // Parts of equal size: Chan's merge, one after the other.
    double mean = means[0][j], total = squares[0][j];
#pragma unroll
    for (int i = 1; i < kParts; i++) {
      const double delta = means[i][j] - mean;
      total += squares[i][j] + delta * delta * kRows * i / (i + 1);
      mean += delta / (i + 1);
    }
    double* const to = partials + int64_t{m / Tile::kM} * 2 * output.columns + channel;
    to[0] = mean, to[output.columns] = total;
  }
};

// w[k][r][s][c] float -> [k][r][s][padded c] of T.
template <class T>
struct PadWeights {
  const float* w;
  T* to;
  gpu::FastDivide by_channels;
  int channels;
  __device__ void operator()(int64_t i) const {
    int c = static_cast<int>(i);
    const int tap = by_channels.split(c);
    to[i] = from_float<T>(c < channels ? w[int64_t{tap} * channels + c] : 0.0f);
  }
};

// A thread writes 16 bytes of a pixel.
template <class T>
struct PadImages {
  const T* x;
  T* to;
  int channels;
  gpu::FastDivide by_runs;
  __device__ void operator()(int64_t i) const {
    constexpr int kRun = kConvVector<T>;
    int c = static_cast<int>(i);
    const T* const from = x + int64_t{by_runs.split(c)} * channels;
    gpu::Pack<T, kRun> run;
#pragma unroll
    for (int j = 0; j < kRun; j++) run.x[j] = c * kRun + j < channels ? from[c * kRun + j] : from_float<T>(0.0f);
    gpu::store(to + i * kRun, run);
  }
};

template <class T>
bool weights_are_copied(const Conv2dParams& p) {
  return std::is_same_v<T, bf16> || padded_channels<T>(p) != p.in_c;
}

// Whether the weights' rows, (r, s, c), load 16 bytes at a time, and the images' channels.
template <class T>
bool is_vector(const Conv2dParams& p) {
  return padded_channels<T>(p) % kConvVector<T> == 0;
}

template <class T>
gpu::GemmPlan plan_forward(const Conv2dParams& p, bool may_split) {
  const int64_t pixels = p.batch * p.y_h() * p.y_w() * p.pool * p.pool;
  return plan_product<T>(p, pixels, p.out_c, p.kernel_h * p.kernel_w * padded_channels<T>(p), is_vector<T>(p),
                         may_split);
}

BatchNormParams norm_params(const Conv2dParams& p, int64_t views) {
  return {.views = views, .images = p.batch, .height = p.out_h(), .width = p.out_w(), .channels = p.out_c};
}

}  // namespace

template <class T>
const T* pad_images(const Conv2dParams& p, const T* x, T* to, gpu::Stream stream) {
  const int64_t channels = padded_channels<T>(p);
  if (channels == p.in_c) return x;
  const int64_t runs = channels / kConvVector<T>;
  gpu::for_each("conv2d_pad_images", p.batch * p.in_h * p.in_w * runs, stream,
                PadImages<T>{x, to, static_cast<int>(p.in_c), gpu::FastDivide(runs)});
  return to;
}

template <class T>
ConvSpace<T> forward_space(const Conv2dParams& p) {
  const int64_t pixels = p.batch * p.out_h() * p.out_w();
  ConvSpace<T> space;
  space.images = padded_images_size<T>(p);
  if (weights_are_copied<T>(p)) space.weights = p.out_c * p.kernel_h * p.kernel_w * padded_channels<T>(p);
  if (p.pool == 1) {
    space.floats = gpu::gemm_workspace(plan_forward<T>(p, true), pixels, p.out_c);
    // Statistics: of tiles of at least 64 rows, or of batch norm's own pass over a batch of any number of views.
    space.doubles =
        std::max(gpu::ceil_divide<int64_t>(pixels, 64) * 2 * p.out_c, batch_norm_workspace(norm_params(p, 1)));
    space.doubles += 2 * p.out_c * p.batch;
  }
  return space;
}

namespace {

// `plus` may be null; with it there are neither pooling nor statistics.
template <class T>
void forward(const Conv2dParams& p, const T* x, const float* w, const float* bias, const T* plus, T* y, uint8_t* argmax,
             const OutputStatistics& statistics, T* workspace, gpu::Stream stream) {
  const int64_t pixels = p.batch * p.y_h() * p.y_w() * p.pool * p.pool;
  if (pixels * p.out_c == 0) return;
  const ConvSpace<T> space = forward_space<T>(p);
  const int64_t channels = padded_channels<T>(p), depth = p.kernel_h * p.kernel_w * channels;
  x = pad_images(p, x, space.images_in(workspace), stream);
  if (weights_are_copied<T>(p)) {
    gpu::for_each("conv2d_pad_weights", p.out_c * depth, stream,
                  PadWeights<T>{w, space.weights_in(workspace), gpu::FastDivide(channels), static_cast<int>(p.in_c)});
  }
  const T* weights = weights_are_copied<T>(p) ? space.weights_in(workspace) : reinterpret_cast<const T*>(w);
  const gpu::Output output{bias, AnyActivation(p.activation), static_cast<int>(p.out_c)};

  const bool with_statistics = statistics.views > 0;
  const gpu::GemmPlan whole = plan_forward<T>(p, false);
  const int64_t tile_rows = gpu::tile_m(whole.tile);
  const int64_t view_rows = with_statistics ? pixels / statistics.views : 0;
  const bool from_tiles = with_statistics && view_rows % tile_rows == 0;
  double* const partials = space.doubles_in(workspace);

  with_math<T>(p.tf32, is_vector<T>(p), [&](auto math, auto vector) {
    const auto windows = image_windows<T, vector>(p, x, p.pool == 2);
    const gpu::MatrixSource<T, true, vector> filters{weights, static_cast<int>(p.out_c), static_cast<int>(depth)};
    if (p.pool == 2 || from_tiles) {
      const FinishTile<T> finish{output, y, argmax, from_tiles ? partials : nullptr, static_cast<int>(pixels)};
      gpu::gemm<math>("conv2d_forward", whole, windows, filters, finish, nullptr, stream);
    } else if (plus != nullptr) {
      gpu::gemm<math>("conv2d_forward", plan_forward<T>(p, true), windows, filters,
                      gpu::StoreRowsPlus<T>{output, plus, y}, space.floats_in(workspace), stream);
    } else {
      gpu::gemm<math>("conv2d_forward", plan_forward<T>(p, true), windows, filters, gpu::StoreRows<T>{output, y},
                      space.floats_in(workspace), stream);
    }
  });
  if (from_tiles) {
    batch_norm_merge(norm_params(p, statistics.views), view_rows / tile_rows, tile_rows, partials, statistics.mean,
                     statistics.variance, stream);
  } else if (with_statistics) {
    batch_norm_statistics(norm_params(p, statistics.views), y, partials, statistics.mean, statistics.variance, stream);
  }
}

}  // namespace

template <class T>
void conv2d_forward(const Conv2dParams& p, const T* x, const float* w, const float* bias, T* y, uint8_t* argmax,
                    const OutputStatistics& statistics, T* workspace, gpu::Stream stream) {
  if (cudnn::makes(p))
    cudnn::conv2d_forward(p, x, w, bias, y, argmax, statistics, workspace, stream);
  else
    forward<T>(p, x, w, bias, nullptr, y, argmax, statistics, workspace, stream);
}

template <class T>
void conv2d_forward_plus(const Conv2dParams& p, const T* x, const float* w, const float* bias, const T* plus, T* y,
                         T* workspace, gpu::Stream stream) {
  forward<T>(p, x, w, bias, plus, y, nullptr, {}, workspace, stream);
}

#define INSTANTIATE(T)                                                                                           \
  template const T* pad_images(const Conv2dParams&, const T*, T*, gpu::Stream);                                  \
  template ConvSpace<T> forward_space(const Conv2dParams&);                                                      \
  template void conv2d_forward(const Conv2dParams&, const T*, const float*, const float*, T*, uint8_t*,          \
                               const OutputStatistics&, T*, gpu::Stream);                                        \
  template void conv2d_forward_plus(const Conv2dParams&, const T*, const float*, const float*, const T*, T*, T*, \
                                    gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cuda

// Backward weights: one product whose depth, all pixels, is split over the device and added up in order (conv2d_gemm.h); and
// the gradient before activation and pooling, which comes first, with the sums of its channels, the bias' gradient.
#include "kernels/conv2d_cudnn.h"
#include "kernels/conv2d_gemm.h"

namespace lookalike::cuda {
namespace {

// Rows k of (r, s, padded c) into dw[k][r][s][c].
struct StoreWeights {
  static constexpr bool kStaged = false;
  float* dw;
  int row, channels, padded;
  gpu::FastDivide by_padded;

  template <int kRun>
  __device__ void operator()(int k, int n, const float (&sums)[kRun], int valid) const {
    if (padded == channels) {
      gpu::Pack<float, kRun> run;
#pragma unroll
      for (int i = 0; i < kRun; i++) run.x[i] = sums[i];
      return gpu::store_run(dw + int64_t{k} * row + n, run, row, valid);
    }
#pragma unroll
    for (int i = 0; i < kRun; i++) {
      if (i >= valid) break;
      int c = n + i;
      const int tap = by_padded.split(c);
      if (c < channels) dw[int64_t{k} * row + tap * channels + c] = sums[i];
    }
  }
};

// dz of a run of channels of one pixel (before pooling).
template <class T, class F>
struct OutputGradient {
  F f;
  const T *dy, *y;
  const uint8_t* argmax;  // null: no pooling
  T* dz;
  int64_t out_h, out_w, y_h, y_w, channels;

  template <int kWidth>
  __device__ void run(int64_t i) const {
    const int64_t k = i % channels, position = i / channels, line = position / out_w;
    const int64_t q = position % out_w, p = line % out_h, n = line / out_h;
    gpu::Pack<T, kWidth> out;
    const bool inside = argmax == nullptr || (p / 2 < y_h && q / 2 < y_w);
    if (!inside) {
#pragma unroll
      for (int j = 0; j < kWidth; j++) out.x[j] = from_float<T>(0.0f);
      return gpu::store(dz + i, out);
    }
    const int64_t from = argmax == nullptr ? i : ((n * y_h + p / 2) * y_w + q / 2) * channels + k;
    const auto grads = gpu::load<kWidth>(dy + from);
    const auto values = gpu::load<kWidth>(y + from);
    gpu::Pack<uint8_t, kWidth> winner{};
    if (argmax != nullptr) winner = gpu::load<kWidth>(argmax + from);
    const int place = argmax == nullptr ? 0 : static_cast<int>(p % 2 * 2 + q % 2);
#pragma unroll
    for (int j = 0; j < kWidth; j++) {
      out.x[j] = from_float<T>(winner.x[j] == place ? to_float(grads.x[j]) * f.backward(to_float(values.x[j])) : 0.0f);
    }
    gpu::store(dz + i, out);
  }
};

// Sums over positions of dy f'(y): a block adds the rows of its share, kLines at a time, then one thread for each channel
// adds the blocks' sums in order.
constexpr int kLines = 8;

int64_t bias_blocks(int64_t rows) {
  return std::clamp<int64_t>(rows / 64, 1, 256);
}

template <class T, class F>
__global__ void __launch_bounds__(gpu::kWarp* kLines)
    bias_kernel(F f, int64_t rows, int64_t channels, const T* dy, const T* y, float* sums) {
  LOOKALIKE_SHARED(float, lines, [kLines][gpu::kWarp]);
  const int64_t channel = int64_t{blockIdx.x} * gpu::kWarp + threadIdx.x;
  const int64_t begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  float sum = 0;
  if (channel < channels) {
#pragma unroll 4
    for (int64_t row = begin + threadIdx.y; row < end; row += kLines) {
      const int64_t i = row * channels + channel;
      sum += to_float(dy[i]) * f.backward(to_float(y[i]));
    }
  }
  lines[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= channels) return;
#pragma unroll
  for (int line = 1; line < kLines; line++) sum += lines[line][threadIdx.x];
  sums[blockIdx.y * channels + channel] = sum;
}

__global__ void add_bias_kernel(int64_t blocks, int64_t channels, const float* sums, float* dbias) {
  const int64_t channel = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (channel >= channels) return;
  float sum = 0;
  for (int64_t block = 0; block < blocks; block++) sum += sums[block * channels + channel];
  dbias[channel] = sum;
}

template <class T>
bool is_vector(const Conv2dParams& p) {
  return padded_channels<T>(p) % kConvVector<T> == 0 && p.out_c % kConvVector<T> == 0;
}

template <class T>
gpu::GemmPlan plan_weights(const Conv2dParams& p) {
  return plan_product<T>(p, p.out_c, p.kernel_h * p.kernel_w * padded_channels<T>(p), p.batch * p.out_h() * p.out_w(),
                         is_vector<T>(p));
}

}  // namespace

template <class T>
ConvSpace<T> backward_weights_space(const Conv2dParams& p) {
  ConvSpace<T> space;
  space.images = padded_images_size<T>(p);
  space.floats =
      std::max(gpu::gemm_workspace(plan_weights<T>(p), p.out_c, p.kernel_h * p.kernel_w * padded_channels<T>(p)),
               bias_blocks(p.batch * p.y_h() * p.y_w()) * p.out_c);
  return space;
}

template <class T>
void conv2d_output_gradient(const Conv2dParams& p, const T* dy, const T* y, const uint8_t* argmax, T* dz, float* dbias,
                            T* workspace, gpu::Stream stream) {
  const int64_t rows = p.batch * p.y_h() * p.y_w();
  with_activation<float>(p.activation, [&](auto f) {
    using F = decltype(f);
    if (dz != nullptr) {
      constexpr int kWidth = kConvVector<T>;
      const bool wide = p.out_c % kWidth == 0 && gpu::aligned_to_16(dy, y, argmax, dz);
      gpu::for_runs<kWidth>("conv2d_output_gradient", p.batch * p.out_h() * p.out_w() * p.out_c, wide, stream,
                            OutputGradient<T, F>{f, dy, y, p.pool == 2 ? argmax : nullptr, dz, p.out_h(), p.out_w(),
                                                 p.y_h(), p.y_w(), p.out_c});
    }
    if (dbias != nullptr) {
      float* const sums = backward_weights_space<T>(p).floats_in(workspace);
      const dim3 grid(static_cast<unsigned>(gpu::ceil_divide<int64_t>(p.out_c, gpu::kWarp)),
                      static_cast<unsigned>(bias_blocks(rows)));
      gpu::launch({"conv2d_bias_gradient", grid, dim3(gpu::kWarp, kLines), stream}, bias_kernel<T, F>, f, rows, p.out_c,
                  dy, y, sums);
      gpu::launch(
          {"conv2d_add_bias", dim3(static_cast<unsigned>(gpu::ceil_divide<int64_t>(p.out_c, 128))), dim3(128), stream},
          add_bias_kernel, bias_blocks(rows), p.out_c, sums, dbias);
    }
  });
}

template <class T>
void conv2d_backward_weights(const Conv2dParams& p, const T* x, const T* dz, float* dw, T* workspace,
                             gpu::Stream stream) {
  if (cudnn::makes(p)) return cudnn::conv2d_backward_weights(p, x, dz, dw, workspace, stream);
  const ConvSpace<T> space = backward_weights_space<T>(p);
  const int64_t channels = padded_channels<T>(p), pixels = p.batch * p.out_h() * p.out_w();
  x = pad_images(p, x, space.images_in(workspace), stream);
  with_math<T>(p.tf32, is_vector<T>(p), [&](auto math, auto vector) {
    const gpu::MatrixSource<T, false, vector> gradients{dz, static_cast<int>(p.out_c), static_cast<int>(pixels)};
    const auto windows = image_windows<T, vector>(p, x, false);
    const PatchSource<T, vector> patches{windows, windows.depth_size, static_cast<int>(pixels)};
    const StoreWeights store{dw, static_cast<int>(p.kernel_h * p.kernel_w * p.in_c), static_cast<int>(p.in_c),
                             static_cast<int>(channels), gpu::FastDivide(channels)};
    gpu::gemm<math>("conv2d_backward_weights", plan_weights<T>(p), gradients, patches, store,
                    space.floats_in(workspace), stream);
  });
}

template <class T>
Conv2dWorkspace conv2d_workspace(const Conv2dParams& p) {
  const int64_t weights = backward_weights_space<T>(p).size();
  if (!cudnn::makes(p)) return {forward_space<T>(p).size(), backward_data_space<T>(p).size(), weights};
  Conv2dWorkspace sizes = cudnn::conv2d_workspace<T>(p);
  sizes.backward_weights = std::max(sizes.backward_weights, weights);  // output_gradient is ours
  return sizes;
}

#define INSTANTIATE(T)                                                                                          \
  template ConvSpace<T> backward_weights_space(const Conv2dParams&);                                            \
  template Conv2dWorkspace conv2d_workspace<T>(const Conv2dParams&);                                            \
  template void conv2d_output_gradient(const Conv2dParams&, const T*, const T*, const uint8_t*, T*, float*, T*, \
                                       gpu::Stream);                                                            \
  template void conv2d_backward_weights(const Conv2dParams&, const T*, const T*, float*, T*, gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cuda

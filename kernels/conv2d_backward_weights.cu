// Backward weights: one product whose depth, all pixels, is split over the device and added up in order (conv2d_gemm.h); and
// the gradient before activation and pooling, which comes first, with the sums of its channels, the bias' gradient.
#include "kernels/conv2d_cudnn.h"
#include "kernels/conv2d_gemm.h"
#include "kernels/gpu/columns.h"

namespace lookalike::cuda {
namespace {

// Rows k of (r, s, padded c) into dw[k][r][s][c].
struct StoreWeights {
  static constexpr bool kWholeTile = false;
  float* dw;
  int row, channels, padded;
  gpu::FastDivide by_padded;

  __device__ void operator()(int k, int n, const float (&sums)[gpu::kGemmRun], int valid) const {
    if (padded == channels) {
      gpu::Pack<float, gpu::kGemmRun> run;
#pragma unroll
      for (int i = 0; i < gpu::kGemmRun; i++) run.x[i] = sums[i];
      return gpu::store_run(dw + int64_t{k} * row + n, run, row, valid);
    }
    // All runs are whole: padded is a multiple of 4.
#pragma unroll
    for (int i = 0; i < gpu::kGemmRun; i++) {
      int c = n + i;
      const int tap = by_padded.split(c);
      if (c < channels) dw[int64_t{k} * row + tap * channels + c] = sums[i];
    }
  }
};

// A body of sum_columns: the gradients before activation and pooling, made and added up. Rows are pixels of y; with pooling
// windows, those that the image's edge cuts included.
template <class T, class F, bool kPool>
struct OutputGradient {
  F f;
  const T *dy, *y;
  const uint8_t* argmax;
  T* dz;  // may be null without kPool
  int channels, out_h, out_w;
  gpu::FastDivide by_width, by_height;  // windows

  template <int kRun>
  struct Loaded {
    gpu::Pack<T, kRun> dy, y;
  };
  template <int kRun>
  __device__ Loaded<kRun> load(int64_t from) const {
    return {gpu::load<kRun>(dy + from), gpu::load<kRun>(y + from)};
  }

  template <int kRun>
  __device__ void add(const gpu::ColumnShare<kRun>& share, float (&sums)[kRun]) const {
    if constexpr (kPool)
      add_windows(share, sums);
    else
      add_pixels(share, sums);
  }

  template <int kRun>
  __device__ void add_pixels(const gpu::ColumnShare<kRun>& share, float (&sums)[kRun]) const {
    share.template walk<2>([&](int row) { return load<kRun>(int64_t{row} * channels + share.column); },
                           [&](int row, const Loaded<kRun>& of) {
                             gpu::Pack<T, kRun> out;
#pragma unroll
                             for (int j = 0; j < kRun; j++) {
                               const float gradient = to_float(of.dy.x[j]) * f.backward(to_float(of.y.x[j]));
                               sums[j] += gradient, out.x[j] = from_float<T>(gradient);
                             }
                             if (dz != nullptr) gpu::store(dz + int64_t{row} * channels + share.column, out);
                           });
  }

  template <int kRun>
  __device__ void add_windows(const gpu::ColumnShare<kRun>& share, float (&sums)[kRun]) const {
    for (int row = share.begin; row < share.end; row += static_cast<int>(blockDim.y)) {
      int w = row, h = by_width.split(w);
      const int n = by_height.split(h);
      const bool right = 2 * w + 1 < out_w, below = 2 * h + 1 < out_h, whole = right && below;
      float gradients[kRun] = {};
      gpu::Pack<uint8_t, kRun> winner{};
      if (whole) {
        const int64_t from = int64_t{(n * (out_h / 2) + h) * (out_w / 2) + w} * channels + share.column;
        const auto of = load<kRun>(from);
        winner = gpu::load<kRun>(argmax + from);
#pragma unroll
        for (int j = 0; j < kRun; j++) {
          gradients[j] = to_float(of.dy.x[j]) * f.backward(to_float(of.y.x[j]));
          sums[j] += gradients[j];
        }
      }
      T* const to = dz + int64_t{(n * out_h + 2 * h) * out_w + 2 * w} * channels + share.column;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if ((i % 2 == 1 && !right) || (i / 2 == 1 && !below)) continue;
        gpu::Pack<T, kRun> out;
#pragma unroll
        for (int j = 0; j < kRun; j++) out.x[j] = from_float<T>(winner.x[j] == i ? gradients[j] : 0.0f);
        gpu::store(to + (i / 2 * out_w + i % 2) * channels, out);
      }
    }
  }
};

// Of OutputGradient.
int64_t gradient_rows(const Conv2dParams& p) {
  return p.batch * gpu::ceil_divide(p.out_h(), p.pool) * gpu::ceil_divide(p.out_w(), p.pool);
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
               gpu::sum_columns_workspace(gradient_rows(p), p.out_c));
  return space;
}

template <class T>
void conv2d_output_gradient(const Conv2dParams& p, const T* dy, const T* y, const uint8_t* argmax, T* dz, float* dbias,
                            T* workspace, gpu::Stream stream) {
  if (dz == nullptr && dbias == nullptr) return;
  float* const sums = backward_weights_space<T>(p).floats_in(workspace);
  gpu::with_run<T>(p.out_c, gpu::aligned_to_16(dy, y, argmax, dz), [&](auto run) {
    with_activation<float>(p.activation, [&](auto f) {
      const auto make = [&](auto pool) {
        const OutputGradient<T, decltype(f), pool.value> body{f,
                                                              dy,
                                                              y,
                                                              argmax,
                                                              dz,
                                                              static_cast<int>(p.out_c),
                                                              static_cast<int>(p.out_h()),
                                                              static_cast<int>(p.out_w()),
                                                              gpu::FastDivide(gpu::ceil_divide<int64_t>(p.out_w(), 2)),
                                                              gpu::FastDivide(gpu::ceil_divide<int64_t>(p.out_h(), 2))};
        gpu::sum_columns<run.value>("conv2d_output_gradient", gradient_rows(p), p.out_c, body, sums, dbias, stream);
      };
      if (p.pool == 2)
        make(std::true_type{});
      else
        make(std::false_type{});
    });
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

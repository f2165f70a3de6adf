// Backward data, and transposed convolution, which is the same with bias and activation: one product for each phase of the
// stride (conv2d_gemm.h), over weights turned to [c][r][s][k] once.
#include "kernels/conv2d_cudnn.h"
#include "kernels/conv2d_gemm.h"

namespace lookalike::cuda {
namespace {

// A phase's pixels into the image.
template <class T>
struct StorePhase {
  static constexpr bool kWholeTile = false;
  gpu::Output output;
  T* image;
  int height, width, stride, row, column;
  gpu::FastDivide by_row, by_image;

  __device__ void operator()(int pixel, int channel, const float (&sums)[gpu::kGemmRun], int valid) const {
    const int n = by_image.split(pixel), h = by_row.split(pixel) * stride + row, w = pixel * stride + column;
    const int64_t at = ((int64_t{n} * height + h) * width + w) * output.columns + channel;
    output.store(image + at, channel, sums, valid);
  }
};

// The weights of a phase as an operand: outer index = in channel, depth = (tap row, tap column, out channel).
template <class T, int kVector_>
struct PhaseWeights {
  using Element = T;
  static constexpr bool kDepthContiguous = true;
  static constexpr int kVector = kVector_;

  const T* w;  // [c][r][s][k]
  int outer_size, depth_size;
  int filters, kernel_w, taps, stride, first;  // taps: of the whole kernel; first: the phase's first tap
  gpu::FastDivide by_filters, by_tap_row;

  struct Outer {
    int offset;
  };
  struct Depth {
    int offset;
  };
  __device__ Outer outer(int c) const { return {c * taps * filters}; }
  __device__ Depth depth(int k) const {
    const int r = by_tap_row.split(k), s = by_filters.split(k);
    return {(first + (r * kernel_w + s) * stride) * filters + k};
  }
  __device__ const T* at(Outer o, Depth d) const { return w + (o.offset + d.offset); }
};

// w[filters][taps][channels] to [channels][taps][filters], a tile of 32 filters by 32 channels of one tap a block.
constexpr int kTurnLines = 8;
template <class T>
__global__ void __launch_bounds__(gpu::kWarp* kTurnLines)
    turn_weights_kernel(int filters, int taps, int channels, const float* w, T* to) {
  LOOKALIKE_SHARED(float, tile, [gpu::kWarp][gpu::kWarp + 1]);
  const int channel0 = static_cast<int>(blockIdx.x) * gpu::kWarp, filter0 = static_cast<int>(blockIdx.y) * gpu::kWarp;
  const int tap = static_cast<int>(blockIdx.z), x = static_cast<int>(threadIdx.x);
  for (int i = static_cast<int>(threadIdx.y); i < gpu::kWarp; i += kTurnLines) {
    if (filter0 + i < filters && channel0 + x < channels)
      tile[i][x] = w[(int64_t{filter0 + i} * taps + tap) * channels + channel0 + x];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.y); i < gpu::kWarp; i += kTurnLines) {
    if (channel0 + i < channels && filter0 + x < filters)
      to[(int64_t{channel0 + i} * taps + tap) * filters + filter0 + x] = from_float<T>(tile[x][i]);
  }
}

template <class T>
void turn_weights(const Conv2dParams& p, const float* w, T* to, gpu::Stream stream) {
  const auto tiles = [](int64_t n) { return static_cast<unsigned>(gpu::ceil_divide<int64_t>(n, gpu::kWarp)); };
  const auto taps = static_cast<int>(p.kernel_h * p.kernel_w);
  gpu::launch({"conv2d_turn_weights", dim3(tiles(p.in_c), tiles(p.out_c), static_cast<unsigned>(taps)),
               dim3(gpu::kWarp, kTurnLines), stream},
              turn_weights_kernel<T>, static_cast<int>(p.out_c), taps, static_cast<int>(p.in_c), w, to);
}

template <class T>
bool is_vector(const Conv2dParams& p) {
  return p.out_c % kConvVector<T> == 0;
}

template <class T>
gpu::GemmPlan plan_phase(const Conv2dParams& p, const Phase& phase) {
  return plan_product<T>(p, p.batch * phase.rows * phase.columns, p.in_c, phase.taps_r * phase.taps_s * p.out_c,
                         is_vector<T>(p));
}

}  // namespace

template <class T>
ConvSpace<T> backward_data_space(const Conv2dParams& p) {
  ConvSpace<T> space;
  space.weights = p.out_c * p.kernel_h * p.kernel_w * p.in_c;
  for_phases(p, [&](const Phase& phase) {
    const int64_t pixels = p.batch * phase.rows * phase.columns;
    space.floats = std::max(space.floats, gpu::gemm_workspace(plan_phase<T>(p, phase), pixels, p.in_c));
  });
  return space;
}

template <class T>
void conv_transpose2d_forward(const Conv2dParams& p, const Activation& f, const T* z, const float* w, const float* bias,
                              T* x, T* workspace, gpu::Stream stream) {
  if (p.batch * p.in_c == 0) return;
  if (cudnn::makes(p)) {
    cudnn::conv2d_backward_data(p, z, w, x, workspace, stream);
    const int64_t pixels = p.batch * p.in_h * p.in_w;
    if (bias != nullptr) return bias_activation_forward(f, x, bias, x, pixels, p.in_c, stream);
    if (f.kind != ActivationKind::none) activation_forward(f, x, x, pixels * p.in_c, stream);
    return;
  }
  const ConvSpace<T> space = backward_data_space<T>(p);
  T* const turned = space.weights_in(workspace);
  turn_weights(p, w, turned, stream);
  const auto small = [](int64_t n) { return static_cast<int>(n); };
  const gpu::Output output{bias, AnyActivation(f), small(p.in_c)};
  with_math<T>(p.tf32, is_vector<T>(p), [&](auto math, auto vector) {
    for_phases(p, [&](const Phase& phase) {
      const gpu::FastDivide by_filters(p.out_c), by_tap_row(std::max<int64_t>(phase.taps_s, 1) * p.out_c);
      const gpu::FastDivide by_row(phase.columns), by_image(phase.rows * phase.columns);
      const int depth = small(phase.taps_r * phase.taps_s * p.out_c);
      const WindowSource<T, vector, -1> gradients{.image = z,
                                                  .outer_size = small(p.batch * phase.rows * phase.columns),
                                                  .depth_size = depth,
                                                  .height = small(p.out_h()),
                                                  .width = small(p.out_w()),
                                                  .channels = small(p.out_c),
                                                  .stride = 1,
                                                  .top = small(phase.top),
                                                  .left = small(phase.left),
                                                  .pooled = false,
                                                  .by_row = by_row,
                                                  .by_image = by_image,
                                                  .by_channels = by_filters,
                                                  .by_window_row = by_tap_row};
      const PhaseWeights<T, vector> weights{.w = turned,
                                            .outer_size = small(p.in_c),
                                            .depth_size = depth,
                                            .filters = small(p.out_c),
                                            .kernel_w = small(p.kernel_w),
                                            .taps = small(p.kernel_h * p.kernel_w),
                                            .stride = small(p.stride),
                                            .first = small(phase.tap_r * p.kernel_w + phase.tap_s),
                                            .by_filters = by_filters,
                                            .by_tap_row = by_tap_row};
      const StorePhase<T> store{.output = output,
                                .image = x,
                                .height = small(p.in_h),
                                .width = small(p.in_w),
                                .stride = small(p.stride),
                                .row = small(phase.row),
                                .column = small(phase.column),
                                .by_row = by_row,
                                .by_image = by_image};
      gpu::gemm<math>("conv2d_backward_data", plan_phase<T>(p, phase), gradients, weights, store,
                      space.floats_in(workspace), stream);
    });
  });
}

template <class T>
void conv2d_backward_data(const Conv2dParams& p, const T* dz, const float* w, T* dx, T* workspace, gpu::Stream stream) {
  conv_transpose2d_forward(p, {}, dz, w, nullptr, dx, workspace, stream);
}

#define INSTANTIATE(T)                                                                                                 \
  template ConvSpace<T> backward_data_space(const Conv2dParams&);                                                      \
  template void conv_transpose2d_forward(const Conv2dParams&, const Activation&, const T*, const float*, const float*, \
                                         T*, T*, gpu::Stream);                                                         \
  template void conv2d_backward_data(const Conv2dParams&, const T*, const float*, T*, T*, gpu::Stream);
INSTANTIATE(float)
INSTANTIATE(bf16)
#undef INSTANTIATE

}  // namespace lookalike::cuda

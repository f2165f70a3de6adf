#include "kernels/depthwise_conv2d_tile.h"

#include "kernels/simd.h"

namespace lookalike::cpu {
namespace {

// T outputs of V vectors of channels each. Of one vector that is not Whole, `left` channels count.
template <int T, int V, bool Whole = true>
void correlate_tile(const DepthwiseRun& run, const DepthwiseTap* taps, int64_t count, int64_t from, int64_t c,
                    int64_t left, const float* bias, float* out) {
  const int64_t n = Whole ? kLanes : left;
  Vec sums[T][V];
  for (int v = 0; v < V; v++) {
    const Vec first = bias ? load_some(bias + c + v * kLanes, n) : Vec{};
    for (int i = 0; i < T; i++) sums[i][v] = first;
  }
  for (int64_t t = 0; t < count; t++) {
    const float *x = taps[t].x + from + c, *w = taps[t].w + c;
    Vec weights[V];
    for (int v = 0; v < V; v++) weights[v] = load_some(w + v * kLanes, n);
#pragma GCC unroll 16
    for (int i = 0; i < T; i++)
      for (int v = 0; v < V; v++) sums[i][v] += load_some(x + i * run.in_step + v * kLanes, n) * weights[v];
  }
  with_leaky(
      run.slope, run.limit, [&](const auto& f) __attribute__((always_inline)) {
#pragma GCC unroll 16
        for (int i = 0; i < T; i++)
          for (int v = 0; v < V; v++) store_some(out + i * run.out_step + c + v * kLanes, f(sums[i][v]), n);
      });
}

void correlate_taps(const DepthwiseRun& run, const DepthwiseTap* taps, int64_t count, const float* bias, float* out) {
  constexpr int kFew = 3, kBeside = 4;  // few outputs: several vectors of channels keep the multipliers busy
  int64_t c = 0;
  if (run.outputs <= kFew) {
    for (; c + kBeside * kLanes <= run.channels; c += kBeside * kLanes)
      with_constant<kFew>(run.outputs,
                          [&]<int T>() { correlate_tile<T, kBeside>(run, taps, count, 0, c, kLanes, bias, out); });
  }
  for (; c < run.channels; c += kLanes) {
    const int64_t left = run.channels - c;
    for_tiles(run.outputs, [&]<int T>(int64_t first) {
      float* to = out + first * run.out_step;
      const auto tile = left >= kLanes ? correlate_tile<T, 1> : correlate_tile<T, 1, false>;
      tile(run, taps, count, first * run.in_step, c, left, bias, to);
    });
  }
}

// T outputs of one vector of channels. A pixel is read once for all outputs of a row that see it.
template <int K, int S, int T>
void windows_tile(const DepthwiseWindows& d, const float* x, const float* w, Vec bias, float* out) {
  Vec sums[T];
#pragma GCC unroll 16
  for (int i = 0; i < T; i++) {
    sums[i] = bias;
    __builtin_prefetch(out + i * d.out_step, 1);  // fetched while the sums are made
  }
  for (int64_t r = 0; r < d.kernel_h; r++, x += d.x_row, w += K * d.w_tap) {
    Vec weights[K];
#pragma GCC unroll 8
    for (int s = 0; s < K; s++) weights[s] = load(w + s * d.w_tap);
#pragma GCC unroll 64
    for (int j = 0; j < (T - 1) * S + K; j++) {
      const Vec pixel = load(x + j * d.x_pixel);
#pragma GCC unroll 8
      for (int s = 0; s < K; s++)
        if (j >= s && (j - s) % S == 0 && (j - s) / S < T) sums[(j - s) / S] += pixel * weights[s];
    }
  }
  with_leaky(
      d.slope, d.limit, [&](const auto& f) __attribute__((always_inline)) {
#pragma GCC unroll 16
        for (int i = 0; i < T; i++) store(out + i * d.out_step, f(sums[i]));
      });
}

template <int K, int S>
void correlate_whole(const DepthwiseWindows& d, const float* x, const float* w, const float* bias, float* out) {
  for (int64_t c = 0; c + kLanes <= d.channels; c += kLanes) {
    const Vec first = bias ? load(bias + c) : Vec{};
    for_tiles(d.outputs, [&]<int T>(int64_t i) {
      windows_tile<K, S, T>(d, x + i * S * d.x_pixel + c, w + c, first, out + i * d.out_step + c);
    });
  }
}

int64_t correlate_windows(const DepthwiseWindows& d, const float* x, const float* w, const float* bias, float* out) {
  const auto correlate = [&]() -> decltype(&correlate_whole<3, 1>) {
    if (d.kernel_w == 3 && d.stride == 1) return correlate_whole<3, 1>;
    if (d.kernel_w == 3 && d.stride == 2) return correlate_whole<3, 2>;
    if (d.kernel_w == 5 && d.stride == 1) return correlate_whole<5, 1>;
    if (d.kernel_w == 5 && d.stride == 2) return correlate_whole<5, 2>;
    return nullptr;
  }();
  if (!correlate) return 0;
  correlate(d, x, w, bias, out);
  return d.channels / kLanes * kLanes;
}

template <int V>
void weight_gradient_tile(int64_t outputs, const float* x, int64_t x_step, const float* dz, int64_t dz_step, int64_t n,
                          float* dw) {
  Vec sums[2][V] = {};
  int64_t i = 0;
  for (; i + 2 <= outputs; i += 2, x += 2 * x_step, dz += 2 * dz_step)
    for (int j = 0; j < 2; j++)
      for (int v = 0; v < V; v++)
        sums[j][v] += load_some(x + j * x_step + v * kLanes, n) * load_some(dz + j * dz_step + v * kLanes, n);
  if (i < outputs)
    for (int v = 0; v < V; v++) sums[0][v] += load_some(x + v * kLanes, n) * load_some(dz + v * kLanes, n);
  for (int v = 0; v < V; v++) {
    const Vec sum = load_some(dw + v * kLanes, n) + (sums[0][v] + sums[1][v]);
    if (n >= kLanes)
      store(dw + v * kLanes, sum);
    else
      for (int k = 0; k < n; k++) dw[k] = sum[k];
  }
}

void weight_gradient(int64_t outputs, int64_t channels, const float* x, int64_t x_step, const float* dz, float* dw) {
  constexpr int kBeside = 4;
  int64_t c = 0;
  for (; c + kBeside * kLanes <= channels; c += kBeside * kLanes)
    weight_gradient_tile<kBeside>(outputs, x + c, x_step, dz + c, channels, kLanes, dw + c);
  for (; c < channels; c += kLanes)
    weight_gradient_tile<1>(outputs, x + c, x_step, dz + c, channels, channels - c, dw + c);
}

}  // namespace

namespace LOOKALIKE_ISA {
const DepthwiseTiles kDepthwiseTiles{correlate_taps, correlate_windows, weight_gradient};
}
}  // namespace lookalike::cpu

#include "kernels/depthwise_conv2d_tile.h"

#include "kernels/simd.h"

namespace lookalike::cpu {
namespace {

// T outputs of V vectors of channels each; n channels count, all of them unless V is 1.
template <int T, int V>
void correlate_tile(const DepthwiseRun& run, const DepthwiseTap* taps, int64_t count, int64_t from, int64_t c,
                    int64_t n, const float* bias, float* out) {
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
#pragma GCC unroll 16
  for (int i = 0; i < T; i++)
    for (int v = 0; v < V; v++) {
      Vec y = sums[i][v];
      y = y > 0 ? y : run.slope * y;
      y = y > run.limit ? Vec{} + run.limit : y;
      float* to = out + i * run.out_step + c + v * kLanes;
      if (n >= kLanes)
        store(to, y);
      else
        for (int k = 0; k < n; k++) to[k] = y[k];
    }
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
      if (left >= kLanes)
        correlate_tile<T, 1>(run, taps, count, first * run.in_step, c, kLanes, bias, to);
      else
        correlate_tile<T, 1>(run, taps, count, first * run.in_step, c, left, bias, to);
    });
  }
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
const DepthwiseTiles kDepthwiseTiles{correlate_taps, weight_gradient};
}
}  // namespace lookalike::cpu

// Depthwise convolution in float. Rows of outputs are the threads' work. Nothing is padded: an output near the edge has fewer taps,
// and neighbours with all of theirs are made together (depthwise_conv2d_tile.cpp). Backward data is the same with the gradient in the
// place of x: the columns that are a stride apart see the same taps, every stride-th of the filter's.
#include <algorithm>
#include <vector>

#include "kernels/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d_tile.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

const DepthwiseTiles& depthwise_tiles() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::kDepthwiseTiles;
  if (isa() == Isa::avx2) return avx2::kDepthwiseTiles;
#endif
  return base::kDepthwiseTiles;
}

void correlate_windows(const DepthwiseWindows& d, const float* x, const float* w, const float* bias, float* out) {
  const int64_t done = depthwise_tiles().correlate_windows(d, x, w, bias, out);
  if (done == d.channels) return;
  std::vector<DepthwiseTap> taps;
  for (int64_t r = 0; r < d.kernel_h; r++)
    for (int64_t s = 0; s < d.kernel_w; s++)
      taps.push_back({x + r * d.x_row + s * d.x_pixel + done, w + (r * d.kernel_w + s) * d.w_tap + done});
  const DepthwiseRun run{.outputs = d.outputs,
                         .channels = d.channels - done,
                         .in_step = d.stride * d.x_pixel,
                         .out_step = d.out_step,
                         .slope = d.slope,
                         .limit = d.limit};
  depthwise_tiles().correlate_taps(run, taps.data(), std::ssize(taps), bias ? bias + done : nullptr, out + done);
}

namespace {

constexpr int64_t kGroups = 32;  // of rows in backward weights, at most

// One direction of a correlation: output i, all of them `apart` a stride from each other, sees tap k, 0 <= k < taps, at input
// first + i * in_step + k * tap_step, where that is one of the inputs.
struct Line {
  int64_t outputs, inputs, taps;
  int64_t first, in_step, tap_step;

  int64_t input(int64_t i, int64_t k) const { return first + i * in_step + k * tap_step; }
  bool inside(int64_t i, int64_t k) const { return input(i, k) >= 0 && input(i, k) < inputs; }
  bool whole(int64_t i) const { return taps > 0 && inside(i, 0) && inside(i, taps - 1); }
};

// Where a line's numbers are: tap k has weights at column first_tap + k * tap_stride, output i is column first_output + i * apart.
struct Columns {
  Line line;
  int64_t first_tap, tap_stride, first_output, apart;
};

// The rows of the filter that an output row sees, as pairs of row of x and row of w.
struct RowTaps {
  std::vector<std::pair<const float*, const float*>> rows;
};

// Channels [first, end) of `all`.
struct Channels {
  int64_t all, first, end;
};

// A row of outputs from the rows that it sees, x_row floats apart where the taps go forward.
void correlate_row(const Columns& columns, const RowTaps& seen, int64_t x_row, const Channels& channels,
                   const float* bias, const LeakyRelu<float>& f, std::vector<DepthwiseTap>& taps, float* out) {
  const Line& line = columns.line;
  const int64_t all = channels.all, in_step = line.in_step * all, out_step = columns.apart * all;
  if (bias) bias += channels.first;
  const auto x_at = [&](const float* row, int64_t i, int64_t k) {
    return row + line.input(i, k) * all + channels.first;
  };
  const auto w_at = [&](const float* row, int64_t k) {
    return row + (columns.first_tap + k * columns.tap_stride) * all + channels.first;
  };
  for (int64_t i = 0; i < line.outputs;) {
    float* to = out + columns.first_output * all + i * out_step + channels.first;
    int64_t count = 1;
    if (line.whole(i))
      while (i + count < line.outputs && line.whole(i + count)) count++;
    if (line.whole(i) && line.tap_step == 1 && !seen.rows.empty()) {
      const DepthwiseWindows windows{.outputs = count,
                                     .channels = channels.end - channels.first,
                                     .kernel_h = std::ssize(seen.rows),
                                     .kernel_w = line.taps,
                                     .stride = line.in_step,
                                     .x_row = x_row,
                                     .x_pixel = all,
                                     .w_tap = all,
                                     .out_step = out_step,
                                     .slope = f.slope,
                                     .limit = f.limit};
      const auto& [x, w] = seen.rows.front();
      correlate_windows(windows, x_at(x, i, 0), w_at(w, 0), bias, to);
    } else {
      taps.clear();
      for (const auto& [x, w] : seen.rows)
        for (int64_t k = 0; k < line.taps; k++)
          if (line.inside(i, k)) taps.push_back({x_at(x, i, k), w_at(w, k)});
      const DepthwiseRun run{.outputs = count,
                             .channels = channels.end - channels.first,
                             .in_step = in_step,
                             .out_step = out_step,
                             .slope = f.slope,
                             .limit = f.limit};
      depthwise_tiles().correlate_taps(run, taps.data(), std::ssize(taps), bias, to);
    }
    i += count;
  }
}

// body(row, channels, room for the rows and taps that it sees) for all channels of rows [0, rows). Threads share out rows, and where there
// are few of them channels.
template <class Body>
void for_rows(int64_t rows, int64_t columns, int64_t channels, const Body& body) {
  constexpr int64_t kFew = 8, kPart = 64;  // rows for each thread; channels of a part at least
  const int64_t threads = omp_get_max_threads();
  const int64_t parts = rows < kFew * threads ? std::clamp<int64_t>(channels / kPart, 1, threads) : 1;
  const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, columns * channels / parts));
  parallel_for(rows * parts, grain, [&](int64_t begin, int64_t end) {
    RowTaps seen;
    std::vector<DepthwiseTap> taps;
    for (int64_t i = begin; i < end; i++) {
      const int64_t part = i / rows;
      const auto bound = [&](int64_t p) { return p == parts ? channels : channels * p / parts / kPart * kPart; };
      body(i % rows, Channels{channels, bound(part), bound(part + 1)}, seen, taps);
    }
  });
}

// Rows of images in groups whose number follows from sizes alone.
int64_t groups_of(const DepthwiseConv2dParams& p) {
  return std::clamp<int64_t>(p.batch * p.out_h(), 1, kGroups);
}
int64_t group_floats(const DepthwiseConv2dParams& p) {
  return (p.taps() + 1) * p.channels;
}

}  // namespace

template <>
int64_t depthwise_conv2d_workspace<float>(const DepthwiseConv2dParams& p) {
  return groups_of(p) * group_floats(p);
}

template <>
void depthwise_conv2d_forward(const DepthwiseConv2dParams& p, const float* x, const float* w, const float* bias,
                              float* y) {
  const Columns columns{.line = {p.out_w(), p.in_w, p.kernel_w, -p.pad_left, p.stride, 1},
                        .first_tap = 0,
                        .tap_stride = 1,
                        .first_output = 0,
                        .apart = 1};
  const Line rows{p.out_h(), p.in_h, p.kernel_h, -p.pad_top, p.stride, 1};
  for_rows(p.batch * p.out_h(), p.out_w(), p.channels,
           [&](int64_t row, const Channels& channels, RowTaps& seen, auto& taps) {
             const int64_t n = row / p.out_h(), i = row % p.out_h();
             seen.rows.clear();
             for (int64_t k = 0; k < rows.taps; k++)
               if (rows.inside(i, k))
                 seen.rows.emplace_back(x + (n * p.in_h + rows.input(i, k)) * p.in_w * p.channels,
                                        w + k * p.kernel_w * p.channels);
             correlate_row(columns, seen, p.in_w * p.channels, channels, bias, leaky_relu_of<float>(p.activation), taps,
                           y + row * p.out_w() * p.channels);
           });
  if (p.activation.kind == ActivationKind::sigmoid)
    activation_forward(p.activation, y, y, p.batch * p.out_h() * p.out_w() * p.channels);
}

template <>
void depthwise_conv2d_backward_data(const DepthwiseConv2dParams& p, const float* dz, const float* w, float* dx) {
  // The taps k * stride + phase, of `kernel`, that position `at` of x meets, at outputs (at + pad - phase) / stride - k.
  const auto phase_of = [&](int64_t at, int64_t pad) { return (at + pad) % p.stride; };
  const auto taps_of = [&](int64_t phase, int64_t kernel) { return (kernel - phase + p.stride - 1) / p.stride; };
  for_rows(p.batch * p.in_h, p.in_w, p.channels, [&](int64_t row, const Channels& channels, RowTaps& seen, auto& taps) {
    const int64_t n = row / p.in_h, h = row % p.in_h, phase_h = phase_of(h, p.pad_top);
    seen.rows.clear();
    for (int64_t k = 0; k < taps_of(phase_h, p.kernel_h); k++) {
      const int64_t out = (h + p.pad_top - phase_h) / p.stride - k;
      if (out < 0 || out >= p.out_h()) continue;
      seen.rows.emplace_back(dz + (n * p.out_h() + out) * p.out_w() * p.channels,
                             w + (phase_h + k * p.stride) * p.kernel_w * p.channels);
    }
    for (int64_t first = 0; first < std::min(p.stride, p.in_w); first++) {
      const int64_t phase = phase_of(first, p.pad_left);
      const Columns columns{.line = {(p.in_w - first + p.stride - 1) / p.stride, p.out_w(), taps_of(phase, p.kernel_w),
                                     (first + p.pad_left - phase) / p.stride, 1, -1},
                            .first_tap = phase,
                            .tap_stride = p.stride,
                            .first_output = first,
                            .apart = p.stride};
      correlate_row(columns, seen, p.out_w() * p.channels, channels, nullptr, leaky_relu_of<float>({}), taps,
                    dx + row * p.in_w * p.channels);
    }
  });
}

template <>
void depthwise_conv2d_backward_weights(const DepthwiseConv2dParams& p, const float* x, const float* dz, float* dw,
                                       float* dbias, float* workspace) {
  const int64_t groups = groups_of(p), rows = p.batch * p.out_h(), c = p.channels;
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; group++) {
      float *sums = workspace + group * group_floats(p), *bias_sums = sums + p.taps() * c;
      std::fill_n(sums, group_floats(p), 0.0f);
      for (int64_t row = rows * group / groups; row < rows * (group + 1) / groups; row++) {
        const float* gradient = dz + row * p.out_w() * c;
        for (int64_t r = 0; r < p.kernel_h; r++) {
          const int64_t h = row % p.out_h() * p.stride + r - p.pad_top;
          if (h < 0 || h >= p.in_h) continue;
          const float* from = x + (row / p.out_h() * p.in_h + h) * p.in_w * c;
          for (int64_t s = 0; s < p.kernel_w; s++) {
            // Outputs [first, last) have this tap inside of the image.
            const int64_t shift = s - p.pad_left;
            const int64_t first = shift < 0 ? (-shift + p.stride - 1) / p.stride : 0;
            const int64_t last = shift < p.in_w ? std::min(p.out_w(), (p.in_w - 1 - shift) / p.stride + 1) : 0;
            if (first < last)
              depthwise_tiles().weight_gradient(last - first, c, from + (first * p.stride + shift) * c, p.stride * c,
                                                gradient + first * c, sums + (r * p.kernel_w + s) * c);
          }
        }
        if (dbias)
          for (int64_t q = 0; q < p.out_w(); q++)
            for (int64_t k = 0; k < c; k++) bias_sums[k] += gradient[q * c + k];
      }
    }
  });
  const auto add_up = [&](int64_t first, int64_t count, float* to) {
    for (int64_t i = 0; i < count; i++) {
      float sum = 0;
      for (int64_t group = 0; group < groups; group++) sum += workspace[group * group_floats(p) + first + i];
      to[i] = sum;
    }
  };
  add_up(0, p.taps() * c, dw);
  if (dbias) add_up(p.taps() * c, c, dbias);
}

}  // namespace lookalike::cpu

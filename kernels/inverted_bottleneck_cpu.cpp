#include "kernels/conv2d_tile.h"
#include "kernels/conv2d_windows.h"
#include "kernels/depthwise_conv2d_tile.h"
#include "kernels/inverted_bottleneck.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

constexpr int64_t kBlockFloats = 64 << 10;    // of a block of channels of a band, expanded: 256 KB
constexpr int64_t kMiddleFloats = 144 << 10;  // of all channels of a band, after the depthwise convolution
constexpr int64_t kRows = 5;                  // for each thread, or they share out channels

// A pointwise convolution of rows x columns pixels from rows of in_w.
Correlation pointwise(int64_t rows, int64_t columns, int64_t in_w, const Conv2dParams& p) {
  const LeakyRelu<float> f = leaky_relu_of<float>(p.activation);
  return {.rows = rows,
          .columns = columns,
          .in_row = in_w * p.in_c,
          .right = p.in_c,
          .down = in_w * p.in_c,
          .kernel_h = 1,
          .run = p.in_c,
          .out_c = p.out_c,
          .out_right = p.out_c,
          .out_down = columns * p.out_c,
          .pool = 1,
          .slope = f.slope,
          .limit = f.limit};
}

struct Plan {
  const InvertedBottleneckParams& p;
  const DepthwiseConv2dParams& d = p.depthwise;
  int64_t block = conv_tiles().block, blocks = (d.channels + block - 1) / block;
  int64_t columns = (d.out_w() - 1) * d.stride + d.kernel_w;  // of an expanded row, with what lies outside of the image
  int64_t middle = d.batch * d.out_h() * d.out_w() * d.channels;
  bool together = d.batch * d.out_h() < kRows * free_threads() && blocks >= free_threads();
  Bands bands{d.out_h(), together ? d.out_h() : most_rows(), 1, together ? 0 : d.batch};

  int64_t expanded_rows(int64_t count) const { return (count - 1) * d.stride + d.kernel_h; }
  int64_t block_floats() const { return round_up(expanded_rows(bands.height()) * columns * block, 16); }
  int64_t band_floats() const { return round_up(bands.height() * d.out_w() * d.channels, 16); }
  // A thread's: a block of expanded channels, what correlate() asks for, and all channels of a band.
  int64_t tile_floats() const { return 2 * std::max(columns, bands.height() * d.out_w()) * block; }
  int64_t scratch() const { return block_floats() + tile_floats() + (together ? 0 : band_floats()); }

  // Rows [row, row + count) of image n after the depthwise convolution, channels of blocks [first, last): pixel i at
  // middle + i * d.channels. For the whole array `middle`, whichever blocks are asked for.
  void expand_and_filter(int64_t n, int64_t row, int64_t count, int64_t first, int64_t last, const float* x,
                         const float* expand, const float* w, const float* bias, float* scratch, float* middle) const {
    const int64_t top = row * d.stride - d.pad_top, rows = expanded_rows(count);
    const int64_t begin = std::clamp<int64_t>(0, top, top + rows), end = std::clamp(d.in_h, begin, top + rows);
    const int64_t left = std::min(d.pad_left, columns), width = std::min(columns - left, d.in_w);
    const LeakyRelu<float> f = leaky_relu_of<float>(d.activation);
    for (int64_t b = first; b < last; b++) {
      const int64_t channel = b * block, channels = std::min(block, d.channels - channel);
      const int64_t row_floats = columns * channels;
      const auto zeros = [&](float* to, int64_t pixels) { std::fill_n(to, pixels * channels, 0.0f); };
      zeros(scratch, (begin - top) * columns);
      zeros(scratch + (end - top) * row_floats, (top + rows - end) * columns);
      for (int64_t r = begin - top; r < end - top; r++) {
        zeros(scratch + r * row_floats, left);
        zeros(scratch + r * row_floats + (left + width) * channels, columns - left - width);
      }
      float* to = scratch + (begin - top) * row_floats + left * channels;
      const int64_t in_c = p.expand.out_c ? p.expand.in_c : d.channels;
      const float* from = x + (n * d.in_h + begin) * d.in_w * in_c;
      if (p.expand.out_c) {
        Correlation c = pointwise(end - begin, width, d.in_w, p.expand);
        c.out_c = c.out_right = channels, c.out_down = row_floats;
        if (b + 1 < blocks) c.next = expand + (b + 1) * block * in_c;
        conv_tiles().correlate(c, from, expand + channel * in_c, packed_bias(p.expand, expand) + channel, nullptr,
                               scratch + block_floats(), to, nullptr);
      } else {
        for (int64_t r = 0; r < end - begin; r++)
          for (int64_t q = 0; q < width; q++)
            std::memcpy(to + r * row_floats + q * channels, from + (r * d.in_w + q) * in_c + channel,
                        static_cast<size_t>(channels) * sizeof(float));
      }
      const DepthwiseWindows windows{.outputs = d.out_w(),
                                     .channels = channels,
                                     .kernel_h = d.kernel_h,
                                     .kernel_w = d.kernel_w,
                                     .stride = d.stride,
                                     .x_row = row_floats,
                                     .x_pixel = channels,
                                     .w_tap = d.channels,
                                     .out_step = d.channels,
                                     .slope = f.slope,
                                     .limit = f.limit};
      for (int64_t i = 0; i < count; i++)
        correlate_windows(windows, scratch + i * d.stride * row_floats, w + channel, bias ? bias + channel : nullptr,
                          middle + i * d.out_w() * d.channels + channel);
    }
  }

 private:
  int64_t most_rows() const {
    const int64_t fit = (kBlockFloats / (columns * block) - d.kernel_h) / d.stride + 1;
    return std::clamp<int64_t>(std::min(fit, kMiddleFloats / (d.out_w() * d.channels)), 1, d.out_h());
  }
};

}  // namespace

int64_t inverted_bottleneck_workspace(const InvertedBottleneckParams& p) {
  const Plan plan{p};
  return free_threads() * plan.scratch() +
         (plan.together ? round_up(plan.middle, 16) + conv2d_workspace<float>(p.project).forward : 0);
}

void inverted_bottleneck_forward(const InvertedBottleneckParams& p, const float* x, const float* expand,
                                 const float* depthwise, const float* depthwise_bias, const float* project,
                                 const float* plus, float* y, float* workspace) {
  const Plan plan{p};
  const DepthwiseConv2dParams& d = p.depthwise;
  const int64_t threads = free_threads();
  const auto scratch = [&] { return workspace + (threads > 1 ? omp_get_thread_num() : 0) * plan.scratch(); };
  if (plan.together) {
    float* middle = workspace + threads * plan.scratch();
    parallel_pieces(plan.blocks, [&](int64_t b) {
      for (int64_t n = 0; n < d.batch; n++)
        plan.expand_and_filter(n, 0, d.out_h(), b, b + 1, x, expand, depthwise, depthwise_bias, scratch(),
                               middle + n * d.out_h() * d.out_w() * d.channels);
    });
    return conv2d_forward_packed<float>(p.project, middle, project, plus, y, nullptr,
                                        middle + round_up(plan.middle, 16));
  }
  const int64_t out_c = p.project.out_c;
  parallel_pieces(d.batch * plan.bands.count, [&](int64_t i) {
    float *tile = scratch() + plan.block_floats(), *middle = tile + plan.tile_floats();
    const int64_t n = i / plan.bands.count, row = plan.bands.begin(i % plan.bands.count);
    const int64_t count = plan.bands.begin(i % plan.bands.count + 1) - row;
    plan.expand_and_filter(n, row, count, 0, plan.blocks, x, expand, depthwise, depthwise_bias, scratch(), middle);
    const Correlation c = pointwise(1, count * d.out_w(), count * d.out_w(), p.project);
    const int64_t at = (n * d.out_h() + row) * d.out_w() * out_c;
    conv_tiles().correlate(c, middle, project, packed_bias(p.project, project), plus ? plus + at : nullptr, tile,
                           y + at, nullptr);
  });
  if (p.project.activation.kind == ActivationKind::sigmoid)
    activation_forward(p.project.activation, y, y, p.project.batch * p.project.y_h() * p.project.y_w() * out_c);
}

}  // namespace lookalike::cpu

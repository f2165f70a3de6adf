// Convolution in float: bands of padded rows go through the register tiles of conv2d_tile.cpp. A band is one thread's
// work, small enough to stay in its second-level cache; padding, the gradient of activation and the undoing of pooling
// happen while it is filled, so none of them is ever a tensor in memory. Backward weights adds up groups of bands,
// whose number follows from sizes alone, and then the groups, so the bits do not depend on the number of threads.
// Where it is faster, conv2d_winograd_cpu.cpp and conv2d_pooled_cpu.cpp take over.
#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "kernels/conv2d.h"
#include "kernels/conv2d_phases.h"
#include "kernels/conv2d_pooled.h"
#include "kernels/conv2d_tile.h"
#include "kernels/conv2d_windows.h"
#include "kernels/conv2d_winograd.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

const ConvTiles& conv_tiles() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::kConvTiles;
  if (isa() == Isa::avx2) return avx2::kConvTiles;
#endif
  return base::kConvTiles;
}

namespace {

constexpr int64_t kGradientPixels = 192;  // of a band in backward weights: 24 KB for a block of channels

// Pixels at distances of large powers of two share so few places in the first-level cache that a register tile's push each
// other out: those of a pointwise convolution are laid out with a cache line between them first.
constexpr int64_t kSpread = 1024, kLine = 16;  // floats

// What spread() needs for so many pixels, `right` apart.
int64_t spread_floats(int64_t pixels, int64_t kernel, int64_t channels, int64_t right) {
  return kernel == 1 && right % kSpread == 0 ? pixels * (channels + kLine) : 0;
}
// The input of a pointwise convolution, from now on at `scratch`, where it pays.
const float* spread(Correlation& c, const float* in, float* scratch) {
  if (c.right % kSpread != 0 || c.out_c <= conv_tiles().block) return in;
  const int64_t step = c.run + kLine;
  for (int64_t r = 0; r < c.rows; r++)
    for (int64_t q = 0; q < c.columns; q++)
      std::memcpy(scratch + (r * c.columns + q) * step, in + r * c.down + q * c.right,
                  static_cast<size_t>(c.run) * sizeof(float));
  c.right = step, c.down = c.in_row = c.columns * step;
  return scratch;
}

// Backward data, phase by phase (conv2d_phases.h): the gradient before activation and pooling with zeros around it, which
// the windows of all phases go over. Row `top` of the gradient is the first that some phase's first tap meets, and
// `row` counts from there; a row is worth up to `stride` rows of the image.
struct GradientWindows {
  Conv2dParams p;
  int64_t taps_r, taps_s;  // of the phase that has most
  int64_t top, first;      // rows and columns of the gradient that the first pixels' first taps meet
  int64_t rows, columns;   // how many from there
  int64_t left;            // columns of the gradient before the first that counts: they see only padding
  int64_t in_row;
  Bands bands;

  explicit GradientWindows(const Conv2dParams& p)
      : p(p),
        taps_r((p.kernel_h + p.stride - 1) / p.stride),
        taps_s((p.kernel_w + p.stride - 1) / p.stride),
        top(p.pad_top / p.stride),
        first(p.pad_left / p.stride),
        rows((p.in_h - 1 + p.pad_top) / p.stride - top + 1),
        columns((p.in_w - 1 + p.pad_left) / p.stride - first + 1),
        left(std::max<int64_t>(0, first - (taps_s - 1))),
        in_row(std::max(left + columns + taps_s - 1, before() + p.pool * p.y_w()) * p.out_c),
        bands(rows, band_rows(p, rows, columns, in_row, taps_r - 1), 1, p.batch) {}

  // The gradient of a pointwise convolution without activation can be read where it lies.
  bool in_place() const {
    return p.kernel_h * p.kernel_w == 1 && p.stride == 1 && p.pool == 1 && p.activation.kind == ActivationKind::none &&
           p.out_h() == p.in_h && p.out_w() == p.in_w && p.pad_top + p.pad_left == 0;
  }
  int64_t scratch() const { return (bands.height() + taps_r - 1) * in_row; }
  // What the register tiles need, and what spread() lays out behind that.
  int64_t tile_floats() const { return round_up(p.in_w * conv_tiles().block, kLine); }
  int64_t tile_scratch() const {
    return tile_floats() +
           spread_floats(bands.height() * columns, p.kernel_h * p.kernel_w, p.out_c, p.out_c);
  }

  const float* fill(const OutputGradient& g, int64_t row, int64_t count, float* scratch) const {
    if (in_place()) return g.dy + row * in_row;
    for (int64_t i = 0; i < count + taps_r - 1; i++) {
      float* to = scratch + i * in_row;
      std::fill_n(to, in_row, 0.0f);
      const int64_t at = top + row + i - (taps_r - 1);
      if (at >= 0 && at < p.pool * p.y_h())
        conv_tiles().gradient_row(g, at, 0, p.out_c, to + before() * p.out_c, p.out_c, conv_tiles().block);
    }
    return scratch + left * p.out_c;
  }

  // The part of a phase that belongs to the band of `count` rows from `row` on, whose gradient lies at `in`, stored to the
  // image at dx.
  void correlate(const Phase& phase, int64_t row, int64_t count, const float* in, const float* packed,
                 const float* bias, const LeakyRelu<float>& f, float* scratch, float* dx) const {
    const int64_t ahead = phase.top - top;  // rows of this phase lie so far below
    const int64_t begin = std::max<int64_t>(0, row - ahead), end = std::min(phase.rows, row + count - ahead);
    if (begin >= end) return;
    Correlation c{.rows = end - begin,
                  .columns = phase.columns,
                  .in_row = in_row,
                  .right = p.out_c,
                  .down = in_row,
                  .kernel_h = phase.taps_r,
                  .run = phase.taps_s * p.out_c,
                  .out_c = p.in_c,
                  .out_right = p.stride * p.in_c,
                  .out_down = p.stride * p.in_w * p.in_c,
                  .pool = 1,
                  .slope = f.slope,
                  .limit = f.limit};
    in += (begin + ahead - row + taps_r - phase.taps_r) * in_row;
    in += (phase.left - first + taps_s - phase.taps_s) * p.out_c;
    dx += ((phase.row + begin * p.stride) * p.in_w + phase.column) * p.in_c;
    // A phase may have no tap, and then no input.
    if (p.kernel_h * p.kernel_w == 1 && phase.taps_r * phase.taps_s == 1)
      in = spread(c, in, scratch + tile_floats());
    conv_tiles().correlate(c, in, packed, bias, nullptr, scratch, dx, nullptr);
  }

 private:
  int64_t before() const { return left + taps_s - 1 - first; }  // columns of zeros
};

int64_t threads() {
  return omp_get_max_threads();
}

// How backward weights divides its work: units are (group of bands, part of the blocks of channels). The groups, whose sums are
// added up, follow from sizes; the parts, each of which reads all of its group's input again, from the threads too.
struct WeightPlan {
  Windows windows;
  int64_t window, blocks, items, groups, group_floats, parts = 1;
  bool few;  // channels, which are not laid out in blocks

  explicit WeightPlan(const Conv2dParams& p)
      : windows(p, std::max<int64_t>(1, kGradientPixels / std::max<int64_t>(1, p.pool * p.y_w()))),
        window(p.kernel_h * p.kernel_w * p.in_c),
        blocks((p.out_c + conv_tiles().block - 1) / conv_tiles().block),
        items(p.batch * windows.bands.count),
        groups(weight_groups(items, window * p.out_c)),
        group_floats((window + 1) * blocks * conv_tiles().block),
        few(conv_tiles().few(p.out_c, p.kernel_h, p.kernel_w * p.in_c)) {
    while (parts < blocks && (groups * parts < 2 * threads() || groups * parts % threads() > 0)) parts++;
  }

  // A gradient without activation and pooling can be read where it lies, unless its pixels are so far apart that they
  // share places in the first-level cache.
  bool in_place(const OutputGradient& g) const {
    const int64_t lanes = conv_tiles().lanes;
    return !g.y && !g.argmax && (few || (g.channels % lanes == 0 && g.channels <= 4 * lanes));
  }
  int64_t pixels() const { return windows.bands.height() * windows.columns; }
  int64_t scratch() const {
    return windows.scratch() + pixels() * ((blocks + parts - 1) / parts * conv_tiles().block + 16);
  }
};

// The gradient of a sigmoid or of ReLU6 is not a matter of the output's sign alone: its own pass into the workspace, after which p has
// no activation.
bool needs_pass(const Activation& f) {
  return f.kind == ActivationKind::sigmoid || f.kind == ActivationKind::relu6;
}
const float* before_activation(Conv2dParams& p, const float* dy, const float* y, float*& workspace) {
  if (!needs_pass(p.activation)) return dy;
  const int64_t n = p.batch * p.y_h() * p.y_w() * p.out_c;
  float* dz = workspace;
  activation_backward(p.activation, y, dy, dz, n);
  workspace += round_up(n, 16);
  p.activation = {};
  return dz;
}
int64_t activation_workspace(const Conv2dParams& p) {
  return needs_pass(p.activation) ? round_up(p.batch * p.y_h() * p.y_w() * p.out_c, 16) : 0;
}

// body(image, band, scratch of this thread) for all bands of all images.
template <class Body>
void for_bands(int64_t batch, const Bands& bands, float* scratch, int64_t scratch_floats, const Body& body) {
  parallel_for(batch * bands.count, 1, [&](int64_t begin, int64_t end) {
    float* mine = scratch + omp_get_thread_num() * scratch_floats;
    for (int64_t i = begin; i < end; i++) {
      const int64_t first = bands.begin(i % bands.count), last = bands.begin(i % bands.count + 1);
      if (first < last) body(i / bands.count, first, last - first, mine);
    }
  });
}

// bias, or zeros, to whole blocks of channels.
void pad_bias(const float* bias, int64_t channels, float* padded) {
  std::fill_n(padded, round_up(channels, conv_tiles().block), 0.0f);
  if (bias) std::copy_n(bias, channels, padded);
}

// dx = f(bias + backward data of dz); y, argmax and p's activation, of those that need no pass, as gradient_of() takes them.
void correlate_gradient(const Conv2dParams& p, const float* dz, const float* y, const uint8_t* argmax, const float* w,
                        const float* bias, const LeakyRelu<float>& f, float* dx, float* workspace) {
  const ConvTiles& t = conv_tiles();
  if (winograd_pays(p, ConvPass::backward_data)) {
    float* padded = workspace;
    pad_bias(bias, p.in_c, padded);
    winograd_run(winograd_backward_data(p, dz, y, argmax, padded, f, dx), w, true, padded + round_up(p.in_c, t.block));
    return;
  }
  const GradientWindows windows(p);
  const int64_t taps = p.kernel_h * p.kernel_w, c = round_up(p.in_c, t.block);
  float *packed = workspace, *padded_bias = packed + taps * p.out_c * c;
  pad_bias(bias, p.in_c, padded_bias);
  // body(phase, its packed weights)
  const auto for_packed = [&](const auto& body) {
    float* at = packed;
    for_phases(p, [&](const Phase& phase) {
      body(phase, at);
      at += phase.taps_r * phase.taps_s * p.out_c * c;
    });
  };
  parallel_for(c / t.block, 1, [&](int64_t begin, int64_t end) {
    for_packed([&](const Phase& phase, float* to) {
      to += begin * phase.taps_r * phase.taps_s * p.out_c * t.block;
      for (int64_t b = begin; b < end; b++)
        for (int64_t i = phase.taps_r - 1; i >= 0; i--)
          for (int64_t j = phase.taps_s - 1; j >= 0; j--, to += p.out_c * t.block) {
            const int64_t tap = (phase.tap_r + i * p.stride) * p.kernel_w + phase.tap_s + j * p.stride;
            t.pack_tap(w + tap * p.in_c + b * t.block, p.out_c, taps * p.in_c, p.in_c - b * t.block, to);
          }
    });
  });
  for_bands(p.batch, windows.bands, padded_bias + c, round_up(windows.scratch() + windows.tile_scratch(), 16),
            [&](int64_t n, int64_t row, int64_t count, float* scratch) {
              const float* in = windows.fill(gradient_of(p, dz, y, argmax, n), row, count, scratch);
              for_packed([&](const Phase& phase, const float* weights) {
                windows.correlate(phase, row, count, in, weights, padded_bias, f, scratch + windows.scratch(),
                                  dx + n * p.in_h * p.in_w * p.in_c);
              });
            });
}

// The packed form of the direct sum, behind which Winograd's lies if there is one.
int64_t direct_packed_size(const Conv2dParams& p) {
  return (p.kernel_h * p.kernel_w * p.in_c + 1) * round_up(p.out_c, conv_tiles().block);
}

// What correlate() asks for.
int64_t tile_scratch(const Windows& windows) {
  return round_up(2 * windows.columns * conv_tiles().block, kLine);
}
// What a thread of forward needs: its padded rows, that, and what spread() lays out.
int64_t forward_scratch(const Windows& windows) {
  const Conv2dParams& p = windows.p;
  const int64_t spread = spread_floats(windows.bands.height() * windows.columns, p.kernel_h * p.kernel_w, p.in_c,
                                       p.stride * p.in_c);
  return round_up(windows.scratch(), kLine) + tile_scratch(windows) + round_up(spread, kLine);
}

// What comes after all pieces: the activations that are not a matter of the sign.
void finish(const Conv2dParams& p, float* y, int64_t y_step) {
  if (p.activation.kind != ActivationKind::sigmoid) return;
  const int64_t pixels = p.batch * p.y_h() * p.y_w();
  if (y_step == p.out_c) return activation_forward(p.activation, y, y, pixels * p.out_c);
  for (int64_t i = 0; i < pixels; i++) activation_forward(p.activation, y + i * y_step, y + i * y_step, p.out_c);
}

// Forward as pieces of work, each a part of the channels of a span of a band. Where there are few bands for each thread, a piece is
// less than all channels; where all pixels are one row, less than the row.
class ForwardPieces {
 public:
  ForwardPieces(const Conv2dParams& params, const float* x, const float* packed, const float* plus, float* y,
                uint8_t* argmax, int64_t y_step)  // from one pixel of y, plus and argmax to the next: out_c or more
      : p_(joined(params)),
        windows_(p_, 0),
        x_(x),
        packed_(packed),
        plus_(plus),
        y_(y),
        argmax_(argmax),
        y_step_(y_step),
        blocks_((p_.out_c + conv_tiles().block - 1) / conv_tiles().block),
        items_(p_.batch * windows_.bands.count) {
    constexpr int64_t kSpan = 24;  // pixels at least: two register tiles
    const int64_t threads = free_threads(), wanted = threads > 1 ? 4 * threads : 1;
    if (!windows_.padded && windows_.rows == 1 && p_.pool == 1) {
      spans_ =
          std::clamp<int64_t>(wanted / std::max<int64_t>(items_, 1), 1, std::max<int64_t>(windows_.columns / kSpan, 1));
      if (spans_ > threads) spans_ -= spans_ % threads;
    }
    parts_ = std::clamp<int64_t>(wanted / std::max<int64_t>(items_ * spans_, 1), 1, blocks_);
    if (!winograd_packs(p_) || !winograd_pays(p_, ConvPass::forward)) return;
    winograd_.emplace(winograd_forward(p_, x, packed_bias(p_, packed), plus, y, argmax, y_step),
                      packed + direct_packed_size(p_));
  }

  int64_t count() const { return winograd_ ? winograd_->count() : items_ * spans_ * parts_; }
  int64_t scratch() const { return winograd_ ? winograd_->scratch() : forward_scratch(windows_); }

  // scratch: of this thread.
  void operator()(int64_t i, float* scratch) const {
    if (winograd_) return (*winograd_)(i, scratch);
    const ConvTiles& t = conv_tiles();
    const int64_t window = p_.kernel_h * p_.kernel_w * p_.in_c;
    const int64_t part = i / (items_ * spans_), span = i / items_ % spans_, item = i % items_;
    const int64_t n = item / windows_.bands.count, band = item % windows_.bands.count;
    const int64_t row = windows_.bands.begin(band), count = windows_.bands.begin(band + 1) - row;
    const int64_t column = windows_.columns * span / spans_, channel = blocks_ * part / parts_ * t.block;
    Correlation c = windows_.correlation(count);
    c.columns = windows_.columns * (span + 1) / spans_ - column;
    c.out_right = y_step_, c.out_down = p_.y_w() * y_step_;
    c.out_c = std::min(blocks_ * (part + 1) / parts_ * t.block, p_.out_c) - channel;
    const float* in = windows_.fill(x_ + n * p_.in_h * p_.in_w * p_.in_c, row, count, scratch) + column * c.right;
    float* tile = scratch + round_up(windows_.scratch(), kLine);
    if (p_.kernel_h * p_.kernel_w == 1) in = spread(c, in, tile + tile_scratch(windows_));
    const int64_t at = ((n * p_.y_h() + row / p_.pool) * p_.y_w() + column) * y_step_ + channel;
    t.correlate(c, in, packed_ + channel * window, packed_bias(p_, packed_) + channel, plus_ ? plus_ + at : nullptr,
                tile, y_ + at, argmax_ ? argmax_ + at : nullptr);
  }

  void finish() const { cpu::finish(p_, y_, y_step_); }

 private:
  Conv2dParams p_;
  Windows windows_;
  const float *x_, *packed_, *plus_;
  float* y_;
  uint8_t* argmax_;
  int64_t y_step_;
  int64_t blocks_, items_, spans_ = 1, parts_;
  std::optional<WinogradPieces> winograd_;
};

void pack_direct(const Conv2dParams& p, const float* w, const float* bias, float* packed) {
  const ConvTiles& t = conv_tiles();
  const int64_t window = p.kernel_h * p.kernel_w * p.in_c;
  pad_bias(bias, p.out_c, packed_bias(p, packed));
  parallel_for(round_up(p.out_c, t.block) / t.block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) t.pack_weights(w, p.out_c, window, b, packed + b * window * t.block);
  });
}

void run(const ForwardPieces& pieces, float* workspace) {
  parallel_pieces(pieces.count(), [&](int64_t i) { pieces(i, workspace + omp_get_thread_num() * pieces.scratch()); });
  pieces.finish();
}

}  // namespace

template <>
int64_t conv2d_packed_size<float>(const Conv2dParams& p) {
  return direct_packed_size(p) + (winograd_packs(p) ? winograd_packed_size(p.in_c, p.out_c) : 0);
}

template <>
Conv2dWorkspace conv2d_workspace<float>(const Conv2dParams& params) {
  const Conv2dParams p = joined(params);
  Conv2dWorkspace floats;
  floats.forward = direct_packed_size(p) + threads() * forward_scratch(Windows(p, 0));
  if (winograd_pays(p, ConvPass::forward)) {
    const WinogradPass pass = winograd_forward(p, nullptr, nullptr, nullptr, nullptr, nullptr, p.out_c);
    floats.forward = std::max(floats.forward, round_up(p.out_c, conv_tiles().block) + winograd_workspace(pass));
  }
  if (winograd_pays(p, ConvPass::backward_data)) {
    floats.backward_data =
        activation_workspace(p) + round_up(p.in_c, conv_tiles().block) +
        winograd_workspace(winograd_backward_data(p, nullptr, nullptr, nullptr, nullptr, LeakyRelu<float>{1}, nullptr));
  } else if (backward_data_is_pooled(p)) {
    floats.backward_data = pooled_backward_data_workspace(p);
  } else {
    const GradientWindows gradient(p);
    const int64_t c = round_up(p.in_c, conv_tiles().block);
    floats.backward_data = activation_workspace(p) + (p.kernel_h * p.kernel_w * p.out_c + 1) * c +
                           threads() * round_up(gradient.scratch() + gradient.tile_scratch(), 16);
  }
  if (winograd_pays(p, ConvPass::backward_weights)) {
    floats.backward_weights = activation_workspace(p) + winograd_backward_weights_workspace(p);
  } else if (backward_weights_is_pooled(p)) {
    floats.backward_weights = pooled_backward_weights_workspace(p);
  } else {
    const WeightPlan plan(p);
    floats.backward_weights =
        activation_workspace(p) + plan.groups * plan.group_floats + threads() * round_up(plan.scratch(), 16);
  }
  return floats;
}

template <>
void conv2d_pack(const Conv2dParams& p, const float* w, const float* bias, float* packed) {
  pack_direct(p, w, bias, packed);
  if (winograd_packs(p)) winograd_pack(p.in_c, p.out_c, w, false, packed + direct_packed_size(p));
}

template <>
void conv2d_forward_packed(const Conv2dParams& p, const float* x, const float* packed, const float* plus, float* y,
                           uint8_t* argmax, float* workspace) {
  run(ForwardPieces(p, x, packed, plus, y, argmax, p.out_c), workspace);
}

template <>
void conv2d_forward_side_by_side(const Conv2dParams& p, const float* p_packed, const Conv2dParams& q,
                                 const float* q_packed, const float* x, float* y, float* workspace) {
  const int64_t y_step = p.out_c + q.out_c;
  ForwardPieces large(p, x, p_packed, nullptr, y, nullptr, y_step);
  ForwardPieces small(q, x, q_packed, nullptr, y + p.out_c, nullptr, y_step);
  if (p.kernel_h * p.kernel_w < q.kernel_h * q.kernel_w) std::swap(large, small);
  // The small ones last: the threads end at about the same time.
  const int64_t scratch = std::max(large.scratch(), small.scratch());
  parallel_pieces(large.count() + small.count(), [&](int64_t i) {
    float* mine = workspace + omp_get_thread_num() * scratch;
    i < large.count() ? large(i, mine) : small(i - large.count(), mine);
  });
  large.finish();
  small.finish();
}

template <>
void conv2d_forward(const Conv2dParams& p, const float* x, const float* w, const float* bias, float* y, uint8_t* argmax,
                    float* workspace) {
  if (!winograd_pays(p, ConvPass::forward)) {
    pack_direct(p, w, bias, workspace);
    run(ForwardPieces(p, x, workspace, nullptr, y, argmax, p.out_c), workspace + direct_packed_size(p));
    return;
  }
  float* padded = workspace;
  pad_bias(bias, p.out_c, padded);
  winograd_run(winograd_forward(p, x, padded, nullptr, y, argmax, p.out_c), w, false,
               padded + round_up(p.out_c, conv_tiles().block));
  finish(p, y, p.out_c);
}

template <>
void conv2d_backward_data(const Conv2dParams& params, const float* dy, const float* y, const uint8_t* argmax,
                          const float* w, float* dx, float* workspace) {
  Conv2dParams p = joined(params);
  if (backward_data_is_pooled(p) && !winograd_pays(p, ConvPass::backward_data))
    return pooled_backward_data(p, dy, y, argmax, w, dx, workspace);
  const float* dz = before_activation(p, dy, y, workspace);
  correlate_gradient(p, dz, y, argmax, w, nullptr, leaky_relu_of<float>({}), dx, workspace);
}

template <>
void conv_transpose2d_forward(const Conv2dParams& p, const Activation& f, const float* z, const float* w,
                              const float* bias, float* x, float* workspace) {
  correlate_gradient(joined(p), z, nullptr, nullptr, w, bias, leaky_relu_of<float>(f), x, workspace);
  if (f.kind == ActivationKind::sigmoid) activation_forward(f, x, x, p.batch * p.in_h * p.in_w * p.in_c);
}

template <>
void conv2d_backward_weights(const Conv2dParams& params, const float* x, const float* dy, const float* y,
                             const uint8_t* argmax, float* dw, float* dbias, float* workspace) {
  Conv2dParams p = joined(params);
  const ConvTiles& t = conv_tiles();
  const bool winograd = winograd_pays(p, ConvPass::backward_weights);
  if (backward_weights_is_pooled(p) && !winograd)
    return pooled_backward_weights(p, x, dy, y, argmax, dw, dbias, workspace);
  const float* dz = before_activation(p, dy, y, workspace);
  if (winograd) return winograd_backward_weights(p, x, dz, y, argmax, dw, dbias, workspace);
  const WeightPlan plan(p);
  const Windows& windows = plan.windows;
  const int64_t block_floats = plan.window * t.block;
  float *partials = workspace, *scratches = partials + plan.groups * plan.group_floats;
  // A group's sums: dw of each block, then dbias of all.
  parallel_for(plan.groups * plan.parts, 1, [&](int64_t begin, int64_t end) {
    float* scratch = scratches + omp_get_thread_num() * round_up(plan.scratch(), 16);
    float* packed = scratch + windows.scratch();
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t group = unit / plan.parts, part = unit % plan.parts;
      const int64_t first_block = plan.blocks * part / plan.parts, last_block = plan.blocks * (part + 1) / plan.parts;
      float* sums = partials + group * plan.group_floats;
      float* bias_sums = sums + plan.blocks * block_floats;
      std::fill(sums + first_block * block_floats, sums + last_block * block_floats, 0.0f);
      std::fill(bias_sums + first_block * t.block, bias_sums + last_block * t.block, 0.0f);
      for (int64_t i = plan.items * group / plan.groups; i < plan.items * (group + 1) / plan.groups; i++) {
        const int64_t n = i / windows.bands.count, band = i % windows.bands.count;
        const int64_t row = windows.bands.begin(band), count = windows.bands.begin(band + 1) - row;
        if (count == 0) continue;
        const float* in = windows.fill(x + n * p.in_h * p.in_w * p.in_c, row, count, scratch);
        const OutputGradient gradient = gradient_of(p, dz, y, argmax, n);
        // All blocks at once: dy is read from memory in its order.
        const int64_t pixels = count * windows.columns, channels = std::min(last_block * t.block, p.out_c);
        const int64_t first_channel = first_block * t.block;
        Correlation c = windows.correlation(count);
        c.out_c = channels - first_channel;
        const float* dz_rows = packed;
        int64_t dz_block = pixels * t.block;
        c.out_right = plan.few ? p.out_c : t.block;
        if (plan.in_place(gradient)) {
          dz_rows = gradient.dy + row * windows.columns * p.out_c + first_channel;
          dz_block = t.block, c.out_right = p.out_c;
        } else {
          if (channels % t.block && !plan.few)
            std::fill_n(packed + (last_block - first_block - 1) * dz_block, dz_block, 0.0f);
          for (int64_t r = 0; r < count; r++)
            t.gradient_row(gradient, row + r, first_channel, c.out_c, packed + r * windows.columns * c.out_right,
                           c.out_right, dz_block);
        }
        if (plan.few)
          t.weight_gradient_few(c, in, dz_rows, sums, dbias ? bias_sums : nullptr);
        else
          t.weight_gradient(c, in, dz_rows, dz_block, packed + (last_block - first_block) * pixels * t.block,
                            sums + first_block * block_floats, dbias ? bias_sums + first_channel : nullptr);
      }
    }
  });
  const int64_t run = p.kernel_w * p.in_c;
  parallel_for(plan.blocks * p.kernel_h, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t b = i / p.kernel_h, r = i % p.kernel_h;
      if (plan.few) {
        for (int64_t k = 0; k < p.out_c; k++)
          for (int64_t at = k * plan.window + r * run; at < k * plan.window + (r + 1) * run; at++) {
            dw[at] = 0;
            for (int64_t g = 0; g < plan.groups; g++) dw[at] += partials[g * plan.group_floats + at];
          }
        continue;
      }
      t.unpack_weights(partials + b * block_floats, plan.groups, plan.group_floats, p.out_c, plan.window, b, r * run,
                       (r + 1) * run, dw);
    }
  });
  if (!dbias) return;
  for (int64_t k = 0; k < p.out_c; k++) {
    dbias[k] = 0;
    for (int64_t g = 0; g < plan.groups; g++)
      dbias[k] += partials[g * plan.group_floats + plan.blocks * block_floats + k];
  }
}

}  // namespace lookalike::cpu

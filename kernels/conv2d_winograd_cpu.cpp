#include <algorithm>
#include <limits>

#include <omp.h>

#include "kernels/conv2d_windows.h"
#include "kernels/conv2d_winograd.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {
namespace {

const WinogradTiles& winograd_tiles() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::kWinogradTiles;
  if (isa() == Isa::avx2) return avx2::kWinogradTiles;
#endif
  return base::kWinogradTiles;
}

// Floats of transformed tiles: a band's, which stay in the second-level cache, and those that all
// threads share where there are many channels, forward and in backward weights.
constexpr int64_t kTileFloats = 160 << 10, kManyFloats = 5 << 18, kManyGradientFloats = 12 << 18;
constexpr int64_t kPackedFloats = 5 << 20;  // of transformed weights that go to memory and back
constexpr int64_t kDepth = 128;  // input channels whose weights are transformed and used at once

// From where on Winograd is faster than the direct sum, or with pooling than the sums over
// gradients that are not zero: bench/tune_cpu on two cores of Zen 4, 2026-11-30.
struct Least {
  int64_t inputs;    // channels that the pass sums over
  int64_t products;  // inputs times outputs
  double share;      // of the tiles' outputs that lie in the image
};
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// By instruction set (Isa), pooling and pass (ConvPass).
constexpr Least kLeast[3][2][3] = {
    {{{8, 64, 0.35}, {8, 64, 0.35}, {8, 64, 0.25}},
     {{8, 64, 0.35}, {kNever, 0, 0}, {kNever, 0, 0}}},
    {{{8, 64, 0.35}, {8, 64, 0.35}, {8, 64, 0.25}},
     {{8, 128, 0.35}, {8, 128, 0.75}, {32, 1024, 0.35}}},
    {{{16, 512, 0.35}, {16, 256, 0.35}, {16, 128, 0.25}},
     {{16, 256, 0.35}, {16, 1024, 0.75}, {16, 1024, 0.35}}},
};

const Least& least_of(bool pooled, ConvPass pass) {
  return kLeast[static_cast<int>(isa())][pooled][static_cast<int>(pass)];
}

// With more padding some outputs see nothing else and are the bias itself, which rounding would
// change.
bool is_possible(const Conv2dParams& p) {
  return p.kernel_h == 3 && p.kernel_w == 3 && p.stride == 1 &&
         std::max({p.pad_top, p.pad_left, p.pad_bottom, p.pad_right}) < 3;
}

int64_t blocks_of(int64_t k) {
  return (k + winograd_tiles().block - 1) / winograd_tiles().block;
}
int64_t whole_vectors(int64_t channels) {
  return round_up(channels, winograd_tiles().lanes);
}
// Floats between the frequencies of a block of transformed weights of so many inputs.
int64_t packed_step(int64_t c) {
  return c * winograd_tiles().block + 16;
}
int64_t tile_step(int64_t channels) {
  return winograd_tile_step(whole_vectors(channels));
}
int64_t output_step() {
  return winograd_tile_step(winograd_tiles().block);
}

// [0, c) in parts of about kDepth channels, whole vectors but for the last.
struct Depths {
  int64_t c, count, size;
  explicit Depths(int64_t c)
      : c(c), count((c + kDepth - 1) / kDepth), size(whole_vectors((c + count - 1) / count)) {}
  int64_t begin(int64_t i) const { return std::min(i * size, c); }
};

WinogradGrid grid_of(int64_t h, int64_t w, int64_t top, int64_t left) {
  return {.rows = (h + kWinogradOut - 1) / kWinogradOut,
          .columns = (w + kWinogradOut - 1) / kWinogradOut,
          .top = top,
          .left = left};
}

int64_t tiles_of(const WinogradGrid& grid) {
  return grid.rows * grid.columns;
}

WinogradSource gradient_source(const Conv2dParams& p, const float* dy, const float* y,
                               const uint8_t* argmax) {
  const float slope = leaky_relu_of<float>(p.activation).slope;
  return {.x = dy,
          .h = p.pool * p.y_h(),
          .w = p.pool * p.y_w(),
          .c = p.out_c,
          .y = slope == 1 ? nullptr : y,
          .argmax = p.pool == 2 ? argmax : nullptr,
          .slope = slope};
}

// Whether the transformed weights are so many that each block is made where it is used.
bool has_many(int64_t c, int64_t k) {
  return winograd_packed_size(c, k) > kPackedFloats;
}
int64_t many_tiles(const WinogradPass& pass) {
  return std::min(pass.tiles(), std::max<int64_t>(64, kManyFloats / tile_step(pass.source.c)));
}
int64_t many_scratch(const WinogradPass& pass) {
  return round_up(
      many_tiles(pass) * output_step() + kFrequencies * packed_step(Depths(pass.source.c).size),
      16);
}

// All threads transform the tiles of a large band; then each takes blocks of outputs, whose weights
// it transforms and uses at once.
void run_by_blocks(const WinogradPass& pass, const float* w, bool turned, float* workspace) {
  const WinogradTiles& t = winograd_tiles();
  const int64_t c = pass.source.c, k = pass.target.k, v_step = tile_step(c), m_step = output_step();
  const int64_t most = many_tiles(pass), bands = (pass.tiles() + most - 1) / most;
  const Depths depths(c);
  float *v = workspace, *scratches = v + most * v_step;
  for (int64_t band = 0; band < bands; band++) {
    const int64_t first = pass.tiles() * band / bands,
                  count = pass.tiles() * (band + 1) / bands - first;
    parallel_for(count, 8, [&](int64_t begin, int64_t end) {
      t.transform_inputs(pass.source, pass.grid, first + begin, end - begin, 0, c,
                         v + begin * v_step, v_step, whole_vectors(c));
    });
    parallel_for(blocks_of(k), 1, [&](int64_t begin, int64_t end) {
      float *m = scratches + omp_get_thread_num() * many_scratch(pass), *u = m + most * m_step;
      for (int64_t block = begin; block < end; block++) {
        const int64_t k0 = block * t.block;
        for (int64_t i = 0; i < depths.count; i++) {
          const int64_t c0 = depths.begin(i), c1 = depths.begin(i + 1);
          t.transform_weights(w, c, k, turned, k0, c0, c1, u, packed_step(depths.size));
          t.multiply(count, v + c0, v_step, whole_vectors(c), c1 - c0, u, packed_step(depths.size),
                     i > 0, m, m_step);
        }
        t.transform_outputs(pass.target, pass.grid, first, count, k0, m, m_step);
      }
    });
  }
}

// How backward weights divides its work. With few channels each group of tiles, whose number
// follows from sizes, has sums of its own, and units are (group, part of the blocks of output
// channels). With many all threads transform the tiles of a large band, then each takes blocks of
// weights, whose sums over the band it makes, finishes and adds to dw at once.
struct WeightPlan {
  WinogradSource x, dy;
  WinogradGrid x_grid, dy_grid;
  int64_t tiles, v_step, d_step, du_step, sums;
  bool many;
  int64_t band_tiles, groups, parts = 1;

  WeightPlan(const Conv2dParams& p, const float* x, const float* dy, const float* y,
             const uint8_t* argmax)
      : x{.x = x, .h = p.in_h, .w = p.in_w, .c = p.in_c},
        dy(gradient_source(p, dy, y, argmax)),
        x_grid(grid_of(this->dy.h, this->dy.w, p.pad_top, p.pad_left)),
        dy_grid(grid_of(this->dy.h, this->dy.w, 0, 0)),
        tiles(p.batch * tiles_of(x_grid)),
        v_step(tile_step(p.in_c)),
        d_step(tile_step(p.out_c)),
        du_step(p.in_c * blocks_of(p.out_c) * winograd_tiles().block + 16),
        sums(kFrequencies * du_step),
        many(sums > 1 << 20),
        band_tiles(std::min(std::max<int64_t>(tiles, 1), most_tiles())),
        groups(many ? 1
                    : std::clamp<int64_t>((5 << 19) / sums, 2,
                                          std::clamp<int64_t>(tiles / band_tiles, 2, 8))) {
    const int64_t blocks = blocks_of(p.out_c), threads = omp_get_max_threads();
    while (!many && parts < blocks && (groups * parts < threads || groups * parts % threads > 0))
      parts++;
  }

  // What a thread needs.
  int64_t scratch() const {
    return many ? kFrequencies * packed_step(Depths(x.c).size)
                : round_up(band_tiles * (v_step + d_step), 16);
  }
  int64_t bias_floats() const { return round_up(dy.c, 16) + 16; }
  int64_t shared() const {
    return many ? band_tiles * (v_step + d_step) : round_up(groups * sums, 16);
  }
  int64_t workspace() const {
    return groups * bias_floats() + shared() + omp_get_max_threads() * round_up(scratch(), 16);
  }

 private:
  int64_t most_tiles() const {
    if (many) return std::max<int64_t>(64, kManyGradientFloats / (v_step + d_step));
    return std::clamp<int64_t>(kTileFloats / (v_step + d_step), 56, 128);
  }
};

void weights_by_groups(const WeightPlan& plan, float* dw, float* bias, float* workspace) {
  const WinogradTiles& t = winograd_tiles();
  const int64_t c = plan.x.c, k = plan.dy.c, blocks = blocks_of(k), v_channels = whole_vectors(c);
  float *du = workspace, *scratches = du + plan.shared();
  parallel_for(plan.groups * plan.parts, 1, [&](int64_t begin, int64_t end) {
    float* v = scratches + omp_get_thread_num() * plan.scratch();
    float* d = v + plan.band_tiles * plan.v_step;
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t group = unit / plan.parts, part = unit % plan.parts;
      const int64_t k0 = blocks * part / plan.parts * t.block;
      const int64_t k1 = std::min(blocks * (part + 1) / plan.parts * t.block, k);
      const int64_t start = plan.tiles * group / plan.groups,
                    stop = plan.tiles * (group + 1) / plan.groups;
      float* sums = du + group * plan.sums;
      if (start == stop) {
        for (int64_t f = 0; f < kFrequencies; f++)
          std::fill(sums + f * plan.du_step + k0 * c,
                    sums + f * plan.du_step + round_up(k1, t.block) * c, 0.0f);
      }
      for (int64_t first = start; first < stop; first += plan.band_tiles) {
        const int64_t count = std::min(plan.band_tiles, stop - first);
        t.transform_inputs(plan.x, plan.x_grid, first, count, 0, c, v, plan.v_step, v_channels);
        t.transform_gradients(plan.dy, plan.dy_grid, first, count, k0, k1, d, plan.d_step,
                              whole_vectors(k1 - k0),
                              bias ? bias + group * plan.bias_floats() + k0 : nullptr);
        for (int64_t block = k0; block < k1; block += t.block)
          t.multiply_gradients(count, v, plan.v_step, v_channels, c, d + block - k0, plan.d_step,
                               whole_vectors(k1 - k0), first > start, sums + block * c,
                               plan.du_step);
      }
    }
  });
  const int64_t vectors = v_channels / t.lanes;
  parallel_for(blocks * vectors, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t k0 = i / vectors * t.block, c0 = i % vectors * t.lanes;
      t.finish_weights(du + k0 * c + c0 * t.block, plan.du_step, plan.groups, plan.sums, c, k, k0,
                       c0, std::min(c0 + t.lanes, c), false, dw);
    }
  });
}

void weights_by_blocks(const WeightPlan& plan, float* dw, float* bias, float* workspace) {
  const WinogradTiles& t = winograd_tiles();
  const int64_t c = plan.x.c, k = plan.dy.c,
                bands = std::max<int64_t>((plan.tiles + plan.band_tiles - 1) / plan.band_tiles, 1);
  const Depths depths(c);
  float *v = workspace, *d = v + plan.band_tiles * plan.v_step,
        *scratches = workspace + plan.shared();
  for (int64_t band = 0; band < bands; band++) {
    const int64_t first = plan.tiles * band / bands,
                  count = plan.tiles * (band + 1) / bands - first;
    parallel_for(count, 8, [&](int64_t begin, int64_t end) {
      t.transform_inputs(plan.x, plan.x_grid, first + begin, end - begin, 0, c,
                         v + begin * plan.v_step, plan.v_step, whole_vectors(c));
    });
    // By channels: the sums for the bias of each are one thread's.
    parallel_for(whole_vectors(k) / t.lanes, 1, [&](int64_t begin, int64_t end) {
      const int64_t k0 = begin * t.lanes, k1 = std::min(end * t.lanes, k);
      t.transform_gradients(plan.dy, plan.dy_grid, first, count, k0, k1, d + k0, plan.d_step,
                            whole_vectors(k), bias ? bias + k0 : nullptr);
    });
    parallel_for(blocks_of(k) * depths.count, 1, [&](int64_t begin, int64_t end) {
      float* du = scratches + omp_get_thread_num() * round_up(plan.scratch(), 16);
      for (int64_t i = begin; i < end; i++) {
        const int64_t k0 = i / depths.count * t.block;
        const int64_t c0 = depths.begin(i % depths.count), c1 = depths.begin(i % depths.count + 1);
        t.multiply_gradients(count, v + c0, plan.v_step, whole_vectors(c), c1 - c0, d + k0,
                             plan.d_step, whole_vectors(k), false, du, packed_step(depths.size));
        t.finish_weights(du, packed_step(depths.size), 1, 0, c, k, k0, c0, c1, band > 0, dw);
      }
    });
  }
}

}  // namespace

bool winograd_packs(const Conv2dParams& p) {
  if (!is_possible(p) || has_many(p.in_c, p.out_c)) return false;
  const int64_t least = std::min(least_of(false, ConvPass::forward).products,
                                 least_of(true, ConvPass::forward).products);
  return p.algorithm == ConvAlgorithm::winograd || p.in_c * p.out_c >= least;
}

bool winograd_pays(const Conv2dParams& p, ConvPass pass) {
  if (!is_possible(p) || p.algorithm == ConvAlgorithm::direct) return false;
  if (p.algorithm == ConvAlgorithm::winograd) return true;
  const bool data = pass == ConvPass::backward_data;
  const int64_t h = data ? p.in_h : p.pool * p.y_h(), w = data ? p.in_w : p.pool * p.y_w();
  const int64_t tiled = tiles_of(grid_of(h, w, 0, 0)) * kWinogradOut * kWinogradOut;
  const Least& least = least_of(p.pool == 2, pass);
  return (data ? p.out_c : p.in_c) >= least.inputs && p.in_c * p.out_c >= least.products &&
         static_cast<double>(h * w) >= least.share * static_cast<double>(tiled);
}

WinogradPass winograd_forward(const Conv2dParams& p, const float* x, const float* bias,
                              const float* plus, float* y, uint8_t* argmax, int64_t y_step) {
  const auto f = leaky_relu_of<float>(p.activation);
  const int64_t h = p.pool * p.y_h(), w = p.pool * p.y_w();
  return {.batch = p.batch,
          .source = {.x = x, .h = p.in_h, .w = p.in_w, .c = p.in_c},
          .target = {.y = y,
                     .h = h,
                     .w = w,
                     .k = p.out_c,
                     .step = y_step,
                     .bias = bias,
                     .plus = plus,
                     .argmax = p.pool == 2 ? argmax : nullptr,
                     .slope = f.slope,
                     .limit = f.limit},
          .grid = grid_of(h, w, p.pad_top, p.pad_left)};
}

WinogradPass winograd_backward_data(const Conv2dParams& p, const float* dy, const float* y,
                                    const uint8_t* argmax, const float* bias,
                                    const LeakyRelu<float>& f, float* dx) {
  return {.batch = p.batch,
          .source = gradient_source(p, dy, y, argmax),
          .target = {.y = dx,
                     .h = p.in_h,
                     .w = p.in_w,
                     .k = p.in_c,
                     .step = p.in_c,
                     .bias = bias,
                     .slope = f.slope,
                     .limit = f.limit},
          .grid = grid_of(p.in_h, p.in_w, p.kernel_h - 1 - p.pad_top, p.kernel_w - 1 - p.pad_left)};
}

int64_t winograd_packed_size(int64_t c, int64_t k) {
  return blocks_of(k) * kFrequencies * packed_step(c);
}

void winograd_pack(int64_t c, int64_t k, const float* w, bool turned, float* packed) {
  const WinogradTiles& t = winograd_tiles();
  const int64_t vectors = whole_vectors(c) / t.lanes;
  parallel_for(blocks_of(k) * vectors, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t block = i / vectors, c0 = i % vectors * t.lanes;
      t.transform_weights(w, c, k, turned, block * t.block, c0, std::min(c0 + t.lanes, c),
                          packed + block * kFrequencies * packed_step(c) + c0 * t.block,
                          packed_step(c));
    }
  });
}

WinogradPieces::WinogradPieces(const WinogradPass& pass, const float* packed)
    : pass_(pass), packed_(packed), blocks_(blocks_of(pass.target.k)) {
  const int64_t tiles = pass.tiles(), at_once = winograd_tiles().at_once;
  const int64_t threads = free_threads(), wanted = threads > 1 ? 2 * threads : 1;
  const int64_t floats = tile_step(pass.source.c) + output_step();
  band_tiles_ = std::clamp(kTileFloats / floats / at_once * at_once, 2 * at_once, 8 * at_once);
  bands_ = std::max<int64_t>(
      {(tiles + band_tiles_ - 1) / band_tiles_, std::min(wanted, tiles / (2 * at_once)), 1});
  band_tiles_ = (tiles + bands_ - 1) / bands_;
  parts_ = std::clamp<int64_t>(wanted / bands_, 1, blocks_);
}

int64_t WinogradPieces::scratch() const {
  return round_up(band_tiles_ * (tile_step(pass_.source.c) + output_step()), 16);
}

void WinogradPieces::operator()(int64_t i, float* scratch) const {
  const WinogradTiles& t = winograd_tiles();
  const int64_t band = i % bands_, part = i / bands_, tiles = pass_.tiles(), c = pass_.source.c;
  const int64_t first = tiles * band / bands_, count = tiles * (band + 1) / bands_ - first;
  const int64_t v_step = tile_step(c), m_step = output_step();
  float *v = scratch, *m = v + band_tiles_ * v_step;
  t.transform_inputs(pass_.source, pass_.grid, first, count, 0, c, v, v_step, whole_vectors(c));
  for (int64_t block = blocks_ * part / parts_; block < blocks_ * (part + 1) / parts_; block++) {
    t.multiply(count, v, v_step, whole_vectors(c), c,
               packed_ + block * kFrequencies * packed_step(c), packed_step(c), false, m, m_step);
    t.transform_outputs(pass_.target, pass_.grid, first, count, block * t.block, m, m_step);
  }
}

int64_t winograd_workspace(const WinogradPass& pass) {
  const int64_t c = pass.source.c, k = pass.target.k;
  if (has_many(c, k))
    return many_tiles(pass) * tile_step(c) + omp_get_max_threads() * many_scratch(pass);
  return winograd_packed_size(c, k) + free_threads() * WinogradPieces(pass, nullptr).scratch();
}

void winograd_run(const WinogradPass& pass, const float* w, bool turned, float* workspace) {
  const int64_t c = pass.source.c, k = pass.target.k;
  if (pass.tiles() == 0) return;
  if (has_many(c, k)) return run_by_blocks(pass, w, turned, workspace);
  winograd_pack(c, k, w, turned, workspace);
  const WinogradPieces pieces(pass, workspace);
  float* scratches = workspace + winograd_packed_size(c, k);
  parallel_pieces(pieces.count(), [&](int64_t i) {
    pieces(i, scratches + omp_get_thread_num() * pieces.scratch());
  });
}

int64_t winograd_backward_weights_workspace(const Conv2dParams& p) {
  return WeightPlan(p, nullptr, nullptr, nullptr, nullptr).workspace();
}

void winograd_backward_weights(const Conv2dParams& p, const float* x, const float* dy,
                               const float* y, const uint8_t* argmax, float* dw, float* dbias,
                               float* workspace) {
  const WeightPlan plan(p, x, dy, y, argmax);
  float* bias = workspace;
  std::fill_n(bias, plan.groups * plan.bias_floats(), 0.0f);
  const auto run = plan.many ? weights_by_blocks : weights_by_groups;
  run(plan, dw, dbias ? bias : nullptr, workspace + plan.groups * plan.bias_floats());
  if (!dbias) return;
  std::fill_n(dbias, p.out_c, 0.0f);
  for (int64_t group = 0; group < plan.groups; group++)
    for (int64_t k = 0; k < p.out_c; k++) dbias[k] += bias[group * plan.bias_floats() + k];
}

}  // namespace lookalike::cpu

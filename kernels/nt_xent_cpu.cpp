// Float goes over the similarities twice, a block of rows (kBlock) against everything at a time:
// first for the largest value and the sum of exponentials of every row and column, then for the
// gradient. The first blocks of rows keep theirs in between (kKept), those of the others are made
// again. In a block one parallel loop splits the columns (and owns what is summed over rows), the
// next one splits the rows: every sum has one owner and one order, whatever the number of threads.
// Exponentials are always taken of differences from the largest value.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/exp.h"
#include "kernels/nt_xent.h"
#include "kernels/parallel.h"
#include "kernels/similarity.h"

namespace lookalike::cpu {
namespace {

// The side of a block of similarities: 36 KB.
constexpr int64_t kBlock = 96;
static_assert(kBlock % kPanelRows == 0);
// Similarities that are kept: 25 MB, those of 2,400 pairs.
constexpr int64_t kKept = 6 << 20;

constexpr int64_t blocks_of(int64_t n) {
  return (n + kBlock - 1) / kBlock;
}
constexpr int64_t padded(int64_t n) {
  return (n + kPanelRows - 1) / kPanelRows * kPanelRows;
}

// One view: `rows` are its embeddings, `largest` and `sums` the largest similarity and the sum of exponentials of each
// row of it with the other view, `own` its similarity with its partner.
struct View {
  float *rows, *gradient;  // [n, width]
  float *largest, *sums, *own;
};

// What the loops share. A strip holds the similarities of one block of rows: block by block of columns, [kBlock,
// kBlock].
struct Blocks {
  int64_t n, d, width;  // width: d padded
  int64_t kept;         // strips
  View a, b;
  float *panels, *strips;

  Blocks(float* memory, int64_t n, int64_t d)
      : n(n), d(d), width(padded(d)), kept(kept_of(n)) {
    const auto take = [&](int64_t count) { return std::exchange(memory, memory + count); };
    for (View* view : {&a, &b}) {
      view->rows = take(n * width), view->gradient = take(n * width);
      view->largest = take(padded(n)), view->sums = take(padded(n)), view->own = take(padded(n));
    }
    panels = take(padded(n) * d), strips = memory;
  }
  static int64_t strip_size(int64_t n) { return blocks_of(n) * kBlock * kBlock; }
  static int64_t kept_of(int64_t n) { return n == 0 ? 0 : std::min(blocks_of(n), kKept / strip_size(n)); }
  static int64_t size(int64_t n, int64_t d) {
    const int64_t strips = std::min(blocks_of(n), kept_of(n) + 1);
    return 4 * n * padded(d) + 6 * padded(n) + padded(n) * d + strips * strip_size(n);
  }
  // The strip of the block of rows that begins with `i`; those that are not kept share one.
  bool keeps(int64_t i) const { return i / kBlock < kept; }
  float* strip(int64_t i) const { return strips + std::min(i / kBlock, kept) * strip_size(n); }
};

// Similarities of `count` rows from `i` with the block of columns at `j`.
void similarities(const Blocks& x, int64_t i, int64_t count, int64_t j, float* block) {
  for (int64_t p = 0; p < std::min(kBlock, x.n - j); p += kPanelRows) {
    block_product(count, kPanelRows, x.d, x.a.rows + i * x.width, x.width, 1, x.panels + (j + p) * x.d, kPanelRows,
                  block + p, kBlock, false);
  }
}

// Takes rows [i, i + count) into the largest values and sums of the block of columns at `j`.
void add_to_columns(const Blocks& x, int64_t count, int64_t j, const float* block) {
  const int64_t columns = std::min(kBlock, x.n - j);
  float *largest = x.b.largest + j, *sums = x.b.sums + j;
  float top[kBlock], sum[kBlock];
  std::copy_n(largest, columns, top);
  for (int64_t r = 0; r < count; r++) {
    for (int64_t c = 0; c < columns; c++) top[c] = std::max(top[c], block[r * kBlock + c]);
  }
  for (int64_t c = 0; c < columns; c++) sum[c] = sums[c] * fast_exp(largest[c] - top[c]);
  for (int64_t r = 0; r < count; r++) {
    for (int64_t c = 0; c < columns; c++) sum[c] += fast_exp(block[r * kBlock + c] - top[c]);
  }
  std::copy_n(top, columns, largest);
  std::copy_n(sum, columns, sums);
}

// The largest value and the sum of row `r` of the strip.
void finish_row(const Blocks& x, int64_t i, int64_t r) {
  float top = -std::numeric_limits<float>::infinity(), sum = 0;
  for (int64_t j = 0; j < x.n; j += kBlock) {
    const float* row = x.strip(i) + j * kBlock + r * kBlock;
    const int64_t columns = std::min(kBlock, x.n - j);
#pragma omp simd reduction(max : top)
    for (int64_t c = 0; c < columns; c++) top = std::max(top, row[c]);
  }
  for (int64_t j = 0; j < x.n; j += kBlock) {
    const float* row = x.strip(i) + j * kBlock + r * kBlock;
    const int64_t columns = std::min(kBlock, x.n - j);
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < columns; c++) sum += fast_exp(row[c] - top);
  }
  x.a.largest[i + r] = top, x.a.sums[i + r] = sum;
  x.a.own[i + r] = x.strip(i)[i * kBlock + r * kBlock + r];
}

// Similarities to the gradient with respect to them: both softmaxes less twice the partner.
void softmaxes(const Blocks& x, int64_t i, int64_t count, int64_t j, float* block) {
  const int64_t columns = std::min(kBlock, x.n - j);
  float inverse[kBlock];
  for (int64_t c = 0; c < columns; c++) inverse[c] = 1 / x.b.sums[j + c];
  for (int64_t r = 0; r < count; r++) {
    const float top = x.a.largest[i + r], row_inverse = 1 / x.a.sums[i + r];
    const float* tops = x.b.largest + j;
    float* row = block + r * kBlock;
    for (int64_t c = 0; c < columns; c++) {
      row[c] = fast_exp(row[c] - top) * row_inverse + fast_exp(row[c] - tops[c]) * inverse[c];
    }
    if (i == j) row[r] -= 2;
  }
}

}  // namespace

template <>
int64_t nt_xent_workspace<float>(int64_t n, int64_t d) {
  return Blocks::size(n, d);
}

template <>
NtXentSums nt_xent(const float* a, const float* b, int64_t n, int64_t d, double temperature, float* workspace,
                   float* da, float* db) {
  const Blocks x(workspace, n, d);
  const int64_t width = x.width, blocks = blocks_of(n);
  // The similarities take the temperature from the rows of a; and the gradient of b, which is a product with them.
  const auto scale = static_cast<float>(1 / temperature);
  parallel_for(blocks, 1, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * kBlock; i < std::min(n, end * kBlock); i++) {
      for (int64_t k = 0; k < d; k++) {
        x.a.rows[i * width + k] = scale * a[i * d + k];
        x.b.rows[i * width + k] = b[i * d + k];
      }
      for (int64_t k = d; k < width; k++) x.a.rows[i * width + k] = x.b.rows[i * width + k] = 0;
      if (i % kPanelRows == 0) pack_panel(b + i * d, std::min(kPanelRows, n - i), d, x.panels + i * d);
      x.b.largest[i] = -std::numeric_limits<float>::infinity();
      x.b.sums[i] = 0;
    }
  });

  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = std::min(kBlock, n - i);
    parallel_for(blocks, 1, [=](int64_t begin, int64_t end) {
      simd([=] {
        for (int64_t j = begin * kBlock; j < std::min(n, end * kBlock); j += kBlock) {
          similarities(x, i, count, j, x.strip(i) + j * kBlock);
          add_to_columns(x, count, j, x.strip(i) + j * kBlock);
        }
      });
    });
    parallel_for(count, 8, [=](int64_t begin, int64_t end) {
      simd([=] {
        for (int64_t r = begin; r < end; r++) finish_row(x, i, r);
      });
    });
  }

  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = std::min(kBlock, n - i);
    parallel_for(blocks, 1, [=](int64_t begin, int64_t end) {
      simd([=] {
        for (int64_t j = begin * kBlock; j < std::min(n, end * kBlock); j += kBlock) {
          float* block = x.strip(i) + j * kBlock;
          if (!x.keeps(i)) similarities(x, i, count, j, block);
          softmaxes(x, i, count, j, block);
          block_product(std::min(kBlock, n - j), width, count, block, 1, kBlock, x.a.rows + i * width, width,
                        x.b.gradient + j * width, width, i > 0);
        }
      });
    });
    // A register tile of rows by a panel of columns is the least piece of the gradient of a.
    constexpr int64_t kRows = 12;
    const int64_t panels = width / kPanelRows, pieces = (count + kRows - 1) / kRows * panels;
    parallel_for(pieces, 1, [=](int64_t begin, int64_t end) {
      for (int64_t j = 0; j < n; j += kBlock) {
        for (int64_t piece = begin; piece < end; piece++) {
          const int64_t r = piece / panels * kRows, column = piece % panels * kPanelRows;
          block_product(std::min(kRows, count - r), kPanelRows, std::min(kBlock, n - j),
                        x.strip(i) + j * kBlock + r * kBlock, kBlock, 1, x.b.rows + j * width + column, width,
                        x.a.gradient + (i + r) * width + column, width, j > 0);
        }
      }
    });
  }

  const auto mean = static_cast<float>(0.5 / static_cast<double>(n));
  NtXentSums sums;
  for (int64_t i = 0; i < n; i++) {
    const float own = x.a.own[i];
    for (const View& view : {x.a, x.b}) {
      sums.loss += std::log(double{view.sums[i]}) + (double{view.largest[i]} - own);
      sums.active += own < view.largest[i];
    }
  }
  parallel_for(n, 16384 / (d + 1) + 1, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      for (int64_t k = 0; k < d; k++) {
        da[i * d + k] = mean * scale * x.a.gradient[i * width + k];
        db[i * d + k] = mean * x.b.gradient[i * width + k];
      }
    }
  });
  return sums;
}

template <>
int64_t nt_xent_workspace<double>(int64_t n, int64_t) {
  return 2 * n;
}

// The plain loops.
template <>
NtXentSums nt_xent(const double* a, const double* b, int64_t n, int64_t d, double temperature, double* workspace,
                   double* da, double* db) {
  const auto similarity = [=](const double* u, const double* v) {
    double sum = 0;
    for (int64_t k = 0; k < d; k++) sum += u[k] * v[k];
    return sum / temperature;
  };
  const double* const views[] = {a, b};
  double *const gradients[] = {da, db}, *const log_sums[] = {workspace, workspace + n};
  NtXentSums sums;
  for (int side : {0, 1}) {
    const double *x = views[side], *y = views[1 - side];
    for (int64_t i = 0; i < n; i++) {
      double largest = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t j = 0; j < n; j++) largest = std::max(largest, similarity(x + i * d, y + j * d));
      for (int64_t j = 0; j < n; j++) sum += std::exp(similarity(x + i * d, y + j * d) - largest);
      const double own = similarity(x + i * d, y + i * d);
      log_sums[side][i] = largest + std::log(sum);
      sums.loss += log_sums[side][i] - own;
      sums.active += own < largest;
    }
  }
  for (int side : {0, 1}) {
    const double *x = views[side], *y = views[1 - side];
    double* dx = gradients[side];
    std::fill_n(dx, n * d, 0.0);
    for (int64_t i = 0; i < n; i++) {
      for (int64_t j = 0; j < n; j++) {
        const double s = similarity(x + i * d, y + j * d);
        const double g = std::exp(s - log_sums[side][i]) + std::exp(s - log_sums[1 - side][j]) - (i == j ? 2 : 0);
        for (int64_t k = 0; k < d; k++) dx[i * d + k] += g / (2 * n * temperature) * y[j * d + k];
      }
    }
  }
  return sums;
}

}  // namespace lookalike::cpu

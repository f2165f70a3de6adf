// Float mines in two steps. Products of blocks of rows give all squared distances by |a|^2 + |b|^2 - 2 a.b, whose error
// has a known bound; a row whose value could, within that bound, beat the best one so far is measured by direct
// differences. After the first few rows that is rare, so mining costs little more than the products, and its choice
// is the exact one. Double measures everything directly.
#include <algorithm>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/similarity.h"
#include "kernels/triplet.h"

namespace lookalike::cpu {
namespace {

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

constexpr int64_t padded(int64_t rows) {
  return (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
}

// The parts of the float workspace.
template <class Float>
struct MiningWorkspace {
  MiningWorkspace(Float* memory, int64_t m, int64_t d)
      : panels(memory), half_norms(panels + padded(m) * d), largest_norm(half_norms + padded(m)) {}

  Float* panels;
  Float* half_norms;    // |e_i|^2 / 2, NaN in the place of missing rows: no comparison lets them in
  Float* largest_norm;  // of |e_i|^2
};

// Rows that a thread takes through all panels at a time.
constexpr int64_t kBlock = 96;

// One row's scan of a panel: its products with kPanelRows rows, of which `count` exist.
struct Panel {
  const float* e;
  int64_t d;
  const float* half_norms;
  const int32_t* classes;  // [kPanelRows]
  int32_t first;           // row number of the first column
  int32_t count;

  float distance(int32_t row, int32_t column) const {
    return squared_distance(e + row * d, e + (first + column) * d, d);
  }
};

struct Anchor {
  int32_t row, own_class;
  float half_norm, slack;  // slack: more than the error of a squared distance by products

  // In terms of |b|^2 / 2 - a.b: the least and the largest values of squared distances that may be at least / most
  // `squared`.
  float lower(float squared) const { return 0.5f * (squared - slack) - half_norm; }
  float upper(float squared) const { return 0.5f * (squared + slack) - half_norm; }
};

// squared[2]: the farthest positive and the nearest negative so far.
inline void scan_batch_hard(const Panel& panel, const Anchor& anchor, const float* products, Triplet& triplet,
                            float* squared) {
  float values[kPanelRows];
  int32_t hits = 0;
  const float far = anchor.lower(squared[0]), near = anchor.upper(squared[1]);
  const int32_t own = anchor.own_class;
  for (int64_t c = 0; c < kPanelRows; c++) {
    const float value = values[c] = panel.half_norms[c] - products[c];
    hits |= panel.classes[c] == own ? value >= far : value <= near;
  }
  if (!hits) [[likely]]
    return;
  for (int32_t c = 0; c < panel.count; c++) {
    const bool positive = panel.classes[c] == own;
    if (positive ? !(values[c] >= anchor.lower(squared[0])) : !(values[c] <= anchor.upper(squared[1]))) continue;
    if (panel.first + c == anchor.row) continue;
    const float distance = panel.distance(anchor.row, c);
    if (positive && distance > squared[0]) squared[0] = distance, triplet.positive = panel.first + c;
    if (!positive && distance < squared[1]) squared[1] = distance, triplet.negative = panel.first + c;
  }
}

struct Farthest {
  float squared = -1;
  int32_t row = 0;
};

// squared[2 count]: the positive and the nearest farther negative so far, for each of this anchor's triplets.
inline void scan_semi_hard(const Panel& panel, const Anchor& anchor, const float* products, Triplet* triplets,
                           float* squared, int64_t count, Farthest& farthest) {
  float values[kPanelRows];
  int32_t hits = 0;
  const float far = anchor.lower(farthest.squared);
  const int32_t own = anchor.own_class;
  for (int64_t c = 0; c < kPanelRows; c++) {
    const float value = panel.half_norms[c] - products[c];
    values[c] = panel.classes[c] == own ? std::numeric_limits<float>::quiet_NaN() : value;
    hits |= values[c] >= far;
  }
  if (hits) {
    for (int32_t c = 0; c < panel.count; c++) {
      if (!(values[c] >= anchor.lower(farthest.squared))) continue;
      const float distance = panel.distance(anchor.row, c);
      if (distance > farthest.squared) farthest = {distance, panel.first + c};
    }
  }
  for (int64_t t = 0; t < count; t++) {
    const float positive = squared[2 * t], beyond = anchor.lower(positive);
    float& nearest = squared[2 * t + 1];
    const float near = anchor.upper(nearest);
    hits = 0;
    for (int64_t c = 0; c < kPanelRows; c++) hits |= (values[c] >= beyond) & (values[c] <= near);
    if (!hits) [[likely]]
      continue;
    for (int32_t c = 0; c < panel.count; c++) {
      if (!(values[c] >= beyond && values[c] <= anchor.upper(nearest))) continue;
      const float distance = panel.distance(anchor.row, c);
      if (distance > positive && distance < nearest) nearest = distance, triplets[t].negative = panel.first + c;
    }
  }
}

struct Mining {
  const float* e;
  int64_t m, d;
  RowClasses classes;
  MiningWorkspace<const float> x;
  Triplet* triplets;
  int64_t count;
  float* squared;

  // Error bound of |a|^2 + |b|^2 - 2 a.b plus that of direct differences, each sum of d terms in any order: below
  // 4 (d + 4) u (|a|^2 + |b|^2) with u = 2^-24; taken twice.
  float slack(float norm) const { return static_cast<float>(d + 4) * 0x1p-21f * (norm + *x.largest_norm); }
};

// The triplets of the rows [begin, end), at most kBlock of them. SemiHard or else batch hard.
template <bool kSemiHard>
void mine_rows(const Mining& mining, int64_t begin, int64_t end) {
  const auto& [e, m, d, classes, x, triplets, count, squared] = mining;
  const auto before = [](const Triplet& t, int64_t row) { return t.anchor < row; };
  int64_t first[kBlock + 1];  // where each row's triplets begin
  Anchor anchors[kBlock];
  Farthest farthest[kBlock];
  first[0] = std::lower_bound(triplets, triplets + count, begin, before) - triplets;
  for (int64_t i = 0; i < end - begin; i++) {
    const auto row = static_cast<int32_t>(begin + i);
    anchors[i] = {row, classes.of_row[row], x.half_norms[row], mining.slack(2 * x.half_norms[row])};
    int64_t t = first[i];
    for (; t < count && triplets[t].anchor == row; t++) {
      squared[2 * t] = kSemiHard ? squared_distance(e + row * d, e + triplets[t].positive * d, d) : -1;
      squared[2 * t + 1] = kInfinity<float>;
      farthest[i].row = triplets[t].negative;
    }
    first[i + 1] = t;
  }

  alignas(64) float products[kBlock * kPanelRows];
  int32_t column_classes[kPanelRows] = {};
  for (int64_t j = 0; j < m; j += kPanelRows) {
    score_panel(e + begin * d, end - begin, d, x.panels + j * d, products);
    const auto columns = static_cast<int32_t>(std::min(kPanelRows, m - j));
    std::copy_n(classes.of_row + j, columns, column_classes);
    const Panel panel{e, d, x.half_norms + j, column_classes, static_cast<int32_t>(j), columns};
    for (int64_t i = 0; i < end - begin; i++) {
      const int64_t t = first[i], own = first[i + 1] - t;
      if (own == 0) continue;
      if constexpr (kSemiHard) {
        scan_semi_hard(panel, anchors[i], products + i * kPanelRows, triplets + t, squared + 2 * t, own, farthest[i]);
      } else {
        scan_batch_hard(panel, anchors[i], products + i * kPanelRows, triplets[t], squared + 2 * t);
      }
    }
  }
  if constexpr (kSemiHard) {
    for (int64_t i = 0; i < end - begin; i++) {
      for (int64_t t = first[i]; t < first[i + 1]; t++) {
        if (squared[2 * t + 1] < kInfinity<float>) continue;
        squared[2 * t + 1] = farthest[i].squared;
        triplets[t].negative = farthest[i].row;
      }
    }
  }
}

template <bool kSemiHard>
void mine(const float* e, int64_t m, int64_t d, const RowClasses& classes, const float* workspace, Triplet* triplets,
          int64_t count, float* squared) {
  if (count == 0) return;
  const Mining mining{e, m, d, classes, {workspace, m, d}, triplets, count, squared};
  // Whole register tiles for each thread, whatever their rows.
  constexpr int64_t kGrain = 24;
  const int64_t first = triplets[0].anchor, rows = triplets[count - 1].anchor + 1 - first;
  parallel_for((rows + kGrain - 1) / kGrain, 1, [=](int64_t begin, int64_t end) {
    const int64_t stop = first + std::min(rows, end * kGrain);
    simd([=] {
      for (int64_t i = first + begin * kGrain; i < stop; i += kBlock) {
        mine_rows<kSemiHard>(mining, i, std::min(stop, i + kBlock));
      }
    });
  });
}

}  // namespace

template <>
int64_t mining_workspace<float>(int64_t m, int64_t d) {
  return padded(m) * (d + 1) + 1;
}
template <>
int64_t mining_workspace<double>(int64_t, int64_t) {
  return 0;
}

template <>
void mining_prepare(const float* e, int64_t m, int64_t d, float* workspace) {
  const MiningWorkspace<float> x(workspace, m, d);
  parallel_for(padded(m) / kPanelRows, 16384 / (kPanelRows * d + 1) + 1, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin * kPanelRows; row < std::min(m, end * kPanelRows); row += kPanelRows) {
      pack_panel(e + row * d, std::min(kPanelRows, m - row), d, x.panels + row * d);
    }
  });
  simd([=] {
    float largest = 0;
    for (int64_t i = 0; i < m; i++) {
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (int64_t k = 0; k < d; k++) squares += e[i * d + k] * e[i * d + k];
      x.half_norms[i] = squares / 2;
      largest = squares > largest ? squares : largest;
    }
    *x.largest_norm = largest;
  });
  std::fill(x.half_norms + m, x.half_norms + padded(m), std::numeric_limits<float>::quiet_NaN());
}
template <>
void mining_prepare(const double*, int64_t, int64_t, double*) {}

template <>
void mine_batch_hard(const float* e, int64_t m, int64_t d, const RowClasses& classes, const float* workspace,
                     Triplet* triplets, int64_t count, float* squared) {
  mine<false>(e, m, d, classes, workspace, triplets, count, squared);
}
template <>
void mine_semi_hard(const float* e, int64_t m, int64_t d, const RowClasses& classes, const float* workspace,
                    Triplet* triplets, int64_t count, float* squared) {
  mine<true>(e, m, d, classes, workspace, triplets, count, squared);
}

template <>
void mine_batch_hard(const double* e, int64_t m, int64_t d, const RowClasses& classes, const double*, Triplet* triplets,
                     int64_t count, double* squared) {
  for (int64_t t = 0; t < count; t++) {
    Triplet& triplet = triplets[t];
    double &farthest = squared[2 * t] = -1, &nearest = squared[2 * t + 1] = kInfinity<double>;
    for (int32_t j = 0; j < m; j++) {
      if (j == triplet.anchor) continue;
      const double distance = squared_distance(e + triplet.anchor * d, e + j * d, d);
      if (classes.of_row[j] == classes.of_row[triplet.anchor]) {
        if (distance > farthest) farthest = distance, triplet.positive = j;
      } else {
        if (distance < nearest) nearest = distance, triplet.negative = j;
      }
    }
  }
}

template <>
void mine_semi_hard(const double* e, int64_t m, int64_t d, const RowClasses& classes, const double*, Triplet* triplets,
                    int64_t count, double* squared) {
  for (int64_t t = 0; t < count; t++) {
    Triplet& triplet = triplets[t];
    double &positive = squared[2 * t], &nearest = squared[2 * t + 1] = kInfinity<double>, farthest = -1;
    positive = squared_distance(e + triplet.anchor * d, e + triplet.positive * d, d);
    int32_t farthest_row = triplet.negative;
    for (int32_t j = 0; j < m; j++) {
      if (classes.of_row[j] == classes.of_row[triplet.anchor]) continue;
      const double distance = squared_distance(e + triplet.anchor * d, e + j * d, d);
      if (distance > positive && distance < nearest) nearest = distance, triplet.negative = j;
      if (distance > farthest) farthest = distance, farthest_row = j;
    }
    if (nearest == kInfinity<double>) nearest = farthest, triplet.negative = farthest_row;
  }
}

}  // namespace lookalike::cpu

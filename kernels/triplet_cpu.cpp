#include <cmath>

#include "kernels/parallel.h"
#include "kernels/triplet.h"

namespace lookalike::cpu {

template <class T>
DistanceSums triplet(const TripletParams& params, const T* squared, int64_t count, double scale, T* weights) {
  DistanceSums sums;
  for (int64_t t = 0; t < count; t++) {
    const double positive = std::sqrt(squared[2 * t]), negative = std::sqrt(squared[2 * t + 1]);
    const double gap = params.squared ? double{squared[2 * t]} - double{squared[2 * t + 1]} : positive - negative;
    const double loss = gap + params.margin;
    const bool active = !(loss <= 0);  // NaN is: a broken network must show
    sums.loss += active ? loss : 0;
    sums.active += active;
    sums.positive_distance += positive;
    sums.negative_distance += negative;
    // The gradient of D^2 is 2 (a - b), that of D is (a - b) / D.
    const auto slope = [&](double distance) { return params.squared ? 2 : distance > 0 ? 1 / distance : 0; };
    weights[2 * t] = static_cast<T>(active ? scale * slope(positive) : 0);
    weights[2 * t + 1] = static_cast<T>(active ? -scale * slope(negative) : 0);
  }
  return sums;
}

namespace {

// All triplets of one anchor; `squared` comes in `weights`.
template <class T>
DistanceSums anchor_triplets(const TripletParams& params, int64_t m, const RowClasses& classes, int64_t anchor,
                             double scale, T* distances, T* weights) {
  const int32_t own = classes.of_row[anchor];
  const int32_t* of_row = classes.of_row;
  const T margin = static_cast<T>(params.margin);
  // What the hinge compares, then in `weights` how many active triplets pull (+) or push (-) each pair.
  T negatives = 0, negative_distance = 0;
  for (int64_t j = 0; j < m; j++) {
    const T distance = std::sqrt(weights[j]);
    distances[j] = params.squared ? weights[j] : distance;
    weights[j] = 0;
    negatives += of_row[j] != own;
    negative_distance += of_row[j] != own ? distance : 0;
  }
  DistanceSums sums;
  double positives = 0;
  for (int64_t q = classes.begin[own]; q < classes.begin[own + 1]; q++) {
    const int64_t positive = classes.rows[q];
    if (positive == anchor) continue;
    const T reach = distances[positive] + margin;
    T loss = 0, active = 0;
#pragma omp simd reduction(+ : loss, active)
    for (int64_t j = 0; j < m; j++) {
      const bool counts = of_row[j] != own && !(reach - distances[j] <= 0);
      loss += counts ? reach - distances[j] : 0;
      active += counts ? T(1) : T(0);
      weights[j] -= counts ? T(1) : T(0);
    }
    weights[positive] += active;
    sums.loss += loss;
    sums.active += static_cast<int64_t>(active);
    sums.positive_distance += negatives * (params.squared ? std::sqrt(distances[positive]) : distances[positive]);
    positives++;
  }
  sums.negative_distance = positives * negative_distance;
  for (int64_t j = 0; j < m; j++) {
    const T slope = params.squared ? T(2) : distances[j] > 0 ? 1 / distances[j] : T(0);
    weights[j] *= static_cast<T>(scale) * slope;
  }
  return sums;
}

}  // namespace

template <class T>
DistanceSums all_triplets(const TripletParams& params, const T* e, int64_t m, int64_t d, const RowClasses& classes,
                          int64_t begin, int64_t end, double scale, RowPair* pairs, T* distances, T* weights) {
  DistanceSums of_anchor[kAnchorBlock];
  DistanceSums* sums = of_anchor;
  parallel_for(end - begin, 1, [=](int64_t first, int64_t last) {
    simd([=] {
      for (int64_t a = first; a < last; a++) {
        for (int64_t j = 0; j < m; j++) {
          pairs[a * m + j] = {static_cast<int32_t>(begin + a), static_cast<int32_t>(j)};
          weights[a * m + j] = squared_distance(e + (begin + a) * d, e + j * d, d);
        }
        sums[a] = anchor_triplets(params, m, classes, begin + a, scale, distances + a * m, weights + a * m);
      }
    });
  });
  DistanceSums total;
  for (int64_t a = 0; a < end - begin; a++) total += of_anchor[a];
  return total;
}

template DistanceSums triplet(const TripletParams&, const float*, int64_t, double, float*);
template DistanceSums triplet(const TripletParams&, const double*, int64_t, double, double*);
template DistanceSums all_triplets(const TripletParams&, const float*, int64_t, int64_t, const RowClasses&, int64_t,
                                   int64_t, double, RowPair*, float*, float*);
template DistanceSums all_triplets(const TripletParams&, const double*, int64_t, int64_t, const RowClasses&, int64_t,
                                   int64_t, double, RowPair*, double*, double*);

}  // namespace lookalike::cpu

#include <cmath>

#include "kernels/contrastive.h"

namespace lookalike::cpu {

// A few operations for each pair beside the d of its distance: one thread is enough, and the sums have one order.
template <class T>
DistanceSums contrastive(const ContrastiveParams& params, const T* squared, const PairLabel* labels, int64_t count,
                         double scale, T* weights) {
  DistanceSums sums;
  const double factor = params.half ? 0.5 : 1;
  for (int64_t q = 0; q < count; q++) {
    const double squared_distance = squared[q], distance = std::sqrt(squared_distance);
    double loss, slope;  // slope: d loss / d D^2
    if (labels[q] == PairLabel::similar) {
      loss = squared_distance, slope = 1;
      sums.positive_distance += distance;
    } else {
      if (params.hinge == Hinge::squared) {
        loss = params.margin * params.margin - squared_distance, slope = -1;
      } else {
        const double gap = params.margin - distance;
        loss = gap <= 0 ? 0 : gap * gap, slope = distance > 0 ? -gap / distance : 0;
      }
      if (loss <= 0) loss = slope = 0;  // NaN passes: a broken network must show
      sums.negative_distance += distance;
    }
    sums.loss += factor * loss;
    sums.active += loss > 0;
    weights[q] = static_cast<T>(2 * scale * factor * slope);
  }
  return sums;
}

template DistanceSums contrastive(const ContrastiveParams&, const float*, const PairLabel*, int64_t, double, float*);
template DistanceSums contrastive(const ContrastiveParams&, const double*, const PairLabel*, int64_t, double, double*);

}  // namespace lookalike::cpu

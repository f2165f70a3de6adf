// Contrastive loss of listed pairs (Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant
// mapping", CVPR 2006). With D = ||e_i - e_j|| and margin m, the sum over the pairs of
//   similar     D^2
//   dissimilar  max(0, m - D)^2, or with the squared hinge max(0, m^2 - D^2)
// each halved with `half`. At D = 0 the gradient is zero.
#pragma once

#include "kernels/gpu/device.h"
#include "kernels/pairs.h"

namespace lookalike {

enum class PairLabel : uint8_t { dissimilar, similar };
enum class Hinge : uint8_t { distance, squared };

struct ContrastiveParams {
  double margin;
  bool half;
  Hinge hinge;
};

// Sums over what a distance loss counts (pairs or triplets); of the distances, not their squares.
struct DistanceSums {
  double loss = 0;
  int64_t active = 0;  // with a loss above 0
  double positive_distance = 0, negative_distance = 0;

  DistanceSums& operator+=(const DistanceSums& other) {
    loss += other.loss, active += other.active;
    positive_distance += other.positive_distance, negative_distance += other.negative_distance;
    return *this;
  }
};

namespace cpu {

// squared[count]: the squared distances in. weights[count]: what pair_gradients wants for the gradient of scale * loss,
// overwritten; may be `squared`.
template <class T>
DistanceSums contrastive(const ContrastiveParams& params, const T* squared, const PairLabel* labels, int64_t count,
                         double scale, T* weights);

}  // namespace cpu

namespace cuda {

// Elements of the workspace.
int64_t contrastive_workspace(int64_t m, int64_t d, int64_t count);
// Everything in one call, from the embeddings e[m, d] to the gradient de[m, d] of scale * loss and to *loss, that product.
// pairs[count], labels[count] and all outputs, which are overwritten, lie in device memory.
void contrastive(const ContrastiveParams& params, const float* e, int64_t m, int64_t d, const RowPair* pairs,
                 const PairLabel* labels, int64_t count, double scale, float* workspace, float* de, float* loss,
                 DistanceSums* sums, gpu::Stream stream);

}  // namespace cuda
}  // namespace lookalike

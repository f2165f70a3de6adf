// Losses, definitions in the kernels they name. Each is the mean over what it counts and computes its gradient in the same
// call, so the tape's closure only scales it. A batch with nothing to count, or nothing active, gives loss 0 and zero
// gradients. Embeddings are float; outputs and logits may be bf16 on the GPU.
#pragma once

#include <span>

#include "engine/autograd/variable.h"
#include "kernels/contrastive.h"

namespace lookalike {

struct LossStats {
  double active_share = 0;  // of the pairs or triplets: those with a loss above 0
  // Mean D = ||e_i - e_j|| over the pairs, or over the positives and the negatives of the triplets.
  double mean_positive_distance = 0, mean_negative_distance = 0;
};

struct LossResult {
  Variable loss;  // scalar [], float or double
  Tensor sums;    // one DistanceSums, as bytes, where the embeddings are
  LossStats per;  // what the statistics gain by 1 in each of the sums

  // Waits for the GPU.
  LossStats stats() const;
};

// Rows i and j of the embeddings and whether they look alike.
struct LabelledPair {
  int32_t i, j;
  PairLabel label;
};

struct ContrastiveOptions {
  double margin = 1;
  bool half = false;
  Hinge hinge = Hinge::distance;
};

// Mean over the pairs; e[M, D] (kernels/contrastive.h). Error on a pair that names a row outside of e.
LossResult contrastive_loss(const Variable& e, std::span<const LabelledPair> pairs, const ContrastiveOptions& options);

// The pairs of a twin batch of 2n rows: n similar ones (i, n + i), then n dissimilar ones (i, n + p(i)) with a random
// cyclic permutation p, which leaves no i in its place. A batch of one has no dissimilar pair.
std::vector<LabelledPair> twin_pairs(int64_t n, uint64_t seed);

// Which negatives the triplets take:
//   random      for each (anchor, positive) one of another class
//   semi_hard   for each (anchor, positive) the nearest one that is farther than the positive, else the farthest one
//   batch_hard  for each anchor its farthest positive and its nearest negative
//   all         every (anchor, positive, negative)
enum class Negatives : uint8_t { random, semi_hard, batch_hard, all };

struct TripletOptions {
  double margin = 0.5;
  bool squared = false;  // compare D^2 instead of D
  Negatives negatives = Negatives::batch_hard;
  uint64_t seed = 0;  // of the random negatives
};

// Mean over the triplets; e[M, D], labels[M] any class numbers (kernels/triplet.h). An anchor without a positive or
// without a negative has no triplets. Ties go to the lowest row.
LossResult triplet_loss(const Variable& e, std::span<const int32_t> labels, const TripletOptions& options);

// Mean over both directions; e[2N, D] with partners i and N + i, used as they are (kernels/nt_xent.h). Stats: active
// are the rows whose partner is not the most similar; negative distances are sampled, one for each pair: (i, N + (i +
// 1) mod N). Error on an odd number of rows, and on a temperature that is not above 0.
LossResult nt_xent_loss(const Variable& e, double temperature);

// Barlow Twins, the sum over the cross-correlation matrix; z[2N, D] with partners i and N + i (kernels/barlow_twins.h).
// No stats. Error on an odd number of rows, and on a negative lambda.
LossResult barlow_twins_loss(const Variable& z, double lambda);

// Mean over the elements (kernels/pointwise_loss.h); targets of y's shape and type, for both cross-entropies in [0, 1].
// No stats.
LossResult bce_with_logits_loss(const Variable& logits, const Tensor& targets);
LossResult bce_loss(const Variable& probabilities, const Tensor& targets);
LossResult mse_loss(const Variable& y, const Tensor& targets);

// Mean over the rows of logits[N, C] (kernels/softmax_cross_entropy.h). Stats: active are the rows with a logit above their
// label's. Error on a label outside of [0, C).
LossResult softmax_cross_entropy_loss(const Variable& logits, std::span<const int32_t> labels);

}  // namespace lookalike

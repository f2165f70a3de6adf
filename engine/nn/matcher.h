// The probability that two images match, learned: a small network on what two embeddings differ and agree in.
#pragma once

#include "engine/nn/module.h"
#include "engine/ops/pair_features.h"

namespace lookalike {

class Matcher {
 public:
  // `layers` take pair_features(a, b, features) to one logit, [N, 1].
  Matcher(PairFeatures features, Sequential layers) : features_(features), layers_(std::move(layers)) {}
  // Rows of a and b [N,D] -> logits [N] that they match.
  Variable logits(const Variable& a, const Variable& b);
  void collect(const std::string& prefix, NetworkState& state) const { layers_.collect(prefix, state); }

 private:
  PairFeatures features_;
  Sequential layers_;
};

}  // namespace lookalike

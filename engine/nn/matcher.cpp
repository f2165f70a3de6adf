#include "engine/nn/matcher.h"

#include "engine/ops/views.h"

namespace lookalike {

Variable Matcher::logits(const Variable& a, const Variable& b) {
  const Variable y = layers_.forward(pair_features(a, b, features_), {});
  return reshape(y, {y.shape()[0]});
}

}  // namespace lookalike

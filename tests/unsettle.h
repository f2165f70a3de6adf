// A new network's state as if it had learned: biases and what a batch norm starts with at 0 or 1 are other numbers.
#pragma once

#include <cmath>

#include "models/model.h"
#include "tests/op_case.h"

namespace lookalike::testing {

inline void unsettle(const Network& network) {
  const NetworkState state = state_of(network);
  for (Parameter p : state.parameters)
    if (p.variable.shape().rank() == 1)
      for (float& x : p.variable.value().span<float>()) x += 0.1f;
  uint64_t seed = 10;
  for (Buffer b : state.buffers) {
    const Tensor noise = random_tensor(b.variable.shape(), DType::f32, seed++);
    for (int64_t i = 0; i < noise.size(); i++)
      b.variable.value().data<float>()[i] += 0.3f * std::abs(noise.data<float>()[i]);
  }
}

}  // namespace lookalike::testing

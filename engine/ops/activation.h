#pragma once

#include "engine/autograd/variable.h"
#include "kernels/activation.h"

namespace lookalike {

// Elementwise y = f(x), any shape. Definitions: kernels/activation.h.
Variable activation(const Variable& x, const Activation& f);
inline Variable relu(const Variable& x) {
  return activation(x, {ActivationKind::relu});
}
inline Variable leaky_relu(const Variable& x, double slope = 0.01) {
  return activation(x, {ActivationKind::leaky_relu, slope});
}
inline Variable relu6(const Variable& x) {
  return activation(x, {ActivationKind::relu6});
}
inline Variable sigmoid(const Variable& x) {
  return activation(x, {ActivationKind::sigmoid});
}

}  // namespace lookalike

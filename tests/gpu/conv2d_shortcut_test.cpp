// A convolution that adds a shortcut before its activation, against double on the CPU.
#include <doctest/doctest.h>

#include "engine/ops/conv2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

struct Shortcut {
  int64_t batch, size, in_c, out_c, kernel;
};

Tensor run(const Shortcut& l, const Conv2dOptions& options, bool bias, const Compute& compute) {
  // On the CPU the exact result for what the GPU is given.
  const auto make = [&](const Shape& shape, uint64_t seed, bool activation) {
    const Tensor single = random_tensor(shape, DType::f32, seed);
    const bool half = activation && compute.precision == Precision::bf16;
    const Tensor given = half ? single.to(DType::bf16).to(DType::f32) : single;
    if (compute.device == Device::cpu) return Variable(given.to(DType::f64));
    return Variable(activation ? place_input(given, compute) : given.to(compute.device));
  };
  PackedConv2d conv{.weight = make({l.out_c, l.kernel, l.kernel, l.in_c}, 1, false), .options = options};
  if (bias) conv.bias = make({l.out_c}, 2, false);
  conv.pack();
  const Variable x = make({l.batch, l.size, l.size, l.in_c}, 3, true);
  const Variable shortcut = make({l.batch, l.size, l.size, l.out_c}, 4, true);
  allow_tf32(compute.device == Device::cuda && compute.precision == Precision::tf32);
  const Tensor y = conv2d(x, conv, shortcut).value().to(Device::cpu).to(DType::f64);
  allow_tf32(false);
  return y;
}

TEST_CASE("convolutions on the GPU add a shortcut before the activation") {
  const std::pair<Precision, double> precisions[] = {
      {Precision::fp32, 1e-6}, {Precision::tf32, 1e-3}, {Precision::bf16, 1e-2}};
  // Odd channels, runs of four, a depth that is split, several tiles.
  for (const Shortcut& l :
       {Shortcut{2, 5, 7, 33, 1}, Shortcut{1, 6, 24, 40, 1}, Shortcut{1, 3, 512, 32, 1}, Shortcut{2, 12, 16, 72, 3}}) {
    for (const Activation& f : {Activation{}, Activation{ActivationKind::relu6}}) {
      for (const auto& [precision, tolerance] : precisions) {
        const Conv2dOptions options{.padding = l.kernel / 2, .activation = f};
        const bool bias = l.out_c % 8 == 0;
        CAPTURE(l.out_c);
        CAPTURE(static_cast<int>(precision));
        CHECK(relative_error(run(l, options, bias, {Device::cuda, precision}),
                             run(l, options, bias, {Device::cpu, precision})) <= tolerance);
      }
    }
  }
}

}  // namespace
}  // namespace lookalike::testing

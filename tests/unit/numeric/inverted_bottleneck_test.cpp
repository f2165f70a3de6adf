// Fused inverted bottlenecks, and convolutions side by side, against the ops that they are made of.
#include "engine/ops/inverted_bottleneck.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/ops/concat.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

PackedConv2d packed(const Shape& weight, const Conv2dOptions& options, uint64_t seed, DType type = DType::f32) {
  PackedConv2d conv{.weight = Variable(random_tensor(weight, type, seed)),
                    .bias = Variable(random_tensor({weight[0]}, type, seed + 1)),
                    .options = options,
                    .packed = {}};
  conv.pack();
  return conv;
}

struct Size {
  Shape x;
  int64_t expanded;                      // 0: none
  int64_t kernel, stride, padding, out;  // padding -1: same
};

}  // namespace

TEST_CASE("an inverted bottleneck is its three convolutions, on any number of threads") {
  const Activation relu6{ActivationKind::relu6}, leaky{ActivationKind::leaky_relu, 0.25}, none;
  const int before = omp_get_max_threads();
  for (const Size& size : {Size{{1, 7, 7, 20}, 100, 5, 1, -1, 24}, Size{{2, 14, 14, 16}, 96, 3, 1, -1, 16},
                           Size{{3, 17, 13, 5}, 48, 5, 2, -1, 40}, Size{{1, 61, 70, 8}, 144, 3, 2, -1, 24},
                           Size{{1, 60, 58, 8}, 144, 3, 1, 1, 8}, Size{{2, 33, 40, 32}, 0, 3, 1, -1, 16},
                           Size{{1, 2, 2, 19}, 0, 3, 1, 2, 33}, Size{{2, 9, 8, 7}, 23, 4, 3, 2, 6},
                           Size{{1, 5, 400, 3}, 40, 3, 1, 0, 8}}) {
    for (const auto& [first, second, third] : {std::tuple(relu6, relu6, none), std::tuple(leaky, none, relu6)}) {
      const int64_t channels = size.expanded ? size.expanded : size.x[3];
      CAPTURE(size.x.to_string() + " " + std::to_string(channels) + " kernel " + std::to_string(size.kernel));
      const PackedConv2d expand = packed({channels, 1, 1, size.x[3]}, {.activation = first}, 1);
      const PackedConv2d project = packed({size.out, 1, 1, channels}, {.activation = third}, 3);
      const PackedConv2d* before_it = size.expanded ? &expand : nullptr;
      const DepthwiseConv2dOptions options{.stride = size.stride,
                                           .padding = std::max<int64_t>(size.padding, 0),
                                           .same = size.padding < 0,
                                           .activation = second};
      const Variable x(random_tensor(size.x, DType::f32, 5));
      const Variable w(random_tensor({size.kernel, size.kernel, channels}, DType::f32, 6));
      const Variable bias(random_tensor({channels}, DType::f32, 7));
      const auto parts = [&](const Variable& shortcut) {
        return conv2d(depthwise_conv2d(before_it ? conv2d(x, expand) : x, w, bias, options), project, shortcut).value();
      };
      const Variable shortcut(random_tensor(parts({}).shape(), DType::f32, 8));
      for (const Variable& plus : {Variable(), shortcut}) {
        Tensor one;
        for (const int threads : {1, 2, 3, 5}) {
          omp_set_num_threads(threads);
          const Tensor y = inverted_bottleneck(x, before_it, w, bias, options, project, plus).value();
          if (threads == 1) one = y;
          CHECK(same_bits(y, one));
        }
        CHECK(relative_error(one, parts(plus)) <= 1e-6);
      }
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("an inverted bottleneck in double, and without a bias") {
  const DType type = DType::f64;
  const Variable x(random_tensor({2, 6, 5, 3}, type, 1)), w(random_tensor({3, 3, 8}, type, 2));
  const PackedConv2d expand = packed({8, 1, 1, 3}, {}, 3, type), project = packed({4, 1, 1, 8}, {}, 5, type);
  const DepthwiseConv2dOptions same{.same = true};
  CHECK(same_bits(inverted_bottleneck(x, &expand, w, {}, same, project).value(),
                  conv2d(depthwise_conv2d(conv2d(x, expand), w, {}, same), project).value()));
}

TEST_CASE("an inverted bottleneck refuses what does not fit") {
  const Variable x(random_tensor({1, 6, 6, 3}, DType::f32, 1)), w(random_tensor({3, 3, 8}, DType::f32, 2));
  const PackedConv2d expand = packed({8, 1, 1, 3}, {}, 3), project = packed({4, 1, 1, 8}, {}, 5);
  const PackedConv2d wide = packed({8, 3, 3, 3}, {}, 7), other = packed({9, 1, 1, 3}, {}, 9);
  CHECK_THROWS_AS(inverted_bottleneck(x, &wide, w, {}, {}, project), Error);
  CHECK_THROWS_AS(inverted_bottleneck(x, &other, w, {}, {}, project), Error);
  CHECK_THROWS_AS(inverted_bottleneck(x, nullptr, w, {}, {}, project), Error);
  CHECK_THROWS_AS(inverted_bottleneck(x, &expand, w, {}, {}, expand), Error);
  CHECK_THROWS_AS(inverted_bottleneck(x, &expand, w, {}, {}, project, x), Error);
}

TEST_CASE("convolutions side by side are their results side by side, on any number of threads") {
  const int before = omp_get_max_threads();
  for (const ActivationKind kind : {ActivationKind::relu, ActivationKind::sigmoid}) {
    const PackedConv2d a = packed({70, 1, 1, 20}, {.activation = {kind}}, 1);
    const PackedConv2d b = packed({33, 3, 3, 20}, {.padding = 1, .activation = {kind}}, 3);
    for (const DType type : {DType::f32, DType::f64}) {
      if (type == DType::f64 && kind == ActivationKind::sigmoid) continue;
      const PackedConv2d c = type == DType::f32 ? a : packed({70, 1, 1, 20}, a.options, 1, type);
      const PackedConv2d d = type == DType::f32 ? b : packed({33, 3, 3, 20}, b.options, 3, type);
      for (const int64_t batch : {1, 2}) {
        const Variable x(random_tensor({batch, 13, 9, 20}, type, 5));
        omp_set_num_threads(1);
        const Tensor want = concat_channels(conv2d(x, c), conv2d(x, d)).value();
        for (const int threads : {1, 2, 3, 5}) {
          omp_set_num_threads(threads);
          CHECK(same_bits(conv2d_side_by_side(x, c, d).value(), want));
          CHECK(same_bits(conv2d_side_by_side(x, d, c).value(), concat_channels(conv2d(x, d), conv2d(x, c)).value()));
        }
      }
    }
  }
  omp_set_num_threads(before);
  const Variable x(random_tensor({1, 9, 9, 4}, DType::f32, 1));
  CHECK_THROWS_AS(conv2d_side_by_side(x, packed({8, 3, 3, 4}, {}, 1), packed({8, 1, 1, 4}, {}, 3)), Error);
}

TEST_CASE("not a number stays so behind an activation") {
  for (const ActivationKind kind :
       {ActivationKind::none, ActivationKind::relu, ActivationKind::leaky_relu, ActivationKind::relu6}) {
    const PackedConv2d conv = packed({40, 1, 1, 4}, {.activation = {kind, 0.25}}, 1);
    Tensor x = random_tensor({1, 3, 3, 4}, DType::f32, 3);
    x.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    const Tensor y = conv2d(Variable(x), conv).value();
    for (int64_t k = 0; k < 40; k++) CHECK(std::isnan(y.data<float>()[k]));
    const Variable w(random_tensor({3, 3, 4}, DType::f32, 5));
    const Tensor z = depthwise_conv2d(Variable(x), w, {}, {.same = true, .activation = {kind, 0.25}}).value();
    CHECK(std::isnan(z.data<float>()[0]));
  }
}

}  // namespace lookalike::testing

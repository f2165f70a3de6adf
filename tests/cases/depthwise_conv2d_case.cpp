#include "engine/ops/activation.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/depthwise_conv2d.h"
#include "engine/ops/views.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

struct Layer {
  Shape x;
  int64_t kernel_h, kernel_w;
  DepthwiseConv2dOptions options;
  bool bias = true;
};

OpCase make_case(const Layer& l) {
  const auto& [stride, padding, same, f] = l.options;
  OpCase c{.name = fmt::format("depthwise_conv2d {}x{} of {} stride {} {} {}{}", l.kernel_h, l.kernel_w,
                               l.x.to_string(), stride, same ? "same" : fmt::format("padding {}", padding),
                               name_of(f.kind), l.bias ? "" : " no bias"),
           .inputs = {l.x, {l.kernel_h, l.kernel_w, l.x[3]}},
           .kinks = has_kink(f.kind)};
  if (l.bias) c.inputs.push_back({l.x[3]});
  c.op = [options = l.options](auto& in) {
    return depthwise_conv2d(in[0], in[1], in.size() > 2 ? in[2] : Variable(), options);
  };
  if (l.x[3] == 1 && !same) {  // one channel: the convolution
    c.same_as = [options = l.options, kernel = l.kernel_h, kernel_w = l.kernel_w](auto& in) {
      return conv2d(in[0], reshape(in[1], {1, kernel, kernel_w, 1}), in.size() > 2 ? in[2] : Variable(),
                    {.stride = options.stride, .padding = options.padding, .activation = options.activation});
    };
  }
  return c;
}

OpCase make_bench(const Shape& x, int64_t kernel, int64_t stride) {
  OpCase c = make_case({x, kernel, kernel, {.stride = stride, .same = true}, false});
  c.bench = true;
  const double in = static_cast<double>(x.size()), out = in / static_cast<double>(stride * stride);
  c.flops = 3 * 2. * static_cast<double>(kernel * kernel) * out;
  c.bytes = 4 * (3 * in + 3 * out);
  return c;
}

const RegisterOpCases cases([](std::vector<OpCase>& add) {
  const Activation leaky{ActivationKind::leaky_relu, 0.1}, relu6{ActivationKind::relu6},
      sigmoid{ActivationKind::sigmoid};
  for (const Layer& layer : std::initializer_list<Layer>{
           {{0, 4, 4, 3}, 3, 3, {.padding = 1}},
           {{1, 1, 1, 1}, 1, 1, {}},
           {{2, 5, 17, 1}, 3, 3, {.padding = 1, .activation = leaky}, false},
           {{1, 9, 8, 1}, 5, 2, {.stride = 3, .padding = 4}},
           {{1, 7, 6, 33}, 3, 3, {.same = true, .activation = relu6}},
           {{2, 8, 7, 32}, 3, 3, {.stride = 2, .same = true}, false},
           {{1, 6, 9, 64}, 5, 5, {.same = true}, false},
           {{1, 7, 7, 80}, 5, 5, {.stride = 2, .same = true, .activation = relu6}},
           {{1, 3, 2, 31}, 5, 5, {.stride = 2, .same = true}},
           {{2, 10, 4, 5}, 2, 3, {.stride = 3, .padding = 1, .activation = sigmoid}},
           {{1, 11, 6, 72}, 1, 3, {.stride = 4}},
           {{1, 4, 30, 16}, 3, 3, {.padding = 5, .activation = leaky}},
       })
    add.push_back(make_case(layer));
  add.push_back(make_bench({16, 112, 112, 96}, 3, 2));
  add.push_back(make_bench({32, 28, 28, 240}, 5, 1));
  add.push_back(make_bench({32, 14, 14, 480}, 3, 1));
});

}  // namespace
}  // namespace lookalike::testing

#include "engine/ops/activation.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/pool2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

struct Layer {
  int64_t batch, height, width, in_c, out_c, kernel_h, kernel_w;
  Conv2dOptions options;
  bool bias = true;
};

Variable bias_of(const std::vector<Variable>& in) {
  return in.size() > 2 ? in[2] : Variable();
}

OpCase make_case(const Layer& l) {
  OpCase c{.name = fmt::format("conv2d {}->{} {}x{} of {}x{}x{} stride {} padding {} {}{}{}", l.in_c, l.out_c,
                               l.kernel_h, l.kernel_w, l.batch, l.height, l.width, l.options.stride,
                               l.options.same ? "same" : std::to_string(l.options.padding),
                               name_of(l.options.activation.kind), l.options.max_pool == 2 ? " pool" : "",
                               l.bias ? "" : " no bias"),
           .inputs = {{l.batch, l.height, l.width, l.in_c}, {l.out_c, l.kernel_h, l.kernel_w, l.in_c}}};
  if (l.bias) c.inputs.push_back({l.out_c});
  c.kinks = l.options.max_pool == 2 || has_kink(l.options.activation.kind);
  c.op = [options = l.options](auto& in) { return conv2d(in[0], in[1], bias_of(in), options); };
  c.same_as = [options = l.options](auto& in) {
    Conv2dOptions plain = options;
    plain.activation = {}, plain.max_pool = 1;
    const Variable y = activation(conv2d(in[0], in[1], bias_of(in), plain), options.activation);
    return options.max_pool == 2 ? max_pool2d(y, 2) : y;
  };
  return c;
}

OpCase make_bench(const Layer& l, bool first = false) {
  OpCase c = make_case(l);
  c.bench = true;
  c.tolerance = 1e-2;  // of so many values some lie so near a kink or a tie that float takes the other side
  if (first) c.differentiable = {false, true, true};
  const int64_t out_h = (l.height + 2 * l.options.padding - l.kernel_h) / l.options.stride + 1;
  const int64_t out_w = (l.width + 2 * l.options.padding - l.kernel_w) / l.options.stride + 1;
  c.flops = 2. * (first ? 2 : 3) * static_cast<double>(l.batch * out_h * out_w * l.out_c) *
            static_cast<double>(l.kernel_h * l.kernel_w * l.in_c);
  return c;
}

const RegisterOpCases cases([](std::vector<OpCase>& add) {
  const Activation none, relu{ActivationKind::relu}, leaky{ActivationKind::leaky_relu, 0.1},
      relu6{ActivationKind::relu6}, sigmoid{ActivationKind::sigmoid};
  for (const Layer& layer : std::initializer_list<Layer>{
           {0, 4, 4, 3, 5, 3, 3, {.padding = 1, .activation = relu, .max_pool = 2}},
           {1, 1, 1, 1, 1, 1, 1, {}},
           {2, 5, 17, 1, 33, 3, 3, {.padding = 1, .activation = leaky}},
           {1, 7, 34, 3, 31, 5, 5, {.padding = 2, .activation = relu, .max_pool = 2}},
           {3, 9, 7, 5, 64, 3, 3, {.padding = 1, .activation = leaky, .max_pool = 2}},
           {1, 6, 16, 33, 33, 3, 3, {.padding = 1}, false},
           {2, 4, 4, 64, 64, 3, 3, {.padding = 1, .activation = relu, .max_pool = 2}},
           {1, 5, 5, 32, 40, 3, 3, {.padding = 1, .activation = leaky, .max_pool = 2}, false},
           {1, 6, 6, 16, 7, 5, 5, {.padding = 2, .activation = none, .max_pool = 2}},
           {2, 6, 9, 1, 33, 3, 3, {.padding = 1, .activation = relu, .max_pool = 2}},
           {1, 5, 6, 17, 3, 6, 6, {.padding = 3, .activation = leaky, .max_pool = 2}},
           {3, 8, 9, 5, 31, 2, 2, {.stride = 2, .activation = sigmoid}},
           {1, 11, 13, 3, 64, 3, 3, {.stride = 2, .padding = 1, .activation = relu}},
           {2, 10, 11, 33, 1, 5, 2, {.stride = 3, .padding = 4, .activation = leaky}},
           {1, 12, 8, 5, 1, 2, 3, {.stride = 2, .padding = 1, .activation = leaky, .max_pool = 2}},
           {1, 3, 4, 3, 33, 2, 2, {.padding = 5, .activation = leaky, .max_pool = 2}},
           {2, 5, 7, 33, 31, 1, 1, {.activation = relu}},
           {1, 7, 7, 3, 64, 1, 1, {.stride = 2}, false},
           {1, 4, 3, 5, 64, 1, 1, {.padding = 2, .activation = sigmoid}},
           {1, 30, 20, 33, 31, 1, 1, {}},
           {2, 6, 5, 33, 40, 1, 1, {.activation = relu6}},
           {1, 9, 8, 16, 24, 3, 3, {.stride = 2, .padding = 1, .activation = relu6}, false},
           {2, 8, 9, 3, 32, 3, 3, {.stride = 2, .same = true, .activation = relu6}},
       })
    add.push_back(make_case(layer));

  const Conv2dOptions same{.padding = 1};
  const Conv2dOptions pooled{.padding = 1, .activation = relu, .max_pool = 2};
  add.push_back(make_bench({64, 64, 64, 3, 64, 5, 5, {.padding = 2, .activation = relu, .max_pool = 2}}, true));
  add.push_back(make_bench({64, 32, 32, 64, 128, 3, 3, pooled}));
  add.push_back(make_bench({64, 64, 64, 32, 32, 3, 3, same, false}));
  add.push_back(make_bench({64, 32, 32, 64, 64, 3, 3, same, false}));
  add.push_back(make_bench({64, 16, 16, 128, 128, 3, 3, same, false}));
  add.push_back(make_bench({8, 56, 56, 64, 256, 1, 1, {}}));
  add.push_back(make_bench({16, 14, 14, 256, 256, 3, 3, same}));
});

}  // namespace
}  // namespace lookalike::testing

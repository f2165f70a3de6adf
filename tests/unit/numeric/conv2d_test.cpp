// Convolution and linear layers at sizes that fill several bands, groups and panels, where the op cases are too small.
#include "engine/ops/conv2d.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/ops/conv_transpose2d.h"
#include "engine/ops/linear.h"
#include "kernels/conv2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Quarters: every sum is exact in float, whatever its order, so float and double agree about each maximum and kink. Not so what
// Winograd makes of them.
void round_to_quarters(std::vector<Tensor>& inputs) {
  for (Tensor& input : inputs)
    for (double& x : input.span<double>()) x = std::round(4 * x) / 4;
}

std::vector<OpCase> large_cases() {
  const Activation relu{ActivationKind::relu}, leaky{ActivationKind::leaky_relu, 0.25};
  std::vector<OpCase> cases;
  const auto add_conv = [&](const Shape& x, const Shape& w, const Conv2dOptions& options) {
    cases.push_back({.name = fmt::format("conv2d {} {} pool {}", x.to_string(), w.to_string(), options.max_pool),
                     .inputs = {x, w, {w[0]}},
                     .op = [options](auto& in) { return conv2d(in[0], in[1], in[2], options); },
                     .prepare = round_to_quarters});
  };
  add_conv({2, 41, 44, 33}, {70, 3, 3, 33}, {.padding = 1, .activation = leaky});
  add_conv({2, 45, 39, 36}, {150, 3, 3, 36}, {.padding = 1, .activation = relu, .max_pool = 2});
  add_conv({3, 64, 64, 3}, {40, 5, 5, 3}, {.padding = 2, .activation = relu, .max_pool = 2});
  add_conv({2, 90, 62, 16}, {16, 3, 3, 16}, {.stride = 2, .padding = 1, .activation = leaky, .max_pool = 2});
  add_conv({2, 91, 80, 33}, {36, 4, 3, 33}, {.stride = 3, .padding = 2, .activation = leaky});
  add_conv({2, 8, 8, 130}, {270, 3, 3, 130}, {.padding = 1});
  add_conv({5, 7, 7, 40}, {70, 1, 1, 40}, {.activation = relu});
  add_conv({1, 13, 13, 40}, {48, 1, 1, 40}, {.activation = relu});
  add_conv({1, 27, 27, 20}, {40, 3, 3, 20}, {.padding = 1, .activation = relu});
  // Few outputs, which go along the window; and gradients that are read where they lie.
  add_conv({2, 37, 43, 17}, {1, 3, 3, 17}, {.padding = 1, .activation = leaky});
  add_conv({2, 41, 70, 16}, {3, 3, 3, 16}, {.stride = 2});
  add_conv({1, 22, 26, 70}, {2, 1, 1, 70}, {.activation = relu, .max_pool = 2});
  add_conv({2, 12, 5, 40}, {34, 2, 3, 40}, {.activation = relu});
  add_conv({1, 6, 20, 520}, {2, 3, 3, 520}, {.padding = 1});
  add_conv({2, 50, 33, 20}, {16, 3, 3, 20}, {.stride = 2});
  add_conv({2, 50, 33, 20}, {48, 3, 3, 20}, {.stride = 2, .padding = 1});
  add_conv({1, 7, 7, 40}, {2, 1, 1, 40}, {.activation = relu});
  // Pixels at large powers of two; with a stride most phases of the gradient have no tap.
  add_conv({1, 9, 15, 1024}, {70, 1, 1, 1024}, {.activation = leaky});
  add_conv({2, 10, 10, 512}, {1024, 1, 1, 512}, {.stride = 2});
  add_conv({1, 2, 2, 64}, {1024, 1, 1, 64}, {.stride = 2});
  add_conv({1, 2, 2, 64}, {1024, 1, 1, 64}, {.stride = 2, .padding = 2});
  for (const ConvTranspose2dOptions& options :
       {ConvTranspose2dOptions{.stride = 2, .output_padding = -1, .activation = leaky},
        ConvTranspose2dOptions{.stride = 3, .padding = 1, .output_padding = 2, .activation = relu}})
    cases.push_back({.name = fmt::format("conv_transpose2d stride {}", options.stride),
                     .inputs = {{2, 60, 62, 33}, {33, 3, 3, 40}, {40}},
                     .op = [options](auto& in) { return conv_transpose2d(in[0], in[1], in[2], options); },
                     .prepare = round_to_quarters});
  const auto add_linear = [&](int64_t batch, int64_t in, int64_t out) {
    cases.push_back({.name = fmt::format("linear {} {}->{}", batch, in, out),
                     .inputs = {{batch, in}, {out, in}, {out}},
                     .op = [relu](auto& x) { return linear(x[0], x[1], x[2], relu); },
                     .prepare = round_to_quarters});
  };
  add_linear(33, 5000, 70);
  add_linear(300, 260, 520);
  return cases;
}

}  // namespace

TEST_CASE("convolution and linear layers in float agree with double at large sizes") {
  choose_conv(ConvBackend::exact);
  for (const OpCase& c : large_cases()) {
    CAPTURE(c.name);
    CHECK(float_error(c) <= 2e-6);
  }
  choose_conv(ConvBackend::native);
}

TEST_CASE("what is added to few outputs comes before the activation") {
  const Conv2dParams p{.batch = 2,
                       .in_h = 9,
                       .in_w = 21,
                       .in_c = 18,
                       .out_c = 2,
                       .kernel_h = 3,
                       .kernel_w = 3,
                       .activation = {ActivationKind::relu}};
  std::vector<OpCase> cases(1);
  cases[0].inputs = {{2, 9, 21, 18}, {2, 3, 3, 18}, {2}, {2, 7, 19, 2}};
  const std::vector<Tensor> inputs = make_inputs(cases[0]);
  const auto run = [&]<class T>(T) {
    std::vector<Tensor> in;
    for (const Tensor& input : inputs) in.push_back(input.to(dtype_of<T>()));
    std::vector<T> packed(cpu::conv2d_packed_size<T>(p)), y(in[3].size());
    std::vector<T> workspace(cpu::conv2d_workspace<T>(p).forward);
    cpu::conv2d_pack(p, in[1].template data<T>(), in[2].template data<T>(), packed.data());
    cpu::conv2d_forward_packed<T>(p, in[0].template data<T>(), packed.data(), in[3].template data<T>(), y.data(),
                                  nullptr, workspace.data());
    return y;
  };
  const std::vector<float> y = run(0.0f);
  const std::vector<double> expected = run(0.0);
  for (size_t i = 0; i < y.size(); i++) CHECK(std::abs(y[i] - expected[i]) <= 1e-5);
  CHECK(std::ranges::count(expected, 0.0) > 10);
}

TEST_CASE("convolution and linear layers give the same bits on any number of threads") {
  const int before = omp_get_max_threads();
  for (OpCase& c : large_cases()) {
    CAPTURE(c.name);
    c.prepare = nullptr;  // not exact: the order of the sums shows
    const auto inputs = make_inputs(c);
    omp_set_num_threads(1);
    const OpRun one = run_op(c, c.op, inputs, DType::f32);
    for (const int threads : {2, 3, 5}) {
      omp_set_num_threads(threads);
      const OpRun many = run_op(c, c.op, inputs, DType::f32);
      CHECK(same_bits(one.output, many.output));
      for (size_t k = 0; k < one.grads.size(); k++) CHECK(same_bits(one.grads[k], many.grads[k]));
    }
  }
  omp_set_num_threads(before);
}

}  // namespace lookalike::testing

// Winograd's convolution against the plain loops in double: every pass, edge and epilogue, on any
// number of threads.
#include "kernels/conv2d_winograd.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <omp.h>

#include "engine/nn/module.h"
#include "engine/ops/conv2d.h"
#include "kernels/conv2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

template <class T>
struct Layer {
  std::vector<T> x, w, bias, dy, y, dx, dw, dbias, packed_y;
  std::vector<uint8_t> argmax, packed_argmax;
};

std::vector<double> normal(int64_t n, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution;
  std::vector<double> values(n);
  for (double& value : values) value = distribution(random);
  return values;
}

Conv2dParams params_of(int64_t batch, int64_t h, int64_t w, int64_t in_c, int64_t out_c) {
  Conv2dParams p{.batch = batch,
                 .in_h = h,
                 .in_w = w,
                 .in_c = in_c,
                 .out_c = out_c,
                 .kernel_h = 3,
                 .kernel_w = 3};
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = 1;
  p.algorithm = ConvAlgorithm::winograd;
  return p;
}

Layer<double> reference_of(const Conv2dParams& p) {
  const int64_t outputs = p.batch * p.y_h() * p.y_w() * p.out_c;
  Layer<double> l{.x = normal(p.batch * p.in_h * p.in_w * p.in_c, 1),
                  .w = normal(9 * p.in_c * p.out_c, 2),
                  .bias = normal(p.out_c, 3),
                  .dy = normal(outputs, 4),
                  .y = std::vector<double>(outputs),
                  .argmax = std::vector<uint8_t>(outputs)};
  l.dx.resize(l.x.size()), l.dw.resize(l.w.size()), l.dbias.resize(p.out_c);
  cpu::conv2d_forward<double>(p, l.x.data(), l.w.data(), l.bias.data(), l.y.data(), l.argmax.data(),
                              nullptr);
  cpu::conv2d_backward_data<double>(p, l.dy.data(), l.y.data(), l.argmax.data(), l.w.data(),
                                    l.dx.data(), nullptr);
  cpu::conv2d_backward_weights<double>(p, l.x.data(), l.dy.data(), l.y.data(), l.argmax.data(),
                                       l.dw.data(), l.dbias.data(), nullptr);
  l.packed_y = l.y;
  return l;
}

// Backward from the reference's outputs: rounding does not move them across a kink or to another
// maximum. Outputs and workspace begin as NaN.
Layer<float> run(const Conv2dParams& p, const Layer<double>& reference) {
  const auto narrow = [](const std::vector<double>& from) {
    return std::vector<float>(from.begin(), from.end());
  };
  const auto unset = [](const std::vector<double>& like) {
    return std::vector<float>(like.size(), NAN);
  };
  const std::vector<uint8_t> places(reference.y.size(), 255);
  Layer<float> l{.x = narrow(reference.x),
                 .w = narrow(reference.w),
                 .bias = narrow(reference.bias),
                 .dy = narrow(reference.dy),
                 .y = unset(reference.y),
                 .dx = unset(reference.dx),
                 .dw = unset(reference.dw),
                 .dbias = unset(reference.dbias),
                 .packed_y = unset(reference.y),
                 .argmax = places,
                 .packed_argmax = places};
  const std::vector<float> y = narrow(reference.y);
  const Conv2dWorkspace floats = cpu::conv2d_workspace<float>(p);
  const auto work = [](int64_t n) { return std::vector<float>(n, NAN); };
  cpu::conv2d_forward<float>(p, l.x.data(), l.w.data(), l.bias.data(), l.y.data(), l.argmax.data(),
                             work(floats.forward).data());
  std::vector<float> packed(cpu::conv2d_packed_size<float>(p));
  cpu::conv2d_pack<float>(p, l.w.data(), l.bias.data(), packed.data());
  cpu::conv2d_forward_packed<float>(p, l.x.data(), packed.data(), nullptr, l.packed_y.data(),
                                    l.packed_argmax.data(), work(floats.forward).data());
  cpu::conv2d_backward_data<float>(p, l.dy.data(), y.data(), reference.argmax.data(), l.w.data(),
                                   l.dx.data(), work(floats.backward_data).data());
  cpu::conv2d_backward_weights<float>(p, l.x.data(), l.dy.data(), y.data(), reference.argmax.data(),
                                      l.dw.data(), l.dbias.data(),
                                      work(floats.backward_weights).data());
  return l;
}

double error(const std::vector<float>& got, const std::vector<double>& want) {
  double difference = 0, norm = std::numeric_limits<double>::min();
  for (size_t i = 0; i < got.size(); i++)
    difference += (got[i] - want[i]) * (got[i] - want[i]), norm += want[i] * want[i];
  return std::sqrt(difference / norm);
}

std::vector<Conv2dParams> layers() {
  std::vector<Conv2dParams> result;
  const auto add = [&](Conv2dParams p, ActivationKind f, int64_t pool = 1, int64_t padding = 1) {
    p.activation = {f, 0.1}, p.pool = pool;
    p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = padding;
    result.push_back(p);
  };
  add(params_of(2, 8, 8, 32, 32), ActivationKind::none);
  add(params_of(3, 7, 9, 16, 40), ActivationKind::leaky_relu);
  add(params_of(2, 14, 14, 48, 33), ActivationKind::relu, 2);
  add(params_of(1, 5, 6, 17, 8), ActivationKind::relu6, 1, 0);
  add(params_of(2, 6, 6, 3, 64), ActivationKind::sigmoid, 1, 2);
  add(params_of(3, 13, 11, 64, 64), ActivationKind::leaky_relu, 2);
  add(params_of(2, 9, 9, 20, 30), ActivationKind::relu, 2, 2);
  add(params_of(2, 5, 5, 1, 1), ActivationKind::leaky_relu, 2);
  add(params_of(40, 1, 1, 18, 5), ActivationKind::relu);
  // Weights that are transformed block by block.
  add(params_of(1, 7, 6, 390, 400), ActivationKind::relu, 2);
  add(params_of(9, 16, 16, 130, 64), ActivationKind::leaky_relu, 2);
  add(params_of(0, 8, 8, 16, 16), ActivationKind::none);
  add(params_of(0, 4, 4, 390, 400), ActivationKind::relu, 2);
  add(params_of(2, 3, 4, 18, 20), ActivationKind::leaky_relu, 2, 2);
  for (const int64_t pool : {1, 2}) {
    add(params_of(2, 11, 6, 24, 24), ActivationKind::leaky_relu, pool);
    result.back().pad_bottom = 0, result.back().pad_left = 2;
  }
  return result;
}

std::string name_of(const Conv2dParams& p) {
  return fmt::format("{} of {}x{} {}->{} pool {}", p.batch, p.in_h, p.in_w, p.in_c, p.out_c,
                     p.pool);
}

}  // namespace

TEST_CASE("Winograd's convolution agrees with double") {
  for (const Conv2dParams& p : layers()) {
    CAPTURE(name_of(p));
    const Layer<double> want = reference_of(p);
    const Layer<float> got = run(p, want);
    CHECK(error(got.y, want.y) < 2e-6);
    CHECK(error(got.packed_y, want.y) < 2e-6);
    CHECK(error(got.dx, want.dx) < 3e-6);
    CHECK(error(got.dw, want.dw) < 2e-6);
    CHECK(error(got.dbias, want.dbias) < 1e-6);
    int64_t differ = 0;  // where two maxima are nearly equal
    for (size_t i = 0; i < want.y.size() && p.pool == 2; i++)
      differ += (got.argmax[i] != want.argmax[i]) + (got.packed_argmax[i] != want.argmax[i]);
    CHECK(differ <= 1e-4 * static_cast<double>(want.y.size()));
  }
}

TEST_CASE("Winograd's convolution has the same bits on any number of threads") {
  const int before = omp_get_max_threads();
  for (const Conv2dParams& p : layers()) {
    CAPTURE(name_of(p));
    const Layer<double> reference = reference_of(p);
    omp_set_num_threads(1);
    const Layer<float> one = run(p, reference);
    for (const int threads : {2, 3, 5}) {
      omp_set_num_threads(threads);
      const Layer<float> many = run(p, reference);
      CHECK(many.y == one.y);
      CHECK(many.packed_y == one.packed_y);
      CHECK(many.dx == one.dx);
      CHECK(many.dw == one.dw);
      CHECK(many.dbias == one.dbias);
      CHECK(many.argmax == one.argmax);
      CHECK(many.packed_argmax == one.packed_argmax);
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("a transposed convolution by Winograd, with bias and activation") {
  for (const ActivationKind kind : {ActivationKind::leaky_relu, ActivationKind::relu6}) {
    const Conv2dParams p = params_of(2, 9, 10, 40, 33);
    const Activation f{kind, 0.1};
    const Layer<double> want = reference_of(p);  // whose output gradient is what goes in
    const std::vector<double> bias = normal(p.in_c, 5);
    std::vector<double> x(want.x.size());
    cpu::conv_transpose2d_forward<double>(p, f, want.dy.data(), want.w.data(), bias.data(),
                                          x.data(), nullptr);
    const auto narrow = [](const std::vector<double>& from) {
      return std::vector<float>(from.begin(), from.end());
    };
    std::vector<float> got(x.size(), NAN), work(cpu::conv2d_workspace<float>(p).backward_data);
    cpu::conv_transpose2d_forward<float>(p, f, narrow(want.dy).data(), narrow(want.w).data(),
                                         narrow(bias).data(), got.data(), work.data());
    CHECK(error(got, x) < 2e-6);
  }
}

TEST_CASE("what is added before the activation, and a result among the channels of another's") {
  const Conv2dParams p = params_of(2, 9, 11, 24, 40);
  const Layer<double> reference = reference_of(p);
  const Layer<float> plain = run(p, reference);
  Conv2dParams relu = p;
  relu.activation = {ActivationKind::relu};
  std::vector<float> packed(cpu::conv2d_packed_size<float>(p));
  cpu::conv2d_pack<float>(p, plain.w.data(), plain.bias.data(), packed.data());
  const std::vector<float> plus(reference.dy.begin(), reference.dy.end());
  std::vector<float> work(cpu::conv2d_workspace<float>(p).forward), y(plus.size());
  cpu::conv2d_forward_packed<float>(relu, plain.x.data(), packed.data(), plus.data(), y.data(),
                                    nullptr, work.data());
  int64_t wrong = 0;
  for (size_t i = 0; i < y.size(); i++) wrong += y[i] != std::max(0.0f, plain.y[i] + plus[i]);
  CHECK(wrong == 0);

  // One of 1x1 beside that of 3x3, before it and behind it.
  Conv2dParams one = p;
  one.kernel_h = one.kernel_w = 1, one.out_c = 56;
  one.pad_top = one.pad_left = one.pad_bottom = one.pad_right = 0;
  const std::vector<double> w = normal(one.in_c * one.out_c, 6), bias = normal(one.out_c, 7);
  const std::vector<float> small_w(w.begin(), w.end()), small_bias(bias.begin(), bias.end());
  std::vector<float> small(cpu::conv2d_packed_size<float>(one));
  cpu::conv2d_pack<float>(one, small_w.data(), small_bias.data(), small.data());
  const int64_t pixels = p.batch * p.in_h * p.in_w, channels = p.out_c + one.out_c;
  work.resize(std::max<size_t>(work.size(), cpu::conv2d_workspace<float>(one).forward));
  std::vector<float> small_y(pixels * one.out_c), wide(pixels * channels);
  cpu::conv2d_forward_packed<float>(one, plain.x.data(), small.data(), nullptr, small_y.data(),
                                    nullptr, work.data());
  for (const bool large_first : {true, false}) {
    if (large_first)
      cpu::conv2d_forward_side_by_side<float>(p, packed.data(), one, small.data(), plain.x.data(),
                                              wide.data(), work.data());
    else
      cpu::conv2d_forward_side_by_side<float>(one, small.data(), p, packed.data(), plain.x.data(),
                                              wide.data(), work.data());
    wrong = 0;
    for (int64_t i = 0; i < pixels; i++) {
      const float* large = wide.data() + i * channels + (large_first ? 0 : one.out_c);
      const float* other = wide.data() + i * channels + (large_first ? p.out_c : 0);
      wrong += !std::equal(large, large + p.out_c, plain.y.data() + i * p.out_c);
      wrong += !std::equal(other, other + one.out_c, small_y.data() + i * one.out_c);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("large layers take Winograd unless convolutions are to be exact") {
  Conv2dParams p = params_of(8, 32, 32, 64, 64);
  for (const ConvAlgorithm algorithm : {ConvAlgorithm::measured, ConvAlgorithm::direct}) {
    p.algorithm = algorithm;
    for (const auto pass :
         {cpu::ConvPass::forward, cpu::ConvPass::backward_data, cpu::ConvPass::backward_weights})
      CHECK(cpu::winograd_pays(p, pass) == (algorithm == ConvAlgorithm::measured));
  }
  p.algorithm = ConvAlgorithm::measured, p.stride = 2;
  CHECK(!cpu::winograd_pays(p, cpu::ConvPass::forward));

  PackedConv2d conv{.weight = Variable(random_tensor({64, 3, 3, 64}, DType::f32, 2)),
                    .options = {.padding = 1}};
  conv.pack();
  const auto result_by = [&](ConvBackend backend) {
    choose_conv(backend);
    const Tensor y = conv2d(Variable(random_tensor({1, 12, 12, 64}, DType::f32, 1)), conv).value();
    choose_conv(ConvBackend::native);
    return y;
  };
  const Tensor fast = result_by(ConvBackend::native), exact = result_by(ConvBackend::exact);
  CHECK(!same_bits(fast, exact));
  CHECK(relative_error(fast, exact) < 2e-6);

  Sequential nothing;
  prepare_network(nothing, parse_compute("cpu", "fp32", "exact"));
  CHECK(chosen_conv() == ConvBackend::exact);
  prepare_network(nothing, parse_compute("cpu", "fp32"));
  CHECK(chosen_conv() == ConvBackend::native);
}

}  // namespace lookalike::testing

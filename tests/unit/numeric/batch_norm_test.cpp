// What the op cases do not see of batch norm: running averages, extreme inputs, independence of threads.
#include "engine/ops/batch_norm.h"

#include <cmath>

#include <doctest/doctest.h>
#include <omp.h>

#include "tests/op_case.h"

namespace lookalike {
namespace {

struct Layer {
  Variable gamma, beta;
  Tensor mean, variance;

  explicit Layer(int64_t channels, DType dtype = DType::f32)
      : gamma(Tensor({channels}, dtype), true),
        beta(Tensor::zeros({channels}, dtype), true),
        mean(Tensor::zeros({channels}, dtype)),
        variance({channels}, dtype) {
    gamma.value().fill(1), variance.fill(1);
  }
  Variable operator()(const Variable& x, const BatchNormOptions& options = {}) {
    return batch_norm(x, gamma, beta, mean, variance, options);
  }
};

}  // namespace

TEST_CASE("batch norm keeps running averages as separate passes would, with the unbiased variance") {
  const std::vector<double> values{1, 2, 6, /* view 1 */ -1, 0, 4};
  Layer layer(1, DType::f64);
  layer(Variable(Tensor::from({6, 1}, values)), {.views = 2, .momentum = 0.25});
  // Means 3 and 1, unbiased variances 7 and 7.
  CHECK(layer.mean.item() == doctest::Approx(0.75 * (0.25 * 3) + 0.25 * 1));
  CHECK(layer.variance.item() == doctest::Approx(0.75 * (0.75 * 1 + 0.25 * 7) + 0.25 * 7));

  Layer separate(1, DType::f64);
  const Tensor x = Tensor::from({6, 1}, values);
  separate(Variable(x.rows(0, 3)), {.momentum = 0.25});
  separate(Variable(x.rows(3, 6)), {.momentum = 0.25});
  CHECK(testing::same_bits(separate.mean, layer.mean));
  CHECK(testing::same_bits(separate.variance, layer.variance));

  const Tensor before = layer.mean.clone();
  layer(Variable(x), {.training = false});
  CHECK(testing::same_bits(before, layer.mean));
}

TEST_CASE("batch norm is accurate far from zero and beside outliers") {
  const Shape shape{64, 10, 10, 5};
  Tensor x = testing::random_tensor(shape, DType::f32);
  for (int64_t i = 0; i < x.size(); i++) x.data<float>()[i] += 1000.f * static_cast<float>(i % 5);
  for (int64_t c = 0; c < 5; c++) x.data<float>()[c] = 1e4f;  // the first position, such as a padded corner
  Layer layer(5), exact(5, DType::f64);
  const Tensor y = layer(Variable(x)).value(), want = exact(Variable(x.to(DType::f64))).value();
  CHECK(testing::relative_error(layer.variance, exact.variance) < 1e-6);
  CHECK(testing::relative_error(layer.mean, exact.mean) < 1e-6);
  CHECK(testing::relative_error(y, want) < 1e-4);  // x itself is rounded to 2e-4 of a deviation at 4000
}

TEST_CASE("batch norm of equal values and of a batch of one gives beta and no gradient") {
  for (const Shape& shape : {Shape{1, 3}, Shape{1, 1, 1, 3}, Shape{7, 5, 5, 3}}) {
    CAPTURE(shape.to_string());
    Tensor values(shape);
    values.fill(1234.567);
    Variable x(values, true);
    Layer layer(3);
    layer.beta.value().fill(0.5);
    Variable y = layer(x);
    for (float v : y.value().span<float>()) REQUIRE(v == 0.5f);
    y.backward(testing::make_cotangent(y.shape(), DType::f32));
    for (float d : layer.gamma.grad().span<float>()) CHECK(d == 0);
    for (float d : x.grad().span<float>()) REQUIRE(std::isfinite(d));
    if (shape[0] == 1) {
      for (float d : x.grad().span<float>()) CHECK(d == 0);
      CHECK(layer.variance.data<float>()[0] == 1);
    }
  }
}

TEST_CASE("batch norm of an empty batch leaves the running averages") {
  Layer layer(3);
  Variable y = layer(Variable(Tensor({0, 4, 4, 3}), true), {.views = 2, .max_pool = 2});
  CHECK(y.shape() == Shape{0, 2, 2, 3});
  y.backward(Tensor({0, 2, 2, 3}));
  CHECK(layer.gamma.grad().data<float>()[1] == 0);
  CHECK(layer.mean.data<float>()[0] == 0);
}

TEST_CASE("batch norm gives the same bits with one thread and with two") {
  const int threads = omp_get_max_threads();
  for (int64_t pool : {1, 2}) {
    testing::OpRun runs[2];
    for (int run : {0, 1}) {
      omp_set_num_threads(run + 1);
      Layer layer(33);
      Variable x(testing::random_tensor({10, 41, 40, 33}, DType::f32), true);
      Variable y = layer(x, {.views = 2, .activation = {ActivationKind::relu}, .max_pool = pool});
      y.backward(testing::make_cotangent(y.shape(), DType::f32));
      runs[run] = {y.value(), {x.grad(), layer.gamma.grad(), layer.beta.grad(), layer.mean, layer.variance}};
    }
    omp_set_num_threads(threads);
    CHECK(testing::same_bits(runs[0].output, runs[1].output));
    for (size_t k = 0; k < runs[0].grads.size(); k++) CHECK(testing::same_bits(runs[0].grads[k], runs[1].grads[k]));
  }
}

TEST_CASE("batch norm names what does not fit") {
  Layer layer(3);
  const auto message = [&](const Shape& x, const BatchNormOptions& options) -> std::string {
    try {
      layer(Variable(Tensor::zeros(x)), options);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message({4, 2, 3}, {}).find("[4, 2, 3]") != std::string::npos);
  CHECK(message({4, 5}, {}).find("gamma is f32 [3], expected f32 [5]") != std::string::npos);
  CHECK(message({5, 3}, {.views = 2}).find("5 rows do not divide into 2 views") != std::string::npos);
  CHECK(message({4, 3}, {.max_pool = 2}).find("max_pool is 2") != std::string::npos);
}

}  // namespace lookalike

// Whole networks: gradients through every layer and loss, batches with nothing to learn from, independence of threads.
#include <cmath>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/optim/optimizer.h"
#include "engine/train/checkpoint.h"
#include "tests/op_case.h"
#include "tests/training_loss.h"
#include "tests/unsettle.h"

namespace lookalike {
namespace {

using nlohmann::json;
using testing::network_cases;
using testing::random_tensor;
using testing::relative_error;
using testing::training_loss;
using testing::unsettle;

Model build_sized(const json& config, int64_t size) {
  Preprocess preprocess;
  preprocess.height = preprocess.width = size;
  return build_model(config, preprocess, 3, "test");
}

void to_double(const NetworkState& state) {
  for (Parameter p : state.parameters) p.variable.value() = p.variable.value().to(DType::f64);
  for (Buffer b : state.buffers) b.variable.value() = b.variable.value().to(DType::f64);
}

double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); i++) sum += a.data<double>()[i] * b.data<double>()[i];
  return sum;
}

// x + step * direction
Tensor moved(const Tensor& x, const Tensor& direction, double step) {
  Tensor result = x.clone();
  for (int64_t i = 0; i < x.size(); i++) result.data<double>()[i] += step * direction.data<double>()[i];
  return result;
}

// Values from 0 to 1, as a reconstruction wants them.
Tensor random_pictures(const Shape& shape) {
  Tensor pictures = random_tensor(shape);
  for (double& x : pictures.span<double>()) x = 1 / (1 + std::exp(-x));
  return pictures;
}

double sum_of_sizes(const Tensor& tensor) {
  double sum = 0;
  for (const float x : tensor.span<float>()) sum += std::abs(x);
  return sum;
}

TEST_CASE("gradients through whole networks agree with central differences in double") {
  for (const auto& [config, size, losses] : network_cases()) {
    const Model model = build_sized(config, size);
    NetworkState state = state_of(*model.network);
    to_double(state);
    for (const json& loss : losses) {
      CAPTURE(config.dump());
      CAPTURE(loss.dump());
      const auto run = [&](const Variable& x) { return training_loss(*model.network, loss, x); };
      std::vector<Parameter> leaves = state.parameters;
      const Variable images(random_pictures({8, size, size, 3}), true);
      if (loss["name"] != "reconstruction") leaves.push_back({"images", images});  // there they are the target too
      for (Parameter& leaf : leaves) leaf.variable.grad() = Tensor();
      run(images).backward();
      for (Parameter& leaf : leaves) {
        CAPTURE(leaf.name);
        REQUIRE(leaf.variable.grad().defined());
        const Tensor grad = leaf.variable.grad(), at = leaf.variable.value();
        const Tensor direction = random_tensor(at.shape(), DType::f64, 5);
        const double step = 1e-6;
        double value[2];
        for (const int side : {0, 1}) {
          NoGrad no_grad;
          leaf.variable.value() = moved(at, direction, side ? step : -step);
          value[side] = run(images).value().item();
        }
        leaf.variable.value() = at;
        const double want = (value[1] - value[0]) / (2 * step), got = dot(grad, direction);
        CHECK(std::abs(want - got) <= 1e-5 * (std::abs(want) + std::sqrt(dot(grad, grad))) + 1e-8);
      }
    }
  }
}

TEST_CASE("nothing to learn from gives finite losses and defined gradients") {
  const int64_t size = 32;
  for (const char* name : {"siamese_cnn", "convnet_bn"}) {
    const Model model = build_sized({{"name", name}}, size);
    NetworkState state = state_of(*model.network);
    // Loss of one training pass; `total` takes the sum of all gradients' sizes.
    const std::vector<json> losses = network_cases()[0].losses;
    const auto train = [&](const Tensor& images, const json& loss, double* total) {
      for (Parameter& p : state.parameters) p.variable.grad() = Tensor();
      Variable value = training_loss(*model.network, loss, Variable(images));
      value.backward();
      *total = 0;
      for (const Parameter& p : state.parameters) {
        CAPTURE(p.name);
        REQUIRE(p.variable.grad().defined());
        *total += sum_of_sizes(p.variable.grad());
      }
      return value.value().item();
    };
    Tensor identical({8, size, size, 3});
    identical.rows(0, 4).copy_from(random_tensor({4, size, size, 3}, DType::f32));
    identical.rows(4, 8).copy_from(identical.rows(0, 4));
    Tensor one_black = identical.clone();
    one_black.rows(5, 6).fill(0);
    const std::pair<const char*, Tensor> batches[] = {{"identical pairs", identical},
                                                      {"a black image", one_black},
                                                      {"all black", Tensor::zeros({8, size, size, 3})},
                                                      {"one pair", random_tensor({2, size, size, 3}, DType::f32)}};
    for (const auto& [what, images] : batches) {
      for (const json& loss : losses) {
        CAPTURE(name);
        CAPTURE(what);
        CAPTURE(loss.dump());
        double gradients;
        CHECK(std::isfinite(train(images, loss, &gradients)));
        CHECK(std::isfinite(gradients));
      }
    }
    // Partners at distance 0 and no margin: no triplet is active.
    double gradients;
    CHECK(train(identical, {{"name", "triplet"}, {"margin", 0}}, &gradients) == 0);
    CHECK(gradients == 0);
  }
}

TEST_CASE("norm_momentum is a batch's share in the averages of batch norms; at 0 these normalise in training, too") {
  const Tensor images = random_tensor({2, 32, 32, 3}, DType::f32);
  const auto build = [](const json& options) {
    json config{{"name", "efficientnet_lite0"}};
    config.update(options);
    Model model = build_sized(config, 32);
    unsettle(*model.network);
    return model;
  };
  const auto first_average = [](const Model& model) {
    return state_of(*model.network).buffers.front().variable.value();
  };
  const auto moved_by_a_batch = [&](const json& options) {
    const Model model = build(options);
    Tensor before = first_average(model).clone();
    NoGrad no_grad;
    model.network->forward(Variable(images), {.training = true});
    return std::pair(before, first_average(model));
  };
  const auto [start, by_default] = moved_by_a_batch(json::object());
  const Tensor half = moved_by_a_batch({{"norm_momentum", 0.5}}).second;
  REQUIRE(relative_error(half, start) > 0.1);
  Tensor want = start.clone();
  for (int64_t i = 0; i < want.size(); i++)
    want.data<float>()[i] += 0.02f * (half.data<float>()[i] - start.data<float>()[i]);
  REQUIRE(relative_error(want, start) > 1e-3);
  CHECK(relative_error(by_default, want) <= 1e-6);

  const Model fixed = build({{"norm_momentum", 0}});
  const Variable evaluated = fixed.network->forward(Variable(images), {}),
                 trained = fixed.network->forward(Variable(images), {.training = true});
  CHECK(relative_error(trained.value(), evaluated.value()) <= 1e-6);
  CHECK(relative_error(first_average(fixed), start) == 0);
}

TEST_CASE("training gives the same bits with any number of threads") {
  const int before = omp_get_max_threads();
  for (const char* name : {"siamese_cnn", "convnet_bn"}) {
    for (const char* loss : {"triplet", "nt_xent"}) {
      const auto train = [&](int threads) {
        omp_set_num_threads(threads);
        Model model = build_sized({{"name", name}}, 32);
        const NetworkState state = state_of(*model.network);
        const auto optimizer = make_optimizer({}, state.parameters);
        for (uint64_t step = 0; step < 3; step++) {
          const Variable images(random_tensor({14, 32, 32, 3}, DType::f32, step));
          training_loss(*model.network, {{"name", loss}}, images, step).backward();
          optimizer->step(1e-3);
          optimizer->zero_grad();
        }
        omp_set_num_threads(before);
        return tensors_of(state);
      };
      const auto want = train(1);
      for (const int threads : {2, 3}) {
        for (const auto& [key, tensor] : train(threads)) {
          CAPTURE(name);
          CAPTURE(key);
          CAPTURE(threads);
          CHECK(std::equal(tensor.raw(), tensor.raw() + tensor.bytes(), want.at(key).raw()));
        }
      }
    }
  }
}

}  // namespace
}  // namespace lookalike

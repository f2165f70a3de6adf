// Whole networks: gradients through every layer and loss, batches with nothing to learn from, independence of threads.
#include <cmath>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/optim/optimizer.h"
#include "engine/train/checkpoint.h"
#include "engine/train/objective.h"
#include "models/model.h"
#include "tests/op_case.h"

namespace lookalike {
namespace {

using nlohmann::json;
using testing::random_tensor;

const json kLosses[] = {{{"name", "contrastive"}},
                        {{"name", "contrastive"}, {"hinge", "squared"}},
                        {{"name", "triplet"}, {"negatives", "random"}},
                        {{"name", "triplet"}, {"negatives", "semi_hard"}},
                        {{"name", "triplet"}, {"negatives", "batch_hard"}},
                        {{"name", "triplet"}, {"negatives", "batch_hard"}, {"squared", true}},
                        {{"name", "triplet"}, {"negatives", "all"}},
                        {{"name", "nt_xent"}}};

Objective objective_of(const json& loss) {
  Options options(loss, "loss");
  return make_objective(options);
}

Model build(const json& config, int64_t size) {
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

double sum_of_sizes(const Tensor& tensor) {
  double sum = 0;
  for (const float x : tensor.span<float>()) sum += std::abs(x);
  return sum;
}

TEST_CASE("gradients through whole networks agree with central differences in double") {
  const json networks[] = {
      {{"name", "siamese_cnn"}, {"filters", {4, 6}}, {"dense", {9}}, {"embedding", 7}},
      {{"name", "convnet_bn"}, {"channels", {4, 5, 6}}, {"pool_after", {1}}, {"grid", 2}, {"embedding", 7}}};
  for (const json& config : networks) {
    const Model model = build(config, 12);
    NetworkState state = state_of(*model.network);
    to_double(state);
    for (const json& loss : kLosses) {
      CAPTURE(config.dump());
      CAPTURE(loss.dump());
      const Objective objective = objective_of(loss);
      const auto run = [&](const Variable& x) {
        return objective(model.network->forward(x, {.training = true, .views = 2}), 1).loss;
      };
      std::vector<Parameter> leaves = state.parameters;
      leaves.push_back({"images", Variable(random_tensor({8, 12, 12, 3}), true)});
      Variable images = leaves.back().variable;
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
    const Model model = build({{"name", name}}, size);
    NetworkState state = state_of(*model.network);
    // Loss of one training pass; `total` takes the sum of all gradients' sizes.
    const auto train = [&](const Tensor& images, const json& loss, double* total) {
      for (Parameter& p : state.parameters) p.variable.grad() = Tensor();
      Variable value =
          objective_of(loss)(model.network->forward(Variable(images), {.training = true, .views = 2}), 1).loss;
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
      for (const json& loss : kLosses) {
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

TEST_CASE("training gives the same bits with any number of threads") {
  const int before = omp_get_max_threads();
  for (const char* name : {"siamese_cnn", "convnet_bn"}) {
    for (const char* loss : {"triplet", "nt_xent"}) {
      const Objective objective = objective_of({{"name", loss}});
      const auto train = [&](int threads) {
        omp_set_num_threads(threads);
        Model model = build({{"name", name}}, 32);
        const NetworkState state = state_of(*model.network);
        const auto optimizer = make_optimizer({}, state.parameters);
        for (uint64_t step = 0; step < 3; step++) {
          const Variable images(random_tensor({14, 32, 32, 3}, DType::f32, step));
          objective(model.network->forward(images, {.training = true, .views = 2}), step).loss.backward();
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

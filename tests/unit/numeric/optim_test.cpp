// Optimisers against plain double loops written from the papers' formulas, their state, clipping and schedules.
#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <omp.h>

#include "engine/core/options.h"
#include "engine/optim/optimizer.h"
#include "engine/optim/schedule.h"
#include "tests/op_case.h"

namespace lookalike {
namespace {

using testing::random_tensor;
using testing::same_bits;

// A large tensor, one of one element that learns more slowly, and one that is not decayed.
std::vector<Parameter> make_parameters(DType dtype) {
  std::vector<Parameter> parameters;
  for (const auto& [name, shape, decay] :
       {std::tuple{"conv.weight", Shape{65, 521}, true}, {"scale", Shape{1}, true}, {"conv.bias", Shape{65}, false}}) {
    parameters.push_back({name, Variable(random_tensor(shape, dtype, parameters.size() + 1), true), decay});
    if (shape.size() == 1) parameters.back().rate = 0.3;
  }
  return parameters;
}

void set_gradients(const std::vector<Parameter>& parameters, uint64_t step) {
  for (size_t i = 0; i < parameters.size(); i++) {
    Variable variable = parameters[i].variable;
    variable.grad() = random_tensor(variable.shape(), variable.dtype(), 100 * step + i);
  }
}

// One element by the book.
struct Reference {
  OptimizerOptions options;
  double w, m = 0, v = 0;
  int step = 0;

  void update(double g, double rate, double decay) {
    step++;
    if (options.name == "sgd") {
      m = options.momentum * m + (g + decay * w);
      w = w - rate * m;
      return;
    }
    if (options.name == "adamw")
      w = w - rate * decay * w;
    else
      g = g + decay * w;
    m = options.beta1 * m + (1 - options.beta1) * g;
    v = options.beta2 * v + (1 - options.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(options.beta1, step)), v_hat = v / (1 - std::pow(options.beta2, step));
    w = w - rate * m_hat / (std::sqrt(v_hat) + options.epsilon);
  }
};

double rate_of(uint64_t step) {
  return 0.01 / static_cast<double>(1 + step);
}

std::map<std::string, Tensor> saved(const Optimizer& optimizer) {
  std::map<std::string, Tensor> result;
  for (const auto& [name, tensor] : optimizer.state()) result[name] = tensor.clone();
  return result;
}

template <class Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

const std::vector<OptimizerOptions> kAll{{.name = "sgd", .weight_decay = 0.1},
                                         {.name = "sgd", .weight_decay = 0.1, .momentum = 0},
                                         {.name = "adam", .weight_decay = 0.1},
                                         {.name = "adamw", .weight_decay = 0.1},
                                         {.name = "adam", .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3}};

}  // namespace

TEST_CASE("ten steps of each optimiser agree with plain loops") {
  for (const OptimizerOptions& options : kAll) {
    for (DType dtype : {DType::f64, DType::f32}) {
      CAPTURE(options.name);
      CAPTURE(name_of(dtype));
      auto parameters = make_parameters(dtype);
      std::vector<std::vector<Reference>> references;
      for (const Parameter& p : parameters) {
        auto& elements = references.emplace_back();
        const Tensor start = p.variable.value().to(DType::f64);
        for (double w : start.span<double>()) elements.push_back({options, w});
      }
      auto optimizer = make_optimizer(options, parameters);
      for (uint64_t step = 0; step < 10; step++) {
        set_gradients(parameters, step);
        for (size_t i = 0; i < parameters.size(); i++) {
          const Tensor g = parameters[i].variable.grad().to(DType::f64);
          for (size_t e = 0; e < references[i].size(); e++) {
            references[i][e].update(g.data<double>()[e], parameters[i].rate * rate_of(step),
                                    parameters[i].decay ? options.weight_decay : 0);
          }
        }
        optimizer->step(rate_of(step));
        optimizer->zero_grad();
        CHECK(!parameters[0].variable.grad().defined());
      }
      for (size_t i = 0; i < parameters.size(); i++) {
        std::vector<double> want;
        for (const Reference& element : references[i]) want.push_back(element.w);
        const Shape& shape = parameters[i].variable.shape();
        CHECK(testing::relative_error(parameters[i].variable.value(), Tensor::from(shape, want)) <
              (dtype == DType::f64 ? 1e-13 : 1e-6));
      }
    }
  }
}

TEST_CASE("an optimiser loaded from its state goes on bit for bit, with any number of threads") {
  const int threads = omp_get_max_threads();
  for (const OptimizerOptions& options : kAll) {
    CAPTURE(options.name);
    auto whole = make_parameters(DType::f32), resumed = make_parameters(DType::f32);
    auto first = make_optimizer(options, whole);
    omp_set_num_threads(1);
    for (uint64_t step = 0; step < 3; step++) set_gradients(whole, step), first->step(rate_of(step));
    omp_set_num_threads(threads);

    auto second = make_optimizer(options, resumed);
    second->load_state(saved(*first), 3);
    for (size_t i = 0; i < whole.size(); i++) resumed[i].variable.value().copy_from(whole[i].variable.value());
    for (uint64_t step = 3; step < 6; step++) {
      omp_set_num_threads(1);
      set_gradients(whole, step), first->step(rate_of(step));
      omp_set_num_threads(2);
      set_gradients(resumed, step), second->step(rate_of(step));
    }
    omp_set_num_threads(threads);
    for (size_t i = 0; i < whole.size(); i++) {
      CHECK(same_bits(whole[i].variable.value(), resumed[i].variable.value()));
    }
    CHECK(saved(*first).at(options.name + ".step").data<int64_t>()[0] == 6);
  }
}

TEST_CASE("a parameter without a gradient stays") {
  auto parameters = make_parameters(DType::f32);
  auto optimizer = make_optimizer({.name = "adamw", .weight_decay = 0.1}, parameters);
  const Tensor before = parameters[1].variable.value().clone();
  set_gradients(parameters, 0);
  parameters[1].variable.grad() = Tensor();
  optimizer->step(0.1);
  CHECK(same_bits(before, parameters[1].variable.value()));
}

TEST_CASE("loading optimiser state names what is missing and then changes nothing") {
  auto parameters = make_parameters(DType::f32);
  auto adam = make_optimizer({.name = "adam"}, parameters);
  auto state = saved(*adam);
  CHECK(state.size() == 1 + 2 * parameters.size());
  auto wrong = state;
  wrong["adam.step"].data<int64_t>()[0] = 7;
  wrong.erase("adam.v/conv.bias");
  CHECK(message_of([&] { adam->load_state(wrong, 7); }) ==
        "optimiser state 'adam.v/conv.bias' is missing");
  CHECK(saved(*adam).at("adam.step").data<int64_t>()[0] == 0);
  wrong["adam.v/conv.bias"] = Tensor::zeros({64});
  CHECK(message_of([&] { adam->load_state(wrong, 7); }) ==
        "optimiser state 'adam.v/conv.bias' is f32 [64], expected f32 [65]");
  CHECK(message_of([&] { make_optimizer({.name = "sgd"}, parameters)->load_state(state, 0); }) ==
        "optimiser state 'sgd.step' is missing");
  const auto says = [&](const char* name, double value) {
    auto bad = state;
    bad[name] = bad.at(name).clone();
    if (bad[name].dtype() == DType::i64)
      *bad[name].data<int64_t>() = static_cast<int64_t>(value);
    else
      bad[name].data<float>()[1] = static_cast<float>(value);
    return message_of([&] { adam->load_state(bad, 7); });
  };
  for (const double value : {-1.0, 5.0, 9e18})
    CHECK(says("adam.step", value).ends_with("expected 7, the steps of the run"));
  CHECK(says("adam.m/conv.bias", NAN) == "optimiser state 'adam.m/conv.bias' holds NaN or infinity");
  CHECK(says("adam.v/conv.bias", INFINITY) == "optimiser state 'adam.v/conv.bias' holds NaN or infinity");
  CHECK(says("adam.v/conv.bias", -1e-9).find("'adam.v/conv.bias' holds a number below 0") != std::string::npos);
  CHECK(says("adam.m/conv.bias", -1) == "no error");
  auto more = state;
  more["adam.w/conv.bias"] = Tensor::zeros({65});
  CHECK(message_of([&] { adam->load_state(more, 7); }) ==
        "optimiser state 'adam.w/conv.bias' is none of adam");
}

TEST_CASE("optimisers refuse what they cannot train") {
  auto parameters = make_parameters(DType::f32);
  CHECK(message_of([&] { make_optimizer({.name = "adma"}, parameters); }) ==
        "optimiser 'adma' is unknown, expected one of: adam, adamw, sgd");
  CHECK(message_of([&] { make_optimizer({.name = "adam"}, {}); }) == "adam: there are no parameters to train");
  parameters[2].name = "scale";
  CHECK(message_of([&] { make_optimizer({.name = "adam"}, parameters); }) == "adam: two parameters are called 'scale'");

  Options options(nlohmann::json{{"name", "sgd"}, {"beta1", 0.5}}, "optimizer");
  CHECK(read_optimizer(options).momentum == 0.9);
  CHECK(message_of([&] { options.finish(); }).find("unknown key 'beta1'") != std::string::npos);
}

TEST_CASE("clipping scales all gradients by one factor") {
  for (DType dtype : {DType::f64, DType::f32}) {
    auto parameters = make_parameters(dtype);
    set_gradients(parameters, 1);
    parameters[2].variable.grad() = Tensor();
    double squares = 0;
    for (const Parameter& p : parameters) {
      if (!p.variable.grad().defined()) continue;
      const Tensor g = p.variable.grad().to(DType::f64);
      for (double v : g.span<double>()) squares += v * v;
    }
    const double norm = std::sqrt(squares);
    const Tensor before = parameters[0].variable.grad().clone();
    CHECK(clip_grad_norm(parameters, norm * 2) == doctest::Approx(norm).epsilon(1e-12));
    CHECK(same_bits(before, parameters[0].variable.grad()));
    CHECK(clip_grad_norm(parameters, 0.5) == doctest::Approx(norm).epsilon(1e-12));
    CHECK(clip_grad_norm(parameters, 1) == doctest::Approx(0.5).epsilon(1e-6));
    parameters[1].variable.grad().fill(INFINITY);
    const Tensor clipped = parameters[0].variable.grad().clone();
    CHECK(std::isinf(clip_grad_norm(parameters, 1)));
    CHECK(same_bits(clipped, parameters[0].variable.grad()));
  }
}

TEST_CASE("schedules follow their formulas") {
  const Schedule constant({.rate = 2, .warmup_steps = 3});
  for (int step = 0; step < 4; step++) CHECK(constant.at(step) == doctest::Approx(0.5 * (step + 1)));
  CHECK(constant.at(1000) == 2);

  const Schedule steps({.name = "step", .rate = 1, .warmup_steps = 2, .step_every = 5, .step_factor = 0.5});
  CHECK(steps.at(6) == 1);
  CHECK(steps.at(7) == 0.5);
  CHECK(steps.at(12) == 0.25);

  const Schedule cosine({.name = "cosine", .rate = 1, .warmup_steps = 10, .total_steps = 110, .final_fraction = 0.2});
  CHECK(cosine.at(10) == 1);
  CHECK(cosine.at(60) == doctest::Approx(0.6));
  CHECK(cosine.at(110) == doctest::Approx(0.2));
  CHECK(cosine.at(500) == doctest::Approx(0.2));
  for (int step = 10; step < 110; step++) CHECK(cosine.at(step + 1) < cosine.at(step));

  CHECK(message_of([] { Schedule({.name = "cosine", .warmup_steps = 5, .total_steps = 5}); }) ==
        "schedule: total_steps is 5, expected more than the 5 of warm-up");
  CHECK(message_of([] { Schedule({.name = "linear"}); }).find("'linear' is unknown") != std::string::npos);

  Options options(nlohmann::json{{"schedule", "cosine"}, {"learning_rate", 0.1}, {"warmup_epochs", 1.5}}, "train");
  const ScheduleOptions read = read_schedule(options, 10, 20);
  options.finish();
  CHECK(read.warmup_steps == 30);
  CHECK(read.total_steps == 200);
}

}  // namespace lookalike

#include "engine/optim/optimizer.h"
#include "engine/optim/schedule.h"
#include "tests/golden/golden.h"

namespace lookalike::testing {
namespace {

// "weight" decays, "bias" doesn't.
std::vector<Parameter> make_parameters(const TensorFile& file, DType dtype) {
  std::vector<Parameter> parameters;
  for (const std::string name : {"weight", "bias"}) {
    parameters.push_back({name, Variable(file.tensors.at(name + ".before").to(dtype), true), name == "weight"});
  }
  return parameters;
}

// Row `step` of a tensor that holds one value of the parameter for each step.
Tensor at_step(const TensorFile& file, const std::string& name, int64_t step, const Shape& shape) {
  return file.tensors.at(name).rows(step, step + 1).reshape(shape);
}

void set_gradients(const TensorFile& file, std::vector<Parameter>& parameters, int64_t step) {
  for (Parameter& p : parameters) {
    p.variable.grad() = at_step(file, p.name + ".gradients", step, p.variable.shape()).to(p.variable.dtype());
  }
}

TEST_CASE("ten steps of each optimiser give PyTorch's values") {
  const TensorFile file = read_golden("optimizers");
  for (const auto& [name, rate] : {std::pair{"sgd", 0.1}, {"adam", 1e-2}, {"adamw", 1e-2}}) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      auto parameters = make_parameters(file, dtype);
      const auto optimizer = make_optimizer({.name = name, .weight_decay = 0.05}, parameters);
      for (int64_t step = 0; step < 10; step++) {
        set_gradients(file, parameters, step);
        optimizer->step(rate);
        for (const Parameter& p : parameters) {
          CAPTURE(name);
          CAPTURE(step);
          CAPTURE(p.name);
          const Tensor want = at_step(file, std::string(name) + "." + p.name, step, p.variable.shape());
          CHECK(golden_error(p.variable.value(), want) <= (dtype == DType::f64 ? 1e-14 : 1e-6));
        }
      }
    }
  }
}

TEST_CASE("gradient clipping gives PyTorch's values") {
  const TensorFile file = read_golden("optimizers");
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-14 : 1e-6;
    auto parameters = make_parameters(file, dtype);
    set_gradients(file, parameters, 0);
    CHECK(clip_grad_norm(parameters, 1.5) == doctest::Approx(file.tensors.at("norm").item()).epsilon(tolerance));
    for (const Parameter& p : parameters) {
      CHECK(golden_error(p.variable.grad(), file.tensors.at(p.name + ".clipped")) <= tolerance);
    }
  }
}

TEST_CASE("schedules give PyTorch's learning rates") {
  const TensorFile file = read_golden("optimizers");
  for (const std::string name : {"constant", "step", "cosine"}) {
    const Tensor& want = file.tensors.at("schedule." + name);
    const Schedule schedule({.name = name,
                             .rate = 0.1,
                             .warmup_steps = 3,
                             .total_steps = want.size(),
                             .final_fraction = 0.1,
                             .step_every = 2,
                             .step_factor = 0.3});
    Tensor rates(want.shape(), DType::f64);
    for (int64_t step = 0; step < rates.size(); step++) rates.data<double>()[step] = schedule.at(step);
    CAPTURE(name);
    CHECK(golden_error(rates, want) <= 1e-14);
  }
}

}  // namespace
}  // namespace lookalike::testing

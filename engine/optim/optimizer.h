// Optimisers: what a training step does to the parameters once backward has left their gradients. The formulas are in
// kernels/optimizer_step.h. Weight decay leaves alone the parameters whose `decay` is false.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/autograd/parameter.h"
#include "kernels/optimizer_step.h"

namespace lookalike {

class Options;

struct OptimizerOptions {
  std::string name = "adam";  // sgd | adam | adamw
  double weight_decay = 0;
  double momentum = 0.9;                              // sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adam, adamw
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Updates every parameter that has a gradient; `rate` is the learning rate of this step. With a max_norm above 0 the
  // gradients are clipped first, as clip_grad_norm() does, on the GPU without waiting for it.
  void step(double rate, double max_norm = 0);
  // Drops the gradients; backward makes new ones from reused memory.
  void zero_grad();

  // What a checkpoint must hold beside the parameters: "adam.step" (i64 [1], the steps done) and the moments,
  // "adam.m/conv1.weight". The tensors share memory with the optimiser.
  std::vector<std::pair<std::string, Tensor>> state() const;
  // Copies the state from tensors of the same names, after `steps` steps. Error, with nothing
  // changed, where one is missing, left over, of another shape or type, or can't be: moments that
  // are not finite, squares below 0, another number of steps.
  void load_state(const std::map<std::string, Tensor>& tensors, int64_t steps);

 protected:
  // Step number `step`, from 1; on the GPU every gradient counts times *gradient_factor, where that is not null.
  virtual void update(double rate, int64_t step, const float* gradient_factor) = 0;
  // `moments`: the names of the tensors that it keeps for each parameter, at most two. Error on no parameters, on
  // two of one name and on mixed element types.
  Optimizer(const std::string& name, std::vector<Parameter> parameters, double weight_decay,
            const std::vector<std::string>& moments);

  DType dtype() const { return parameters_[0].variable.dtype(); }
  Device device() const { return parameters_[0].variable.device(); }
  // Parameters, gradients and moments as the kernels take them.
  template <class T>
  std::vector<StepTensor<T>> step_tensors();

 private:
  std::string name_;
  std::vector<Parameter> parameters_;
  double weight_decay_;
  std::vector<std::string> moment_names_;
  std::vector<std::vector<Tensor>> moments_;  // of each parameter
  Tensor steps_;                              // on the CPU
};

// Error on an unknown name.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, std::vector<Parameter> parameters);
// From settings: name, weight_decay, and the ones that this optimiser has: momentum; beta1, beta2, epsilon.
OptimizerOptions read_optimizer(Options& options);

// Scales all gradients by max_norm / (norm + 1e-6) where their common Euclidean norm is larger than max_norm (Pascanu,
// Mikolov, Bengio 2013; PyTorch's clip_grad_norm_). Returns the norm before; one that is not finite changes nothing.
// On the CPU.
double clip_grad_norm(const std::vector<Parameter>& parameters, double max_norm);

}  // namespace lookalike

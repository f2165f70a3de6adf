#include "engine/optim/adam.h"

namespace lookalike {
namespace {

class Adam : public Optimizer {
 public:
  Adam(const OptimizerOptions& options, std::vector<Parameter> parameters, bool decoupled)
      : Optimizer(decoupled ? "adamw" : "adam", std::move(parameters), options.weight_decay, {"m", "v"}),
        beta1_(options.beta1),
        beta2_(options.beta2),
        epsilon_(options.epsilon),
        decoupled_(decoupled) {}

  void update(double rate, int64_t step, const float* gradient_factor) override {
    const AdamParams p{
        .rate = rate, .beta1 = beta1_, .beta2 = beta2_, .epsilon = epsilon_, .step = step, .decoupled = decoupled_};
    if (device() == Device::cuda) {
      if constexpr (gpu::kBuilt) {
        cuda::adam_step(p, step_tensors<float>(), gradient_factor, gpu::compute_stream());
      }
      return;
    }
    with_float(dtype(), [&](auto zero) {
      using T = decltype(zero);
      cpu::adam_step<T>(p, step_tensors<T>());
    });
  }

 private:
  double beta1_, beta2_, epsilon_;
  bool decoupled_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const OptimizerOptions& options, std::vector<Parameter> parameters) {
  return std::make_unique<Adam>(options, std::move(parameters), false);
}

std::unique_ptr<Optimizer> make_adamw(const OptimizerOptions& options, std::vector<Parameter> parameters) {
  return std::make_unique<Adam>(options, std::move(parameters), true);
}

}  // namespace lookalike

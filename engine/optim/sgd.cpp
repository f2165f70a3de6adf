#include "engine/optim/sgd.h"

namespace lookalike {
namespace {

class Sgd : public Optimizer {
 public:
  Sgd(const OptimizerOptions& options, std::vector<Parameter> parameters)
      : Optimizer("sgd", std::move(parameters), options.weight_decay,
                  options.momentum > 0 ? std::vector<std::string>{"m"} : std::vector<std::string>{}),
        momentum_(options.momentum) {}

  void update(double rate, int64_t, const float* gradient_factor) override {
    const SgdParams p{.rate = rate, .momentum = momentum_};
    if (device() == Device::cuda) {
      if constexpr (gpu::kBuilt) {
        cuda::sgd_step(p, step_tensors<float>(), gradient_factor, gpu::compute_stream());
      }
      return;
    }
    with_float(dtype(), [&](auto zero) {
      using T = decltype(zero);
      cpu::sgd_step<T>(p, step_tensors<T>());
    });
  }

 private:
  double momentum_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options, std::vector<Parameter> parameters) {
  return std::make_unique<Sgd>(options, std::move(parameters));
}

}  // namespace lookalike

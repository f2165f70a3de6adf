#include "engine/core/dispatch.h"
#include "engine/losses/detail.h"
#include "kernels/pointwise_loss.h"

namespace lookalike {
namespace {

LossResult pointwise_loss(const char* name, PointwiseLoss kind, const Variable& y, const Tensor& targets) {
  check(targets.shape() == y.shape() && targets.dtype() == y.dtype() && targets.device() == y.device(),
        "{}: targets are {} {} on {}, expected {} {} on {}", name, name_of(targets.dtype()), targets.shape(),
        name_of(targets.device()), name_of(y.dtype()), y.shape(), name_of(y.device()));
  const int64_t n = y.value().size();
  const double scale = n > 0 ? 1 / static_cast<double>(n) : 0;
  detail::LossOutput output(y, Tensor(y.shape(), y.dtype(), y.device()));
  if (y.device() == Device::cpu) {
    LOOKALIKE_ON_CPU(y, {
      Tensor workspace({on::pointwise_loss_workspace(n)}, DType::f64);
      output.loss.fill(scale * on::pointwise_loss(kind, y.value().data<T>(), targets.data<T>(), n, scale,
                                                  workspace.data<double>(), output.de.data<T>()));
    });
  } else {
    LOOKALIKE_ON_GPU(y, {
      Tensor workspace({on::pointwise_loss_workspace(n)}, DType::f64, y.device());
      on::pointwise_loss(kind, y.value().data<T>(), targets.data<T>(), n, scale, workspace.data<double>(),
                         output.de.data<T>(), output.loss.data<float>(), stream...);
    });
  }
  return detail::finish(y, output, {});
}

}  // namespace

LossResult bce_with_logits_loss(const Variable& logits, const Tensor& targets) {
  return pointwise_loss("BCE with logits", PointwiseLoss::bce_with_logits, logits, targets);
}
LossResult bce_loss(const Variable& probabilities, const Tensor& targets) {
  return pointwise_loss("BCE", PointwiseLoss::bce, probabilities, targets);
}
LossResult mse_loss(const Variable& y, const Tensor& targets) {
  return pointwise_loss("MSE", PointwiseLoss::mse, y, targets);
}

}  // namespace lookalike

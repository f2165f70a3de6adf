#include "engine/losses/loss.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/losses/detail.h"
#include "kernels/parallel.h"
#include "kernels/scale.h"

namespace lookalike {

LossStats LossResult::stats() const {
  const Tensor here = sums.to(Device::cpu);
  const auto& counted = *reinterpret_cast<const DistanceSums*>(here.raw());
  return {.active_share = per.active_share * static_cast<double>(counted.active),
          .mean_positive_distance = per.mean_positive_distance * counted.positive_distance,
          .mean_negative_distance = per.mean_negative_distance * counted.negative_distance};
}

detail::LossOutput::LossOutput(const Variable& e) : LossOutput(e, Tensor::zeros(e.shape(), e.dtype(), e.device())) {}

detail::LossOutput::LossOutput(const Variable& e, Tensor gradient)
    : de(std::move(gradient)),
      loss(Tensor::zeros(Shape{}, weight_type(e.dtype()), e.device())),
      sums(Tensor::zeros({sizeof(DistanceSums)}, DType::u8, e.device())) {}

void detail::LossOutput::set(double value, const DistanceSums& counted) {
  loss.fill(value);
  *sums_data() = counted;
}

LossResult detail::finish(const Variable& e, const LossOutput& output, const LossStats& per) {
  // Called once: the memory passes on to the tape.
  const auto backward = [de = output.de](const Tensor& dy) mutable -> std::vector<Tensor> {
    if (de.device() == Device::cpu) {
      LOOKALIKE_ON_CPU(de, {
        const T factor = *dy.data<T>();
        if (factor != 1) cpu::vector_for(de.size(), [factor, to = de.data<T>()](int64_t i) { to[i] *= factor; });
      });
    } else {
      LOOKALIKE_ON_GPU(de, { on::scale(dy.data<float>(), de.data<T>(), de.data<T>(), de.size(), stream...); });
    }
    return {de};
  };
  return {Variable::from_op(output.loss, {e}, backward), output.sums, per};
}

}  // namespace lookalike

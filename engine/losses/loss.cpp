#include "engine/losses/loss.h"

#include <algorithm>

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

detail::LossOutput::LossOutput(const Variable& e)
    : de(Tensor::zeros(e.shape(), e.dtype(), e.device())),
      loss(Tensor::zeros(Shape{}, e.dtype(), e.device())),
      sums(Tensor::zeros({sizeof(DistanceSums)}, DType::u8, e.device())) {}

void detail::LossOutput::set(double value, const DistanceSums& counted) {
  loss.fill(value);
  *sums_data() = counted;
}

LossResult detail::finish(const Variable& e, const LossOutput& output, const LossStats& per) {
  const auto backward = [de = output.de](const Tensor& dy) -> std::vector<Tensor> {
    Tensor scaled(de.shape(), de.dtype(), de.device());
    if (de.device() == Device::cpu) {
      with_float(de.dtype(), [&](auto zero) {
        using T = decltype(zero);
        cpu::vector_for(de.size(), [factor = *dy.data<T>(), from = de.data<T>(), to = scaled.data<T>()](int64_t i) {
          to[i] = factor * from[i];
        });
      });
    } else {
      if constexpr (gpu::kBuilt) {
        cuda::scale(dy.data<float>(), de.data<float>(), scaled.data<float>(), de.size(), gpu::compute_stream());
      }
    }
    return {scaled};
  };
  return {Variable::from_op(output.loss, {e}, backward), output.sums, per};
}

}  // namespace lookalike

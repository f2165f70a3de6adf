#include "kernels/softmax_cross_entropy.h"

#include "engine/core/dispatch.h"
#include "engine/losses/detail.h"

namespace lookalike {

LossResult softmax_cross_entropy_loss(const Variable& logits, std::span<const int32_t> labels) {
  check(logits.shape().rank() == 2, "softmax cross-entropy of shape {}, expected [N, C]", logits.shape());
  const int64_t n = logits.shape()[0], c = logits.shape()[1];
  check(std::ssize(labels) == n, "softmax cross-entropy: {} labels for {} rows", labels.size(), n);
  for (const int32_t label : labels) {
    check(label >= 0 && label < c, "softmax cross-entropy: label {}, expected 0 to {}", label, c - 1);
  }
  const double scale = n > 0 ? 1 / static_cast<double>(n) : 0;
  const std::vector list(labels.begin(), labels.end());
  detail::LossOutput output(logits, Tensor(logits.shape(), logits.dtype(), logits.device()));
  if (logits.device() == Device::cpu) {
    LOOKALIKE_ON_CPU(logits, {
      Tensor workspace({n, 2}, DType::f64);
      const DistanceSums sums = on::softmax_cross_entropy(logits.value().data<T>(), list.data(), n, c, scale,
                                                          workspace.data<double>(), output.de.data<T>());
      output.set(scale * sums.loss, sums);
    });
  } else {
    LOOKALIKE_ON_GPU(logits, {
      Tensor there = detail::copy_list(list, logits.device());
      Tensor workspace({on::softmax_cross_entropy_workspace(n)}, DType::u8, logits.device());
      on::softmax_cross_entropy(logits.value().data<T>(), detail::list_data<int32_t>(there), n, c, scale,
                                workspace.raw(), output.de.data<T>(), output.loss.data<float>(), output.sums_data(),
                                stream...);
    });
  }
  return detail::finish(logits, output, {.active_share = scale});
}

}  // namespace lookalike

#include "kernels/nt_xent.h"

#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/losses/detail.h"

namespace lookalike {

LossResult nt_xent_loss(const Variable& e, double temperature) {
  check(e.shape().rank() == 2 && e.shape()[0] % 2 == 0, "NT-Xent of shape {}, expected [2N, D]", e.shape());
  check(temperature > 0, "NT-Xent with temperature {}, expected above 0", temperature);
  const int64_t n = e.shape()[0] / 2, d = e.shape()[1];
  detail::LossOutput output(e);
  const double per_row = n > 0 ? 0.5 / static_cast<double>(n) : 0;
  const LossStats per{.active_share = per_row,
                      .mean_positive_distance = 2 * per_row,
                      .mean_negative_distance = n > 1 ? 2 * per_row : 0};
  if (n == 0) return detail::finish(e, output, per);
  if (e.device() == Device::cuda) {
    if constexpr (gpu::kBuilt) {
      Tensor workspace({cuda::nt_xent_workspace(n, d)}, DType::f32, e.device());
      cuda::nt_xent(e.value().data<float>(), n, d, temperature, workspace.data<float>(), output.de.data<float>(),
                    output.loss.data<float>(), output.sums_data(), gpu::compute_stream());
    }
    return detail::finish(e, output, per);
  }

  // The distances of the statistics: partners first, then each row's sampled negative.
  std::vector<RowPair> pairs;
  for (int64_t shift : {0, 1}) {
    for (int64_t i = 0; i < n; i++) {
      pairs.push_back({static_cast<int32_t>(i), static_cast<int32_t>(n + (i + shift) % n)});
    }
  }
  LOOKALIKE_ON_CPU(e, {
    const T* rows = e.value().data<T>();
    T* gradient = output.de.data<T>();
    Tensor workspace({on::nt_xent_workspace<T>(n, d)}, e.dtype()), squared({2, n}, e.dtype());
    const on::NtXentSums sums =
        on::nt_xent(rows, rows + n * d, n, d, temperature, workspace.data<T>(), gradient, gradient + n * d);
    on::pair_distances(rows, d, pairs.data(), 2 * n, squared.data<T>());
    const auto total_distance = [&](int64_t first) {
      double sum = 0;
      for (int64_t q = first; q < first + n; q++) sum += std::sqrt(squared.data<T>()[q]);
      return sum;
    };
    output.set(per_row * sums.loss, {.loss = sums.loss,
                                     .active = sums.active,
                                     .positive_distance = total_distance(0),
                                     .negative_distance = total_distance(n)});
  });
  return detail::finish(e, output, per);
}

}  // namespace lookalike

#include "kernels/nt_xent.h"

#include <cmath>

#include "engine/losses/detail.h"

namespace lookalike {

LossResult nt_xent_loss(const Variable& e, double temperature) {
  check(e.shape().rank() == 2 && e.shape()[0] % 2 == 0, "NT-Xent of shape {}, expected [2N, D]", e.shape().to_string());
  check(temperature > 0, "NT-Xent with temperature {}, expected above 0", temperature);
  const int64_t n = e.shape()[0] / 2, d = e.shape()[1];
  Tensor de = Tensor::zeros(e.shape(), e.dtype());
  if (n == 0) return detail::finish(e, 0, de, {});

  // The distances of the statistics: partners first, then each row's sampled negative.
  std::vector<RowPair> pairs;
  for (int64_t shift : {0, 1}) {
    for (int64_t i = 0; i < n; i++) {
      pairs.push_back({static_cast<int32_t>(i), static_cast<int32_t>(n + (i + shift) % n)});
    }
  }
  return with_float(e.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* rows = e.value().data<T>();
    T* gradient = de.data<T>();
    Tensor workspace({cpu::nt_xent_workspace<T>(n, d)}, e.dtype()), squared({2, n}, e.dtype());
    const cpu::NtXentSums sums =
        cpu::nt_xent(rows, rows + n * d, n, d, temperature, workspace.data<T>(), gradient, gradient + n * d);
    cpu::pair_distances(rows, d, pairs.data(), 2 * n, squared.data<T>());
    const auto mean_distance = [&](int64_t first) {
      double sum = 0;
      for (int64_t q = first; q < first + n; q++) sum += std::sqrt(squared.data<T>()[q]);
      return sum / static_cast<double>(n);
    };
    const double per_row = 0.5 / static_cast<double>(n);
    return detail::finish(e, per_row * sums.loss, de,
                          {.active_share = per_row * static_cast<double>(sums.active),
                           .mean_positive_distance = mean_distance(0),
                           .mean_negative_distance = n > 1 ? mean_distance(n) : 0});
  });
}

}  // namespace lookalike

#include "kernels/barlow_twins.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/losses/detail.h"
#include "kernels/batch_norm.h"
#include "kernels/matmul.h"

namespace lookalike {

LossResult barlow_twins_loss(const Variable& z, double lambda) {
  check(z.shape().rank() == 2 && z.shape()[0] % 2 == 0, "Barlow Twins of shape {}, expected [2N, D]", z.shape());
  check(z.dtype() != DType::bf16, "Barlow Twins of bf16, expected f32");
  check(lambda >= 0, "Barlow Twins with lambda {}, expected at least 0", lambda);
  check_gpu_size("Barlow Twins", z.shape(), z.device());
  const int64_t n = z.shape()[0] / 2, d = z.shape()[1], half = n * d;
  detail::LossOutput output(z);
  if (half == 0) return detail::finish(z, output, {});
  const BatchNormParams norm{.views = 2, .images = 2 * n, .height = 1, .width = 1, .channels = d};
  const auto tensor = [&](const Shape& shape, DType type) { return Tensor(shape, type, z.device()); };
  Tensor mean = tensor({2, d}, z.dtype()), variance = tensor({2, d}, z.dtype());
  Tensor ones = tensor({d}, z.dtype()), zeros = tensor({d}, z.dtype()), unused = tensor({2, d}, z.dtype());
  ones.fill(1), zeros.fill(0);
  Tensor unit = tensor(z.shape(), z.dtype()), dunit = tensor(z.shape(), z.dtype());
  Tensor correlation = tensor({d, d}, z.dtype()), sums = tensor({2, 2, d}, DType::f64);
  LOOKALIKE_ON_DEVICE(z, {
    Tensor norm_workspace = tensor({on::batch_norm_workspace(norm)}, DType::f64);
    Tensor loss_workspace = tensor({on::barlow_twins_workspace(d)}, DType::f64);
    Tensor product_workspace =
        tensor({std::max(on::matmul_workspace<T>(d, d, n), on::matmul_workspace<T>(n, d, d))}, z.dtype());
    const T* x = z.value().data<T>();
    const W *gain = ones.data<W>(), *shift = zeros.data<W>();
    T *a = unit.data<T>(), *b = a + half, *da = dunit.data<T>(), *db = da + half,
      *workspace = product_workspace.data<T>();
    W* c = correlation.data<W>();
    on::batch_norm_statistics(norm, x, norm_workspace.data<double>(), mean.data<W>(), variance.data<W>(), stream...);
    on::batch_norm_forward(norm, x, mean.data<W>(), variance.data<W>(), gain, shift, a, static_cast<T*>(nullptr),
                           stream...);
    if constexpr (sizeof...(stream) == 0)
      on::matmul_tn(d, d, n, a, b, c, workspace);
    else
      on::matmul_tn(d, d, n, a, b, false, c, workspace, stream...);
    on::barlow_twins(c, d, n, lambda, loss_workspace.data<double>(), output.loss.data<W>(), stream...);
    if constexpr (sizeof...(stream) == 0) {
      on::matmul_nt(n, d, d, b, c, static_cast<const T*>(nullptr), da, workspace);
      on::matmul_nn(n, d, d, a, c, db, workspace);
    } else {
      on::matmul_nt(n, d, d, b, c, nullptr, {}, false, da, workspace, stream...);
      on::matmul_nn(n, d, d, a, c, false, db, workspace, stream...);
    }
    on::batch_norm_reduce(norm, x, mean.data<W>(), variance.data<W>(), gain, shift, dunit.data<T>(),
                          norm_workspace.data<double>(), sums.data<double>(), unused.data<W>(), unused.data<W>() + d,
                          stream...);
    on::batch_norm_backward(norm, x, static_cast<const T*>(nullptr), mean.data<W>(), variance.data<W>(), gain, shift,
                            dunit.data<T>(), sums.data<double>(), output.de.data<T>(), stream...);
  });
  return detail::finish(z, output, {});
}

}  // namespace lookalike

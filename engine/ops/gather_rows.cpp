#include "engine/ops/gather_rows.h"

#include <numeric>

#include "engine/core/dispatch.h"
#include "kernels/gather_rows.h"

namespace lookalike {

Variable gather_rows(const Variable& x, std::span<const int32_t> index) {
  check(x.shape().rank() == 2, "gather_rows: x is {}, expected [M, D]", x.shape());
  const int64_t m = x.shape()[0], d = x.shape()[1], n = std::ssize(index);
  for (const int32_t row : index) check(row >= 0 && row < m, "gather_rows: row {} of {}", row, m);
  Tensor y({n, d}, x.dtype(), x.device());
  check_gpu_size("gather_rows", x.shape(), x.device());
  check_gpu_size("gather_rows", y.shape(), x.device());
  const Tensor list = Tensor::from({n}, index), list_there = list.to(x.device());
  LOOKALIKE_ON_DEVICE(
      y, { on::gather_rows_forward(x.value().data<T>(), list_there.data<int32_t>(), n, d, y.data<T>(), stream...); });
  return Variable::from_op(y, {x}, [list, m, n, d](const Tensor& dy) -> std::vector<Tensor> {
    // The list inverted by counting: the rows of y in their order, row after row of x.
    Tensor begin = Tensor::zeros({m + 1}, DType::i32), order({n}, DType::i32);
    const std::span<const int32_t> rows = list.span<int32_t>();
    const std::span<int32_t> first = begin.span<int32_t>();
    for (const int32_t row : rows) first[row + 1]++;
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<int32_t> next(first.begin(), first.end() - 1);
    for (int32_t i = 0; i < n; i++) order.data<int32_t>()[next[rows[i]]++] = i;

    begin = begin.to(dy.device()), order = order.to(dy.device());
    Tensor dx({m, d}, dy.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy, {
      on::gather_rows_backward(dy.data<T>(), begin.data<int32_t>(), order.data<int32_t>(), m, d, dx.data<T>(),
                               stream...);
    });
    return {dx};
  });
}

}  // namespace lookalike

#include "engine/ops/views.h"

namespace lookalike {

Variable reshape(const Variable& x, const Shape& shape) {
  return Variable::from_op(
      x.value().reshape(shape), {x},
      [before = x.shape()](const Tensor& dy) -> std::vector<Tensor> { return {dy.reshape(before)}; });
}

Variable to_float(const Variable& x) {
  if (x.dtype() != DType::bf16) return x;
  return Variable::from_op(x.value().to(DType::f32), {x},
                           [](const Tensor& dy) -> std::vector<Tensor> { return {dy.to(DType::bf16)}; });
}

Variable flatten(const Variable& x) {
  check(x.shape().rank() >= 1, "flatten of a scalar");
  return reshape(x, {x.shape()[0], x.shape().row_size()});
}

Variable stack_views(const std::vector<Variable>& views) {
  check(!views.empty(), "stack_views of no views");
  const Shape shape = views[0].shape();
  const int64_t n = shape[0];
  Tensor y(shape.with_rows(static_cast<int64_t>(views.size()) * n), views[0].dtype(), views[0].device());
  for (size_t v = 0; v < views.size(); v++) {
    const int64_t begin = static_cast<int64_t>(v) * n;
    check(views[v].shape() == shape, "stack_views: view {} is {}, view 0 is {}", v, views[v].shape(), shape);
    y.rows(begin, begin + n).copy_from(views[v].value());
  }
  return Variable::from_op(y, views, [n, count = views.size()](const Tensor& dy) -> std::vector<Tensor> {
    std::vector<Tensor> grads;
    for (int64_t begin = 0; grads.size() < count; begin += n) grads.push_back(dy.rows(begin, begin + n).clone());
    return grads;
  });
}

std::vector<Variable> split_views(const Variable& x, int64_t views) {
  const Shape shape = x.shape();
  check(views >= 1 && shape[0] % views == 0, "split_views: x {} does not divide into {} views", shape, views);
  const int64_t n = shape[0] / views;
  std::vector<Variable> result;
  for (int64_t v = 0; v < views; v++) {
    const int64_t begin = v * n;
    result.push_back(Variable::from_op(x.value().rows(begin, begin + n), {x},
                                       [begin, n, shape](const Tensor& dy) -> std::vector<Tensor> {
                                         Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
                                         dx.rows(begin, begin + n).copy_from(dy);
                                         return {dx};
                                       }));
  }
  return result;
}

}  // namespace lookalike

#include "engine/ops/linear.h"

#include "kernels/matmul.h"

namespace lookalike {

Variable linear(const Variable& x, const Variable& w, const Variable& bias, const Activation& activation) {
  check(x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[1],
        "linear: input {} and weights {}, expected [N,in] and [out,in]", x.shape().to_string(), w.shape().to_string());
  check(!bias.defined() || bias.shape() == Shape{w.shape()[0]}, "linear: bias {}, expected [{}]",
        bias.defined() ? bias.shape().to_string() : "", w.shape()[0]);
  const int64_t batch = x.shape()[0], in = x.shape()[1], out = w.shape()[0];
  const bool active = activation.kind != ActivationKind::none;

  Tensor y({batch, out}, x.dtype());
  with_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Tensor workspace({cpu::matmul_workspace<T>(batch, out, in)}, x.dtype());
    cpu::matmul_nt<T>(batch, out, in, x.value().data<T>(), w.value().data<T>(),
                      bias.defined() ? bias.value().data<T>() : nullptr, y.data<T>(), workspace.data<T>());
    if (active) cpu::activation_forward<T>(activation, y.data<T>(), y.data<T>(), y.size());
  });
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(y, inputs, [=](const Tensor& dy) {
    std::vector<Tensor> grads(bias.defined() ? 3 : 2);
    with_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      Tensor dz = dy;
      if (active) {
        dz = Tensor(dy.shape(), dy.dtype());
        cpu::activation_backward<T>(activation, y.data<T>(), dy.data<T>(), dz.data<T>(), y.size());
      }
      if (x.requires_grad()) {
        grads[0] = Tensor(x.shape(), dy.dtype());
        Tensor workspace({cpu::matmul_workspace<T>(batch, in, out)}, dy.dtype());
        cpu::matmul_nn<T>(batch, in, out, dz.data<T>(), w.value().data<T>(), grads[0].data<T>(), workspace.data<T>());
      }
      if (w.requires_grad()) {
        grads[1] = Tensor(w.shape(), dy.dtype());
        Tensor workspace({cpu::matmul_workspace<T>(out, in, batch)}, dy.dtype());
        cpu::matmul_tn<T>(out, in, batch, dz.data<T>(), x.value().data<T>(), grads[1].data<T>(), workspace.data<T>());
      }
      if (bias.requires_grad()) {
        grads[2] = Tensor(bias.shape(), dy.dtype());
        cpu::column_sums<T>(batch, out, dz.data<T>(), grads[2].data<T>());
      }
    });
    return grads;
  });
}

}  // namespace lookalike

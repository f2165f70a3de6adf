#include "engine/ops/linear.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "kernels/matmul.h"

namespace lookalike {

Variable linear(const Variable& x, const Variable& w, const Variable& bias, const Activation& activation) {
  check(x.shape().rank() == 2 && w.shape().rank() == 2 && x.shape()[1] == w.shape()[1],
        "linear: input {} and weights {}, expected [N,in] and [out,in]", x.shape(), w.shape());
  check(!bias.defined() || bias.shape() == Shape{w.shape()[0]}, "linear: bias {}, expected [{}]",
        bias.defined() ? bias.shape() : Shape(), w.shape()[0]);
  const int64_t batch = x.shape()[0], in = x.shape()[1], out = w.shape()[0];
  const bool active = activation.kind != ActivationKind::none;

  const bool tf32 = tf32_allowed();

  Tensor y({batch, out}, x.dtype(), x.device());
  if (x.device() == Device::cpu) {
    LOOKALIKE_ON_CPU(x, {
      Tensor workspace({on::matmul_workspace<T>(batch, out, in)}, x.dtype());
      on::matmul_nt(batch, out, in, x.value().data<T>(), w.value().data<T>(),
                    bias.defined() ? bias.value().data<T>() : nullptr, y.data<T>(), workspace.data<T>());
      if (active) on::activation_forward(activation, y.data<T>(), y.data<T>(), y.size());
    });
  } else {
    LOOKALIKE_ON_GPU(x, {
      Tensor workspace({on::matmul_workspace<T>(batch, out, in)}, x.dtype(), x.device());
      on::matmul_nt(batch, out, in, x.value().data<T>(), w.value().data<W>(),
                    bias.defined() ? bias.value().data<W>() : nullptr, activation, tf32, y.data<T>(),
                    workspace.data<T>(), stream...);
    });
  }
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(y, inputs, [=](const Tensor& dy) {
    std::vector<Tensor> grads(bias.defined() ? 3 : 2);
    Tensor dz = dy;
    if (active) {
      dz = Tensor(dy.shape(), dy.dtype(), dy.device());
      LOOKALIKE_ON_DEVICE(
          dy, { on::activation_backward(activation, y.data<T>(), dy.data<T>(), dz.data<T>(), y.size(), stream...); });
    }
    if (x.requires_grad()) grads[0] = Tensor(x.shape(), x.dtype(), dy.device());
    if (w.requires_grad()) grads[1] = Tensor(w.shape(), w.dtype(), dy.device());
    if (bias.requires_grad()) grads[2] = Tensor(bias.shape(), bias.dtype(), dy.device());
    if (dy.device() == Device::cpu) {
      LOOKALIKE_ON_CPU(dy, {
        Tensor workspace({std::max({on::matmul_workspace<T>(batch, in, out), on::matmul_workspace<T>(out, in, batch),
                                    on::column_sums_workspace<T>(batch, out)})},
                         dy.dtype());
        if (x.requires_grad()) {
          on::matmul_nn(batch, in, out, dz.data<T>(), w.value().data<T>(), grads[0].data<T>(), workspace.data<T>());
        }
        if (w.requires_grad()) {
          on::matmul_tn(out, in, batch, dz.data<T>(), x.value().data<T>(), grads[1].data<T>(), workspace.data<T>());
        }
        if (bias.requires_grad()) {
          on::column_sums(batch, out, dz.data<T>(), grads[2].data<T>(), workspace.data<T>());
        }
      });
    } else {
      LOOKALIKE_ON_GPU(dy, {
        Tensor workspace({std::max({on::matmul_workspace<T>(batch, in, out), on::matmul_workspace<T>(out, in, batch),
                                    on::column_sums_workspace<T>(batch, out)})},
                         dy.dtype(), dy.device());
        if (x.requires_grad()) {
          on::matmul_nn(batch, in, out, dz.data<T>(), w.value().data<W>(), tf32, grads[0].data<T>(),
                        workspace.data<T>(), stream...);
        }
        if (w.requires_grad()) {
          on::matmul_tn(out, in, batch, dz.data<T>(), x.value().data<T>(), tf32, grads[1].data<W>(),
                        workspace.data<T>(), stream...);
        }
        if (bias.requires_grad()) {
          on::column_sums(batch, out, dz.data<T>(), grads[2].data<W>(), workspace.data<T>(), stream...);
        }
      });
    }
    return grads;
  });
}

}  // namespace lookalike

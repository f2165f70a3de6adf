#include "engine/ops/conv2d.h"

#include "kernels/conv2d.h"

namespace lookalike {

Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const Conv2dOptions& options) {
  check(x.shape().rank() == 4 && w.shape().rank() == 4 && x.shape()[3] == w.shape()[3],
        "conv2d: images {} and weights {}, expected [N,H,W,C] and [K,R,S,C]", x.shape().to_string(),
        w.shape().to_string());
  check(!bias.defined() || bias.shape() == Shape{w.shape()[0]}, "conv2d: bias {}, expected [{}]",
        bias.defined() ? bias.shape().to_string() : "", w.shape()[0]);
  check(options.stride >= 1 && options.padding >= 0 && (options.max_pool == 1 || options.max_pool == 2),
        "conv2d: stride {}, padding {}, max_pool {}", options.stride, options.padding, options.max_pool);
  check(options.max_pool == 1 || options.activation.kind != ActivationKind::sigmoid,
        "conv2d: sigmoid does not go with max_pool");
  Conv2dParams p{.batch = x.shape()[0],
                 .in_h = x.shape()[1],
                 .in_w = x.shape()[2],
                 .in_c = x.shape()[3],
                 .out_c = w.shape()[0],
                 .kernel_h = w.shape()[1],
                 .kernel_w = w.shape()[2],
                 .stride = options.stride};
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = options.padding;
  p.activation = options.activation, p.pool = options.max_pool;
  check(p.in_h + 2 * options.padding >= p.kernel_h && p.in_w + 2 * options.padding >= p.kernel_w && p.y_h() > 0 &&
            p.y_w() > 0,
        "conv2d: image {} is smaller than kernel {} with padding {} and max_pool {}", x.shape().to_string(),
        w.shape().to_string(), options.padding, options.max_pool);

  Tensor y({p.batch, p.y_h(), p.y_w(), p.out_c}, x.dtype());
  Tensor argmax;
  if (p.pool == 2) argmax = Tensor(y.shape(), DType::u8);
  const auto argmax_of = [](Tensor& t) { return t.defined() ? t.data<uint8_t>() : nullptr; };
  with_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Tensor workspace({cpu::conv2d_workspace<T>(p).forward}, x.dtype());
    cpu::conv2d_forward<T>(p, x.value().data<T>(), w.value().data<T>(),
                           bias.defined() ? bias.value().data<T>() : nullptr, y.data<T>(), argmax_of(argmax),
                           workspace.data<T>());
  });
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(y, inputs, [=](const Tensor& dy) mutable {
    std::vector<Tensor> grads(bias.defined() ? 3 : 2);
    with_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      if (x.requires_grad()) {
        grads[0] = Tensor(x.shape(), dy.dtype());
        Tensor workspace({cpu::conv2d_workspace<T>(p).backward_data}, dy.dtype());
        cpu::conv2d_backward_data<T>(p, dy.data<T>(), y.data<T>(), argmax_of(argmax), w.value().data<T>(),
                                     grads[0].data<T>(), workspace.data<T>());
      }
      if (w.requires_grad() || bias.requires_grad()) {
        grads[1] = Tensor(w.shape(), dy.dtype());
        if (bias.defined()) grads[2] = Tensor(bias.shape(), dy.dtype());
        Tensor workspace({cpu::conv2d_workspace<T>(p).backward_weights}, dy.dtype());
        cpu::conv2d_backward_weights<T>(p, x.value().data<T>(), dy.data<T>(), y.data<T>(), argmax_of(argmax),
                                        grads[1].data<T>(), bias.defined() ? grads[2].data<T>() : nullptr,
                                        workspace.data<T>());
      }
    });
    return grads;
  });
}

}  // namespace lookalike

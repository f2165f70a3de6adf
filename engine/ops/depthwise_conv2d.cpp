#include "engine/ops/depthwise_conv2d.h"

#include "engine/core/dispatch.h"
#include "engine/ops/padding.h"

namespace lookalike {

DepthwiseConv2dParams depthwise_conv2d_params(const Shape& x, const Variable& w, const Variable& bias,
                                              const DepthwiseConv2dOptions& options) {
  check(x.rank() == 4 && w.shape().rank() == 3 && x[3] == w.shape()[2],
        "depthwise_conv2d: images {} and weights {}, expected [N,H,W,C] and [R,S,C]", x, w.shape());
  check(!bias.defined() || bias.shape() == Shape{w.shape()[2]}, "depthwise_conv2d: bias {}, expected [{}]",
        bias.defined() ? bias.shape() : Shape(), w.shape()[2]);
  check(options.stride >= 1 && options.padding >= 0 && (options.padding == 0 || !options.same),
        "depthwise_conv2d: stride {}, padding {}{}", options.stride, options.padding, options.same ? " and same" : "");
  DepthwiseConv2dParams p{.batch = x[0],
                          .in_h = x[1],
                          .in_w = x[2],
                          .channels = x[3],
                          .kernel_h = w.shape()[0],
                          .kernel_w = w.shape()[1],
                          .stride = options.stride};
  const Padding padding =
      options.same ? Padding::same(p.in_h, p.in_w, p.kernel_h, p.kernel_w, p.stride) : Padding(options.padding);
  p.pad_top = padding.top, p.pad_left = padding.left, p.pad_bottom = padding.bottom, p.pad_right = padding.right;
  p.activation = options.activation;
  check(p.in_h + padding.top + padding.bottom >= p.kernel_h && p.in_w + padding.left + padding.right >= p.kernel_w,
        "depthwise_conv2d: image {} is smaller than kernel {} with padding {}", x, w.shape(), options.padding);
  return p;
}

Variable depthwise_conv2d(const Variable& x, const Variable& w, const Variable& bias,
                          const DepthwiseConv2dOptions& options) {
  const DepthwiseConv2dParams p = depthwise_conv2d_params(x.shape(), w, bias, options);
  const Shape out{p.batch, p.out_h(), p.out_w(), p.channels};
  check_gpu_size("depthwise_conv2d", x.shape(), x.device());
  check_gpu_size("depthwise_conv2d", out, x.device());

  Tensor y(out, x.dtype(), x.device());
  LOOKALIKE_ON_DEVICE(x, {
    on::depthwise_conv2d_forward<T>(p, x.value().data<T>(), w.value().data<W>(),
                                    bias.defined() ? bias.value().data<W>() : nullptr, y.data<T>(), stream...);
  });
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(y, inputs, [=](const Tensor& dy) {
    std::vector<Tensor> grads(bias.defined() ? 3 : 2);
    const bool weights = w.requires_grad() || bias.requires_grad();
    if (x.requires_grad()) grads[0] = Tensor(x.shape(), x.dtype(), dy.device());
    if (weights) grads[1] = Tensor(w.shape(), w.dtype(), dy.device());
    if (weights && bias.defined()) grads[2] = Tensor(bias.shape(), bias.dtype(), dy.device());
    LOOKALIKE_ON_DEVICE(dy, {
      Tensor dz = dy;
      if (p.activation.kind != ActivationKind::none) {
        dz = Tensor(dy.shape(), dy.dtype(), dy.device());
        on::activation_backward(p.activation, y.data<T>(), dy.data<T>(), dz.data<T>(), y.size(), stream...);
      }
      if (x.requires_grad())
        on::depthwise_conv2d_backward_data<T>(p, dz.data<T>(), w.value().data<W>(), grads[0].data<T>(), stream...);
      if (weights) {
        Tensor workspace({on::depthwise_conv2d_workspace<T>(p)}, w.dtype(), dy.device());
        on::depthwise_conv2d_backward_weights<T>(p, x.value().data<T>(), dz.data<T>(), grads[1].data<W>(),
                                                 bias.defined() ? grads[2].data<W>() : nullptr, workspace.data<W>(),
                                                 stream...);
      }
    });
    return grads;
  });
}

}  // namespace lookalike

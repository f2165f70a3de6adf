#include "engine/ops/conv_transpose2d.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/ops/conv_arithmetic.h"
#include "kernels/conv2d.h"
#include "kernels/matmul.h"

namespace lookalike {

Variable conv_transpose2d(const Variable& x, const Variable& w, const Variable& bias,
                          const ConvTranspose2dOptions& options) {
  check(x.shape().rank() == 4 && w.shape().rank() == 4 && x.shape()[3] == w.shape()[0],
        "conv_transpose2d: images {} and weights {}, expected [N,H,W,C] and [C,R,S,K]", x.shape(), w.shape());
  check(!bias.defined() || bias.shape() == Shape{w.shape()[3]}, "conv_transpose2d: bias {}, expected [{}]",
        bias.defined() ? bias.shape() : Shape(), w.shape()[3]);
  const int64_t stride = options.stride, padding = options.padding, more = options.output_padding;
  check(stride >= 1 && padding >= 0 && more >= -1 && more < stride,
        "conv_transpose2d: stride {}, padding {}, output_padding {}, expected an output_padding from -1 to {}", stride,
        padding, more, stride - 1);
  // The convolution that this is the adjoint of: from y to x.
  Conv2dParams p{.batch = x.shape()[0],
                 .in_h = (x.shape()[1] - 1) * stride - 2 * padding + w.shape()[1] + more,
                 .in_w = (x.shape()[2] - 1) * stride - 2 * padding + w.shape()[2] + more,
                 .in_c = w.shape()[3],
                 .out_c = x.shape()[3],
                 .kernel_h = w.shape()[1],
                 .kernel_w = w.shape()[2],
                 .stride = stride};
  p.pad_top = p.pad_left = padding;
  p.pad_bottom = p.pad_right = padding - std::min<int64_t>(more, 0);
  check(x.shape()[1] > 0 && x.shape()[2] > 0 && p.in_h > 0 && p.in_w > 0,
        "conv_transpose2d: nothing is left of image {}, kernel {}, with padding {} and output_padding {}", x.shape(),
        w.shape(), padding, more);
  check_gpu_size("conv_transpose2d", x.shape(), x.device());
  check_gpu_images("conv_transpose2d", {p.batch, p.in_h, p.in_w, p.in_c}, p.pad_bottom, x.dtype(), x.device());
  choose_arithmetic(p);
  const Activation f = options.activation;

  Tensor y({p.batch, p.in_h, p.in_w, p.in_c}, x.dtype(), x.device());
  LOOKALIKE_ON_DEVICE(x, {
    Tensor workspace({on::conv2d_workspace<T>(p).backward_data}, x.dtype(), x.device());
    on::conv_transpose2d_forward<T>(p, f, x.value().data<T>(), w.value().data<W>(),
                                    bias.defined() ? bias.value().data<W>() : nullptr, y.data<T>(), workspace.data<T>(),
                                    stream...);
  });
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  return Variable::from_op(y, inputs, [=](const Tensor& dy) {
    std::vector<Tensor> grads(bias.defined() ? 3 : 2);
    Tensor dz = dy;
    if (f.kind != ActivationKind::none) {
      dz = Tensor(dy.shape(), dy.dtype(), dy.device());
      LOOKALIKE_ON_DEVICE(
          dy, { on::activation_backward(f, y.data<T>(), dy.data<T>(), dz.data<T>(), y.size(), stream...); });
    }
    if (bias.requires_grad()) {
      grads[2] = Tensor(bias.shape(), bias.dtype(), dy.device());
      const int64_t pixels = p.batch * p.in_h * p.in_w;
      LOOKALIKE_ON_DEVICE(dy, {
        Tensor workspace({on::column_sums_workspace<T>(pixels, p.in_c)}, dy.dtype(), dy.device());
        on::column_sums(pixels, p.in_c, dz.data<T>(), grads[2].data<W>(), workspace.data<T>(), stream...);
      });
    }
    if (x.requires_grad()) grads[0] = Tensor(x.shape(), x.dtype(), dy.device());
    if (w.requires_grad()) grads[1] = Tensor(w.shape(), w.dtype(), dy.device());
    // To the convolution from y to x, dz is an image and x a gradient.
    const Tensor &image = dz, &gradient = x.value();
    if (dy.device() == Device::cpu) {
      LOOKALIKE_ON_CPU(dy, {
        const auto sizes = on::conv2d_workspace<T>(p);
        Tensor workspace({std::max(sizes.forward, sizes.backward_weights)}, dy.dtype());
        if (x.requires_grad()) {
          on::conv2d_forward<T>(p, image.data<T>(), w.value().data<T>(), nullptr, grads[0].data<T>(), nullptr,
                                workspace.data<T>());
        }
        if (w.requires_grad()) {
          on::conv2d_backward_weights<T>(p, image.data<T>(), gradient.data<T>(), gradient.data<T>(), nullptr,
                                         grads[1].data<T>(), nullptr, workspace.data<T>());
        }
      });
    } else {
      LOOKALIKE_ON_GPU(dy, {
        const auto sizes = on::conv2d_workspace<T>(p);
        Tensor workspace({std::max(sizes.forward, sizes.backward_weights)}, dy.dtype(), dy.device());
        if (x.requires_grad()) {
          on::conv2d_forward<T>(p, image.data<T>(), w.value().data<W>(), nullptr, grads[0].data<T>(), nullptr, {},
                                workspace.data<T>(), stream...);
        }
        if (w.requires_grad()) {
          on::conv2d_backward_weights<T>(p, image.data<T>(), gradient.data<T>(), grads[1].data<W>(),
                                         workspace.data<T>(), stream...);
        }
      });
    }
    return grads;
  });
}

}  // namespace lookalike

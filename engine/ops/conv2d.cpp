#include "engine/ops/conv2d.h"

#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/ops/concat.h"
#include "engine/ops/conv_arithmetic.h"
#include "engine/ops/padding.h"
#include "kernels/conv2d.h"

namespace lookalike {

namespace {

uint8_t* argmax_of(Tensor& argmax) {
  return argmax.defined() ? argmax.data<uint8_t>() : nullptr;
}

// Of shapes and options that fit.
Conv2dParams params_of(const Variable& x, const Variable& w, const Variable& bias, const Conv2dOptions& options) {
  check(x.shape().rank() == 4 && w.shape().rank() == 4 && x.shape()[3] == w.shape()[3],
        "conv2d: images {} and weights {}, expected [N,H,W,C] and [K,R,S,C]", x.shape(), w.shape());
  check(!bias.defined() || bias.shape() == Shape{w.shape()[0]}, "conv2d: bias {}, expected [{}]",
        bias.defined() ? bias.shape() : Shape(), w.shape()[0]);
  check(options.stride >= 1 && options.padding >= 0 && (options.padding == 0 || !options.same) &&
            (options.max_pool == 1 || options.max_pool == 2),
        "conv2d: stride {}, padding {}{}, max_pool {}", options.stride, options.padding,
        options.same ? " and same" : "", options.max_pool);
  check(options.max_pool == 1 ||
            (options.activation.kind != ActivationKind::sigmoid && options.activation.kind != ActivationKind::relu6),
        "conv2d: sigmoid and relu6 do not go with max_pool");
  check(options.statistics_views == 0 ||
            (options.statistics_views > 0 && options.activation.kind == ActivationKind::none && options.max_pool == 1 &&
             x.shape()[0] % options.statistics_views == 0),
        "conv2d: statistics of {} views of a batch of {}, without activation and max_pool", options.statistics_views,
        x.shape()[0]);
  Conv2dParams p{.batch = x.shape()[0],
                 .in_h = x.shape()[1],
                 .in_w = x.shape()[2],
                 .in_c = x.shape()[3],
                 .out_c = w.shape()[0],
                 .kernel_h = w.shape()[1],
                 .kernel_w = w.shape()[2],
                 .stride = options.stride};
  const Padding padding =
      options.same ? Padding::same(p.in_h, p.in_w, p.kernel_h, p.kernel_w, p.stride) : Padding(options.padding);
  p.pad_top = padding.top, p.pad_left = padding.left, p.pad_bottom = padding.bottom, p.pad_right = padding.right;
  p.activation = options.activation, p.pool = options.max_pool;
  check(p.in_h + padding.top + padding.bottom >= p.kernel_h && p.in_w + padding.left + padding.right >= p.kernel_w &&
            p.y_h() > 0 && p.y_w() > 0,
        "conv2d: image {} is smaller than kernel {} with padding {} and max_pool {}", x.shape(), w.shape(),
        options.padding, options.max_pool);
  check_gpu_images("conv2d", x.shape(), std::max(padding.bottom, padding.right), x.dtype(), x.device());
  check_gpu_size("conv2d", {p.batch, p.out_h(), p.out_w(), p.out_c}, x.device());
  choose_arithmetic(p);
  return p;
}

}  // namespace

Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const Conv2dOptions& options) {
  const Conv2dParams p = params_of(x, w, bias, options);
  Tensor y({p.batch, p.y_h(), p.y_w(), p.out_c}, x.dtype(), x.device());
  Tensor argmax;
  if (p.pool == 2) argmax = Tensor(y.shape(), DType::u8, x.device());
  ChannelStatistics statistics;
  if (x.device() == Device::cpu) {
    LOOKALIKE_ON_CPU(x, {
      Tensor workspace({on::conv2d_workspace<T>(p).forward}, x.dtype());
      on::conv2d_forward<T>(p, x.value().data<T>(), w.value().data<T>(),
                            bias.defined() ? bias.value().data<T>() : nullptr, y.data<T>(), argmax_of(argmax),
                            workspace.data<T>());
    });
  } else {
    LOOKALIKE_ON_GPU(x, {
      Tensor workspace({on::conv2d_workspace<T>(p).forward}, x.dtype(), x.device());
      on::OutputStatistics to_take;
      if (options.statistics_views > 0) {
        statistics = {options.statistics_views, Tensor({options.statistics_views, p.out_c}, DType::f32, x.device()),
                      Tensor({options.statistics_views, p.out_c}, DType::f32, x.device())};
        to_take = {statistics.views, statistics.mean.data<float>(), statistics.variance.data<float>()};
      }
      on::conv2d_forward<T>(p, x.value().data<T>(), w.value().data<W>(),
                            bias.defined() ? bias.value().data<W>() : nullptr, y.data<T>(), argmax_of(argmax), to_take,
                            workspace.data<T>(), stream...);
    });
  }
  std::vector<Variable> inputs{x, w};
  if (bias.defined()) inputs.push_back(bias);
  const auto backward = [=](const Tensor& dy) mutable {
    std::vector<Tensor> grads(bias.defined() ? 3 : 2);
    const bool weights = w.requires_grad() || bias.requires_grad();
    if (x.requires_grad()) grads[0] = Tensor(x.shape(), x.dtype(), dy.device());
    if (weights) grads[1] = Tensor(w.shape(), w.dtype(), dy.device());
    if (weights && bias.defined()) grads[2] = Tensor(bias.shape(), bias.dtype(), dy.device());
    if (dy.device() == Device::cpu) {
      LOOKALIKE_ON_CPU(dy, {
        const auto sizes = on::conv2d_workspace<T>(p);
        if (x.requires_grad()) {
          Tensor workspace({sizes.backward_data}, dy.dtype());
          on::conv2d_backward_data<T>(p, dy.data<T>(), y.data<T>(), argmax_of(argmax), w.value().data<T>(),
                                      grads[0].data<T>(), workspace.data<T>());
        }
        if (weights) {
          Tensor workspace({sizes.backward_weights}, dy.dtype());
          on::conv2d_backward_weights<T>(p, x.value().data<T>(), dy.data<T>(), y.data<T>(), argmax_of(argmax),
                                         grads[1].data<T>(), bias.defined() ? grads[2].data<T>() : nullptr,
                                         workspace.data<T>());
        }
      });
    } else {
      // The gradient before activation and pooling is made once for both passes; where there is neither, it is dy.
      LOOKALIKE_ON_GPU(dy, {
        const auto sizes = on::conv2d_workspace<T>(p);
        Tensor workspace({std::max(sizes.backward_data, sizes.backward_weights)}, dy.dtype(), dy.device());
        const bool plain = p.activation.kind == ActivationKind::none && p.pool == 1;
        Tensor dz = plain ? dy : Tensor({p.batch, p.out_h(), p.out_w(), p.out_c}, dy.dtype(), dy.device());
        const bool with_bias = weights && bias.defined();
        if (!plain || with_bias) {
          on::conv2d_output_gradient<T>(p, dy.data<T>(), y.data<T>(), argmax_of(argmax), plain ? nullptr : dz.data<T>(),
                                        with_bias ? grads[2].data<W>() : nullptr, workspace.data<T>(), stream...);
        }
        if (x.requires_grad()) {
          on::conv2d_backward_data<T>(p, dz.data<T>(), w.value().data<W>(), grads[0].data<T>(), workspace.data<T>(),
                                      stream...);
        }
        if (weights) {
          on::conv2d_backward_weights<T>(p, x.value().data<T>(), dz.data<T>(), grads[1].data<W>(), workspace.data<T>(),
                                         stream...);
        }
      });
    }
    return grads;
  };
  Variable result = Variable::from_op(y, inputs, backward);
  result.statistics() = statistics;
  return result;
}

void PackedConv2d::pack() {
  packed = {};
  if (weight.device() != Device::cpu) return;
  const Shape& shape = weight.shape();
  const Conv2dParams p{.batch = 0,
                       .in_h = shape[1],
                       .in_w = shape[2],
                       .in_c = shape[3],
                       .out_c = shape[0],
                       .kernel_h = shape[1],
                       .kernel_w = shape[2],
                       .stride = options.stride};
  LOOKALIKE_ON_CPU(weight, {
    packed = Tensor({on::conv2d_packed_size<T>(p)}, weight.dtype());
    on::conv2d_pack<T>(p, weight.value().data<T>(), bias.defined() ? bias.value().data<T>() : nullptr,
                       packed.data<T>());
  });
}

namespace {

void check_packed(const PackedConv2d& conv) {
  check(conv.packed.defined(), "conv2d: weights {} that are not packed", conv.weight.shape());
}

}  // namespace

Variable conv2d(const Variable& x, const PackedConv2d& conv, const Variable& shortcut) {
  Conv2dParams p = params_of(x, conv.weight, conv.bias, conv.options);
  const Shape shape{p.batch, p.y_h(), p.y_w(), p.out_c};
  check(!shortcut.defined() || (p.pool == 1 && shortcut.shape() == shape && shortcut.dtype() == x.dtype()),
        "conv2d: a shortcut {}, expected {} without max_pool", shortcut.defined() ? shortcut.shape() : Shape(), shape);
  if (x.device() != Device::cpu) {
    if (!shortcut.defined()) return conv2d(x, conv.weight, conv.bias, conv.options);
    p.cudnn = false;
    Tensor y(shape, x.dtype(), x.device());
    LOOKALIKE_ON_GPU(x, {
      Tensor workspace({on::conv2d_workspace<T>(p).forward}, x.dtype(), x.device());
      on::conv2d_forward_plus<T>(p, x.value().data<T>(), conv.weight.value().data<W>(),
                                 conv.bias.defined() ? conv.bias.value().data<W>() : nullptr,
                                 shortcut.value().data<T>(), y.data<T>(), workspace.data<T>(), stream...);
    });
    return Variable(y);
  }
  Tensor y(shape, x.dtype()), argmax;
  if (p.pool == 2) argmax = Tensor(shape, DType::u8);
  check_packed(conv);
  LOOKALIKE_ON_CPU(x, {
    Tensor workspace({on::conv2d_workspace<T>(p).forward}, x.dtype());
    on::conv2d_forward_packed<T>(p, x.value().data<T>(), conv.packed.data<T>(),
                                 shortcut.defined() ? shortcut.value().data<T>() : nullptr, y.data<T>(),
                                 argmax_of(argmax), workspace.data<T>());
  });
  return Variable(y);
}

Variable conv2d_side_by_side(const Variable& x, const PackedConv2d& a, const PackedConv2d& b) {
  const Conv2dParams p = params_of(x, a.weight, a.bias, a.options), q = params_of(x, b.weight, b.bias, b.options);
  check(p.y_h() == q.y_h() && p.y_w() == q.y_w() && p.pool == 1 && q.pool == 1,
        "conv2d: {} x {} and {} x {} side by side, expected the same size and no max_pool", p.y_h(), p.y_w(), q.y_h(),
        q.y_w());
  if (x.device() != Device::cpu) return concat_channels(conv2d(x, a), conv2d(x, b));
  check_packed(a);
  check_packed(b);
  Tensor y({p.batch, p.y_h(), p.y_w(), p.out_c + q.out_c}, x.dtype());
  LOOKALIKE_ON_CPU(x, {
    Tensor workspace({std::max(on::conv2d_workspace<T>(p).forward, on::conv2d_workspace<T>(q).forward)}, x.dtype());
    on::conv2d_forward_side_by_side<T>(p, a.packed.data<T>(), q, b.packed.data<T>(), x.value().data<T>(), y.data<T>(),
                                       workspace.data<T>());
  });
  return Variable(y);
}

}  // namespace lookalike

#include "engine/ops/inverted_bottleneck.h"

#include "kernels/inverted_bottleneck.h"

namespace lookalike {
namespace {

bool pointwise(const PackedConv2d& conv) {
  const Shape& w = conv.weight.shape();
  const Conv2dOptions& options = conv.options;
  return w.rank() == 4 && w[1] * w[2] == 1 && options.stride == 1 && options.padding == 0 && options.max_pool == 1;
}

Conv2dParams params_of(const PackedConv2d& conv, int64_t batch, int64_t height, int64_t width) {
  const Shape& w = conv.weight.shape();
  return {.batch = batch,
          .in_h = height,
          .in_w = width,
          .in_c = w[3],
          .out_c = w[0],
          .kernel_h = 1,
          .kernel_w = 1,
          .activation = conv.options.activation};
}

}  // namespace

Variable inverted_bottleneck(const Variable& x, const PackedConv2d* expand, const Variable& w, const Variable& bias,
                             const DepthwiseConv2dOptions& options, const PackedConv2d& project,
                             const Variable& shortcut) {
  check((!expand || pointwise(*expand)) && pointwise(project),
        "inverted_bottleneck: expected pointwise convolutions around the depthwise one");
  const auto sigmoid = [](const Activation& f) { return f.kind == ActivationKind::sigmoid; };
  if (x.device() != Device::cpu || x.dtype() != DType::f32 || sigmoid(options.activation) ||
      (expand && sigmoid(expand->options.activation)))
    return conv2d(depthwise_conv2d(expand ? conv2d(x, *expand) : x, w, bias, options), project, shortcut);

  check((!expand || expand->packed.defined()) && project.packed.defined(),
        "inverted_bottleneck: weights that are not packed");
  const Shape& in = x.shape();
  const int64_t channels = w.shape()[2];
  check(in.rank() == 4 && in[3] == (expand ? expand->weight.shape()[3] : channels) &&
            (!expand || expand->weight.shape()[0] == channels) && project.weight.shape()[3] == channels,
        "inverted_bottleneck: images {}, weights to the depthwise convolution {}, {} channels of it, weights behind it "
        "{}",
        in, expand ? expand->weight.shape() : Shape(), channels, project.weight.shape());
  InvertedBottleneckParams p{.expand = {},
                             .depthwise = depthwise_conv2d_params({in[0], in[1], in[2], channels}, w, bias, options),
                             .project = {}};
  if (expand) p.expand = params_of(*expand, in[0], in[1], in[2]);
  p.project = params_of(project, in[0], p.depthwise.out_h(), p.depthwise.out_w());
  Tensor y({in[0], p.project.in_h, p.project.in_w, p.project.out_c});
  check(!shortcut.defined() || shortcut.shape() == y.shape(), "inverted_bottleneck: a shortcut {}, expected {}",
        shortcut.defined() ? shortcut.shape() : Shape(), y.shape());
  const auto data = [](const Variable& of) { return of.defined() ? of.value().data<float>() : nullptr; };
  Tensor workspace({cpu::inverted_bottleneck_workspace(p)});
  cpu::inverted_bottleneck_forward(p, data(x), expand ? expand->packed.data<float>() : nullptr, data(w), data(bias),
                                   project.packed.data<float>(), data(shortcut), y.data<float>(),
                                   workspace.data<float>());
  return Variable(y);
}

}  // namespace lookalike

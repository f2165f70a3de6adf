#include "engine/ops/activation.h"
#include "engine/ops/conv_transpose2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

struct Layer {
  int64_t batch, height, width, in_c, out_c, kernel_h, kernel_w;
  ConvTranspose2dOptions options;
  bool bias = true;

  int64_t out(int64_t in, int64_t kernel) const {
    return (in - 1) * options.stride - 2 * options.padding + kernel + options.output_padding;
  }
  Shape y() const { return {batch, out(height, kernel_h), out(width, kernel_w), out_c}; }
  double flops() const {
    return 6. * static_cast<double>(batch * height * width * in_c) * static_cast<double>(kernel_h * kernel_w * out_c);
  }
};

Variable bias_of(const std::vector<Variable>& in) {
  return in.size() > 2 ? in[2] : Variable();
}

// The definition by plain loops: each pixel of x scattered over its window of y. body(place in y, in x, in w).
template <class Body>
void scatter(const Layer& l, const Body& body) {
  const Shape y = l.y();
  int64_t at = 0;  // in x
  for (int64_t n = 0; n < l.batch; n++)
    for (int64_t h = 0; h < l.height; h++)
      for (int64_t v = 0; v < l.width; v++)
        for (int64_t c = 0; c < l.in_c; c++, at++)
          for (int64_t tap = 0; tap < l.kernel_h * l.kernel_w; tap++) {
            const int64_t i = h * l.options.stride + tap / l.kernel_w - l.options.padding;
            const int64_t j = v * l.options.stride + tap % l.kernel_w - l.options.padding;
            if (i < 0 || i >= y[1] || j < 0 || j >= y[2]) continue;
            for (int64_t k = 0; k < l.out_c; k++)
              body(((n * y[1] + i) * y[2] + j) * l.out_c + k, at, (c * l.kernel_h * l.kernel_w + tap) * l.out_c + k);
          }
}

Variable scattered(const Layer& l, const std::vector<Variable>& in) {
  const DType type = in[0].dtype();
  const Tensor x = in[0].value().to(DType::f64), w = in[1].value().to(DType::f64);
  Tensor y = Tensor::zeros(l.y(), DType::f64);
  if (l.bias) {
    const Tensor bias = in[2].value().to(DType::f64);
    for (int64_t i = 0; i < y.size(); i++) y.data<double>()[i] = bias.data<double>()[i % l.out_c];
  }
  scatter(l, [&](int64_t to, int64_t from, int64_t weight) {
    y.data<double>()[to] += x.data<double>()[from] * w.data<double>()[weight];
  });
  const auto backward = [=](const Tensor& gradient) {
    const Tensor dy = gradient.to(DType::f64);
    std::vector<Tensor> grads;
    for (const Variable& input : in) grads.push_back(Tensor::zeros(input.shape(), DType::f64));
    double *dx = grads[0].data<double>(), *dw = grads[1].data<double>();
    scatter(l, [&](int64_t to, int64_t from, int64_t weight) {
      dx[from] += dy.data<double>()[to] * w.data<double>()[weight];
      dw[weight] += dy.data<double>()[to] * x.data<double>()[from];
    });
    if (l.bias)
      for (int64_t i = 0; i < dy.size(); i++) grads[2].data<double>()[i % l.out_c] += dy.data<double>()[i];
    for (Tensor& grad : grads) grad = grad.to(type);
    return grads;
  };
  return activation(Variable::from_op(y.to(type), in, backward), l.options.activation);
}

OpCase make_case(const Layer& l) {
  OpCase c{.name = fmt::format("conv_transpose2d {}->{} {}x{} of {}x{}x{} stride {} padding {} output_padding {} {}{}",
                               l.in_c, l.out_c, l.kernel_h, l.kernel_w, l.batch, l.height, l.width, l.options.stride,
                               l.options.padding, l.options.output_padding, name_of(l.options.activation.kind),
                               l.bias ? "" : " no bias"),
           .inputs = {{l.batch, l.height, l.width, l.in_c}, {l.in_c, l.kernel_h, l.kernel_w, l.out_c}}};
  if (l.bias) c.inputs.push_back({l.out_c});
  c.kinks = has_kink(l.options.activation.kind);
  c.op = [options = l.options](auto& in) { return conv_transpose2d(in[0], in[1], bias_of(in), options); };
  c.same_as = [l](auto& in) { return scattered(l, in); };
  return c;
}

const RegisterOpCases cases([](std::vector<OpCase>& add) {
  const Activation leaky{ActivationKind::leaky_relu, 0.1}, sigmoid{ActivationKind::sigmoid};
  for (const Layer& layer : std::initializer_list<Layer>{
           {0, 4, 4, 3, 5, 3, 3, {.stride = 2, .padding = 1, .output_padding = 1, .activation = leaky}},
           {1, 1, 1, 1, 1, 1, 1, {}},
           {1, 8, 7, 5, 33, 3, 3, {.stride = 2, .padding = 1, .output_padding = 1, .activation = leaky}},
           {2, 8, 7, 33, 3, 3, 3, {.stride = 2, .output_padding = -1, .activation = leaky}},
           {3, 16, 16, 16, 16, 3, 3, {.stride = 2, .padding = 1, .output_padding = 1, .activation = leaky}},
           {1, 5, 6, 3, 1, 3, 3, {.stride = 2, .padding = 1, .activation = sigmoid}},
           {1, 4, 9, 33, 31, 4, 4, {.stride = 2, .padding = 1}, false},
           {2, 3, 5, 1, 33, 4, 3, {.stride = 3, .padding = 2, .output_padding = 2, .activation = sigmoid}, false},
           {1, 6, 4, 5, 3, 2, 2, {.stride = 2, .activation = leaky}, false},
           {2, 7, 3, 3, 5, 2, 2, {.stride = 3, .output_padding = 2, .activation = leaky}},
           {1, 5, 17, 33, 5, 2, 4, {.stride = 3, .padding = 1, .output_padding = 1}},
           {2, 9, 6, 5, 33, 3, 3, {.padding = 1, .activation = sigmoid}},
           {1, 7, 5, 3, 1, 4, 2, {.padding = 2, .activation = leaky}},
           {1, 4, 5, 1, 3, 2, 3, {.stride = 2, .padding = 2, .output_padding = 1}},
           {2, 6, 5, 31, 33, 1, 1, {.activation = leaky}},
           {1, 3, 2, 5, 33, 1, 1, {.stride = 2, .output_padding = 1, .activation = sigmoid}},
       })
    add.push_back(make_case(layer));

  // The decoder of the 128x128 autoencoder.
  for (const int64_t side : {16, 32, 64}) {
    const Layer layer{32, side, side, 16, 16, 3, 3, {.stride = 2, .output_padding = -1, .activation = leaky}};
    OpCase c = make_case(layer);
    c.bench = true;
    c.tolerance = 1e-2;  // of so many values some lie so near the kink that float takes the other side
    c.flops = layer.flops();
    add.push_back(c);
  }
});

}  // namespace
}  // namespace lookalike::testing

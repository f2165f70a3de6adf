#include "engine/ops/activation.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/pool2d.h"
#include "engine/ops/views.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Running averages far from trivial, made anew for each call: the op keeps no state between calls.
Variable normalise(const std::vector<Variable>& in, const BatchNormOptions& options) {
  const int64_t channels = in[1].value().size();
  const auto place = [&](const Tensor& t) { return t.to(in[1].dtype()).to(in[1].device()); };
  Tensor mean = place(random_tensor({channels}, DType::f64, 5)), variance({channels}, in[1].dtype(), in[1].device());
  variance.fill(1.7);
  return batch_norm(in[0], in[1], in[2], mean, variance, options);
}

// The same from ops that each do one thing: a pass for each view, then activation, then pool.
Variable composed(const std::vector<Variable>& in, const BatchNormOptions& options) {
  std::vector<Variable> views;
  for (const Variable& view : split_views(in[0], options.views)) {
    BatchNormOptions plain = options;
    plain.views = 1, plain.activation = {}, plain.max_pool = 1;
    views.push_back(normalise({view, in[1], in[2]}, plain));
  }
  const Variable y = activation(stack_views(views), options.activation);
  return options.max_pool == 2 ? max_pool2d(y, 2) : y;
}

OpCase make_case(const Shape& x, const BatchNormOptions& options) {
  return {.name = fmt::format("batch_norm {} views {} {}{}{}", x.to_string(), options.views,
                              name_of(options.activation.kind), options.max_pool == 2 ? " pool" : "",
                              options.training ? "" : " eval"),
          .inputs = {x, Shape{x[-1]}, Shape{x[-1]}},
          .op = [options](auto& in) { return normalise(in, options); },
          .tolerance = 1e-5,
          .same_as = [options](auto& in) { return composed(in, options); },
          .kinks = options.max_pool == 2 || has_kink(options.activation.kind)};
}

// Behind a convolution that takes the statistics on its way out.
OpCase make_fused_case(const Shape& x, int64_t channels) {
  const auto with = [](int64_t statistics_views) {
    return [statistics_views](const std::vector<Variable>& in) {
      const Variable z = conv2d(in[0], in[1], in[2], {.padding = 1, .statistics_views = statistics_views});
      return normalise({z, in[3], in[4]}, {.views = 2});
    };
  };
  return {.name = fmt::format("batch_norm of conv2d {}->{}", x.to_string(), channels),
          .inputs = {x, {channels, 3, 3, x[-1]}, {channels}, {channels}, {channels}},
          .op = with(2),
          // The bias goes away with the mean.
          .differentiable = {true, true, false, true, true},
          .tolerance = 1e-5,
          .same_as = with(0)};
}

const RegisterOpCases cases([](std::vector<OpCase>& add) {
  const Activation none, relu{ActivationKind::relu}, leaky{ActivationKind::leaky_relu, 0.1},
      sigmoid{ActivationKind::sigmoid};
  for (bool training : {true, false}) {
    for (const Shape& x : {Shape{12, 3}, Shape{6, 1}, Shape{130, 31}, Shape{6, 300}, Shape{4, 3, 5, 64}}) {
      for (const Activation& f : {none, leaky})
        add.push_back(make_case(x, {.views = 2, .training = training, .activation = f}));
    }
    for (const Shape& x : {Shape{4, 4, 6, 64}, Shape{2, 5, 7, 3}, Shape{2, 3, 2, 31}, Shape{2, 2, 2, 257}}) {
      for (const Activation& f : {none, relu, leaky, sigmoid}) {
        add.push_back(make_case(x, {.views = 2, .training = training, .activation = f, .max_pool = 2}));
      }
    }
    add.push_back(make_case({1030, 17}, {.views = 2, .training = training}));  // several blocks of rows for each view
    add.push_back(make_case({3, 4, 4, 5}, {.training = training, .activation = relu}));
    add.push_back(make_case({3, 4, 4, 8}, {.training = training, .activation = {ActivationKind::relu6}}));
    add.push_back(make_case({3, 2, 3, 1}, {.views = 3, .training = training, .activation = sigmoid}));
  }
  // Two tiles of 64 pixels for each view; views that are no whole number of tiles.
  add.push_back(make_fused_case({4, 8, 8, 3}, 5));
  add.push_back(make_fused_case({4, 5, 7, 2}, 5));
  for (const Shape& x : {Shape{128, 32, 32, 64}, Shape{128, 64, 64, 32}}) {
    for (int64_t pool : {1, 2}) {
      OpCase c = make_case(x, {.views = 2, .activation = leaky, .max_pool = pool});
      c.bench = true;
      c.tolerance = 1e-3;  // of so many values some lie so near a kink or a tie that float takes the other side
      // Values moved, in units of x: statistics 1, forward 1 + y; reduce, backward x + dx and twice dy. With pool the
      // winners are written and read twice, and dy and y are quarters.
      c.bytes = 4. * static_cast<double>(x.size()) * (pool == 1 ? 3 + 2 + 3 : 2 + 0.5 + 0.5 + 2.5);
      add.push_back(c);
    }
  }
});

}  // namespace
}  // namespace lookalike::testing

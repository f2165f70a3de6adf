#include "engine/ops/activation.h"
#include "engine/ops/linear.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

OpCase make_case(int64_t batch, int64_t in, int64_t out, bool bias, const Activation& f) {
  OpCase c{.name = fmt::format("linear {}->{} of {} {}{}", in, out, batch, name_of(f.kind), bias ? "" : " no bias"),
           .inputs = {{batch, in}, {out, in}}};
  if (bias) c.inputs.push_back({out});
  c.kinks = has_kink(f.kind);
  const auto bias_of = [](auto& in) { return in.size() > 2 ? in[2] : Variable(); };
  c.op = [=](auto& in) { return linear(in[0], in[1], bias_of(in), f); };
  c.same_as = [=](auto& in) { return activation(linear(in[0], in[1], bias_of(in)), f); };
  return c;
}

const RegisterOpCases cases([](std::vector<OpCase>& add) {
  const Activation none, relu{ActivationKind::relu}, leaky{ActivationKind::leaky_relu, 0.1},
      sigmoid{ActivationKind::sigmoid};
  add.push_back(make_case(0, 5, 3, true, none));
  add.push_back(make_case(1, 1, 1, true, leaky));
  add.push_back(make_case(2, 31, 33, true, relu));
  add.push_back(make_case(17, 33, 31, false, none));
  add.push_back(make_case(3, 1030, 64, true, leaky));
  add.push_back(make_case(29, 7, 1, true, sigmoid));
  for (int64_t batch : {64, 128}) {
    OpCase c = make_case(batch, 32768, 128, true, none);
    c.bench = true;
    c.flops = 6. * static_cast<double>(batch) * 32768 * 128;
    add.push_back(c);
  }
});

}  // namespace
}  // namespace lookalike::testing

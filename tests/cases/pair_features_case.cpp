#include "engine/ops/pair_features.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Keeps a and b apart from each other.
void part(std::vector<Tensor>& in) {
  for (int64_t i = 0; i < in[0].size(); i++) {
    double &a = in[0].data<double>()[i], b = in[1].data<double>()[i];
    a += a < b ? -0.01 : 0.01;
  }
}

OpCase features(PairFeatures kind, const Shape& shape) {
  return {
      .name = fmt::format("pair_features {} {}", kind == PairFeatures::both ? "both" : "difference", shape.to_string()),
      .inputs = {shape, shape},
      .op = [=](auto& in) { return pair_features(in[0], in[1], kind); },
      .prepare = part,
      .activations = 2};
}

}  // namespace

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  for (const PairFeatures kind : {PairFeatures::difference, PairFeatures::both}) {
    for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}, Shape{1, 1}, Shape{5, 33}, Shape{31, 16}})
      add.push_back(features(kind, shape));
  }
  OpCase large = features(PairFeatures::both, {4096, 128});
  large.bench = true, large.bytes = 10 * 4. * 4096 * 128;
  add.push_back(large);
});

}  // namespace lookalike::testing

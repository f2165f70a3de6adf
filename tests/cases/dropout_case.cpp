#include "engine/ops/dropout.h"
#include "tests/op_case.h"

namespace lookalike::testing {

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  for (const Shape& shape : {Shape{0, 3}, Shape{1}, Shape{31}, Shape{3, 33, 7}, Shape{4, 64}}) {
    for (const double rate : {0.0, 0.3}) {
      add.push_back({.name = fmt::format("dropout {} {}", rate, shape.to_string()),
                     .inputs = {shape},
                     .op = [rate](auto& in) { return dropout(in[0], rate, 5); }});
    }
  }
});

}  // namespace lookalike::testing

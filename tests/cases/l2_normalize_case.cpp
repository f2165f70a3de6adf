#include "engine/ops/l2_normalize.h"
#include "tests/op_case.h"

namespace lookalike::testing {

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  for (const Shape& shape : {Shape{0, 3}, Shape{1, 4}, Shape{3, 33}, Shape{31, 128}}) {
    add.push_back({.name = "l2_normalize " + shape.to_string(), .inputs = {shape}, .op = [](auto& in) {
                     return l2_normalize(in[0]);
                   }});
  }
  const int64_t n = 4096, d = 128;
  add.push_back({.name = "l2_normalize [4096, 128]",
                 .inputs = {{n, d}},
                 .op = [](auto& in) { return l2_normalize(in[0]); },
                 .bench = true,
                 .bytes = 5 * 4. * n * d});
});

}  // namespace lookalike::testing

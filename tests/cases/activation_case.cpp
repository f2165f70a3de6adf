#include "engine/ops/activation.h"
#include "tests/op_case.h"

namespace lookalike::testing {

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  for (const Shape& shape : {Shape{0, 3}, Shape{1}, Shape{31}, Shape{3, 33, 7}}) {
    const auto away = [](std::vector<Tensor>& in) { keep_from_zero(in[0]); };
    const std::string of = " " + shape.to_string();
    add.push_back(
        {.name = "relu" + of, .inputs = {shape}, .op = [](auto& in) { return relu(in[0]); }, .prepare = away});
    add.push_back({.name = "leaky_relu" + of,
                   .inputs = {shape},
                   .op = [](auto& in) { return leaky_relu(in[0], 0.2); },
                   .prepare = away});
    add.push_back({.name = "relu6" + of,
                   .inputs = {shape},
                   .op = [](auto& in) { return relu6(in[0]); },
                   .prepare =
                       [](auto& in) {
                         for (double& x : in[0].template span<double>()) x = 6 * x + std::copysign(0.4, x);
                         for (double& x : in[0].template span<double>()) x += std::abs(x - 6) < 0.1 ? 0.2 : 0;
                       }});
    add.push_back({.name = "sigmoid" + of, .inputs = {shape}, .op = [](auto& in) { return sigmoid(in[0]); }});
  }
  const int64_t n = 1 << 23;
  add.push_back({.name = "relu 32 MB",
                 .inputs = {Shape{n}},
                 .op = [](auto& in) { return relu(in[0]); },
                 .bench = true,
                 .bytes = 5 * 4. * n});
});

}  // namespace lookalike::testing

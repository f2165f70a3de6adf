#include "engine/ops/concat.h"
#include "tests/op_case.h"

namespace lookalike::testing {

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  struct Parts {
    Shape a, b;
  };
  for (const auto& [a, b] :
       {Parts{{2, 3, 5, 8}, {2, 3, 5, 24}}, Parts{{3, 31}, {3, 33}}, Parts{{1, 2, 2, 1}, {1, 2, 2, 7}},
        Parts{{0, 4}, {0, 3}}, Parts{{5}, {2}}, Parts{{2, 0}, {2, 3}}}) {
    const std::string of = fmt::format(" {} {}", a.to_string(), b.to_string());
    const auto concat = [](auto& in) { return concat_channels(in[0], in[1]); };
    add.push_back({.name = "concat_channels" + of, .inputs = {a, b}, .op = concat, .activations = 2});
    // Where one part needs no gradient.
    add.push_back({.name = "concat_channels behind a constant" + of,
                   .inputs = {a, b},
                   .op = concat,
                   .differentiable = {false, true},
                   .activations = 2});
  }
  const Shape half{32, 56, 56, 64};
  add.push_back({.name = "concat_channels [32, 56, 56, 64] twice",
                 .inputs = {half, half},
                 .op = [](auto& in) { return concat_channels(in[0], in[1]); },
                 .bench = true,
                 .bytes = 2 * 4 * 4. * static_cast<double>(half.size())});
});

}  // namespace lookalike::testing

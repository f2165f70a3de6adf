#include "engine/ops/gather_rows.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Row 1 of x is never asked for, others several times, in no order.
std::vector<int32_t> some_rows(int64_t count, int64_t rows) {
  std::vector<int32_t> index;
  for (int64_t i = 0; i < count; i++) {
    const int64_t row = (7 * i + i * i / 3) % rows;
    index.push_back(static_cast<int32_t>(row == 1 ? 0 : row));
  }
  return index;
}

OpCase gather(int64_t count, const Shape& shape) {
  return {.name = fmt::format("gather_rows {} of {}", count, shape.to_string()),
          .inputs = {shape},
          .op = [=](auto& in) { return gather_rows(in[0], some_rows(count, shape[0])); }};
}

}  // namespace

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  for (const auto& [count, shape] : std::initializer_list<std::pair<int64_t, Shape>>{
           {0, {4, 3}}, {0, {0, 3}}, {5, {2, 0}}, {1, {1, 1}}, {31, {13, 33}}, {100, {37, 16}}, {3, {37, 8}}}) {
    add.push_back(gather(count, shape));
  }
  OpCase large = gather(8192, {4096, 128});
  large.bench = true, large.bytes = 4. * 128 * (2 * 8192 + 8192 + 4096);
  add.push_back(large);
});

}  // namespace lookalike::testing

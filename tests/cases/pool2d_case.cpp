#include "engine/ops/pool2d.h"
#include "tests/op_case.h"

namespace lookalike::testing {

static const RegisterOpCases cases([](std::vector<OpCase>& add) {
  const auto distinct = [](std::vector<Tensor>& in) { make_distinct(in[0]); };
  struct Window {
    Shape x;
    int64_t size, stride, padding = 0;
  };
  for (const auto& [x, size, stride, padding] :
       {Window{{2, 6, 8, 31}, 2, 0}, Window{{1, 5, 7, 3}, 2, 0}, Window{{3, 7, 5, 1}, 3, 2},
        Window{{2, 9, 9, 64}, 3, 1}, Window{{1, 3, 4, 3}, 1, 2}, Window{{1, 17, 16, 2}, 16, 0},
        Window{{0, 4, 4, 3}, 2, 0}, Window{{2, 9, 8, 64}, 3, 2, 1}, Window{{2, 6, 7, 5}, 3, 1, 2},
        Window{{1, 5, 7, 3}, 2, 0, 1}, Window{{2, 7, 5, 4}, 2, 3, 1}, Window{{1, 1, 2, 3}, 3, 2, 1}}) {
    const std::string of = fmt::format(" {} size {} stride {} padding {}", x.to_string(), size, stride, padding);
    add.push_back({.name = "max_pool2d" + of,
                   .inputs = {x},
                   .op = [=](auto& in) { return max_pool2d(in[0], size, stride, padding); },
                   .prepare = distinct});
    if (padding > 0) continue;
    add.push_back({.name = "avg_pool2d" + of, .inputs = {x}, .op = [size, stride](auto& in) {
                     return avg_pool2d(in[0], size, stride);
                   }});
  }
  for (const Shape& x : {Shape{3, 5, 4, 31}, Shape{1, 1, 1, 1}, Shape{2, 16, 17, 3}, Shape{2, 4, 4, 64}}) {
    const std::string of = " " + x.to_string();
    // Where one window covers the image, pooling is global pooling.
    const bool square = x[1] == x[2];
    const auto as_window = [](auto pool) {
      return [pool](const std::vector<Variable>& in) { return pool(in[0], in[0].shape()[1]); };
    };
    const auto max_window = [](const Variable& v, int64_t size) { return max_pool2d(v, size); };
    const auto avg_window = [](const Variable& v, int64_t size) { return avg_pool2d(v, size); };
    add.push_back({.name = "global_max_pool" + of,
                   .inputs = {x},
                   .op = [](auto& in) { return global_max_pool(in[0]); },
                   .prepare = distinct,
                   .same_as = square ? as_window(max_window) : OpFunction()});
    add.push_back({.name = "global_avg_pool" + of,
                   .inputs = {x},
                   .op = [](auto& in) { return global_avg_pool(in[0]); },
                   .same_as = square ? as_window(avg_window) : OpFunction()});
  }
  const Shape large{128, 64, 64, 32};
  const double bytes = 4. * static_cast<double>(large.size());
  add.push_back({.name = "max_pool2d 2 [128, 64, 64, 32]",
                 .inputs = {large},
                 .op = [](auto& in) { return max_pool2d(in[0], 2); },
                 .bench = true,
                 .bytes = bytes * (2 + 2 * (0.25 + 0.0625))});
});

}  // namespace lookalike::testing

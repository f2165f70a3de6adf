// The ladder of the matrix product: c[m,n] = a[m,k] b[k,n], row-major. Sizes are multiples of 8, not of any tile.
#include "bench/ladders/ladder.h"

namespace lookalike::ladder {
namespace {

int64_t area(int64_t rows, int64_t columns) {
  return rows * columns;
}

double element(const Sizes& s, const float* a, const float* b, int64_t index) {
  const int64_t n = s[1], k = s[2], i = index / n, j = index % n;
  double sum = 0;
  for (int64_t p = 0; p < k; p++) sum += double{a[i * k + p]} * b[p * n + j];
  return sum;
}

[[maybe_unused]] const bool registered = add_ladder({
    .name = "matmul",
    .formula = "c[m,n] = a[m,k] b[k,n]",
    .size_names = {"m", "n", "k"},
    .verified = {{136, 144, 40}, {8, 8, 8}, {72, 152, 24}},
    .timed = {4096, 4096, 4096},
    .count_a = [](const Sizes& s) { return area(s[0], s[2]); },
    .count_b = [](const Sizes& s) { return area(s[2], s[1]); },
    .count_c = [](const Sizes& s) { return area(s[0], s[1]); },
    .flops = [](const Sizes& s) { return 2.0 * s[0] * s[1] * s[2]; },
    .reference = element,
});

}  // namespace
}  // namespace lookalike::ladder

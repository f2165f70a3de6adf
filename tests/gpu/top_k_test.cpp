#include "kernels/top_k.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "engine/eval/retrieval.h"
#include "tests/gpu/device_array.h"

namespace lookalike::testing {
namespace {

using Rows = std::vector<float>;

struct Found {
  std::vector<int64_t> indices;
  std::vector<float> scores;
};

// The database begins `offset` floats behind where it is aligned.
Found search_on_gpu(const Rows& queries, Rows database, int64_t d, int64_t k, int64_t offset = 0) {
  const int64_t q = std::ssize(queries) / d, n = std::ssize(database) / d;
  database.insert(database.begin(), offset, NAN);
  DeviceArray<float> from(queries), to(database), scores(q * k);
  DeviceArray<int64_t> indices(q * k);
  DeviceArray<uint64_t> workspace(cuda::top_k_workspace(q, n, k));
  cuda::top_k(from.data(), to.data() + offset, q, n, d, k, workspace.data(), scores.data(), indices.data(),
              gpu::compute_stream());
  workspace.read();
  return {indices.read(), scores.read()};
}

Tensor tensor_of(const std::vector<float>& values, int64_t d) {
  Tensor result({std::ssize(values) / d, d});
  std::ranges::copy(values, result.data<float>());
  return result;
}

// Small whole numbers: every order of summation gives the same scores, and many of them are equal.
std::vector<float> whole_numbers(int64_t count, uint64_t seed) {
  std::vector<float> result = random_values<float>(count, seed);
  for (float& x : result) x = std::round(x);
  return result;
}

void check_top_k(const std::vector<float>& queries, const std::vector<float>& database, int64_t d, int64_t k) {
  const Found found = search_on_gpu(queries, database, d, k);
  const Neighbors want = search_top_k(tensor_of(queries, d), tensor_of(database, d), k);
  const auto indices = want.indices.span<int64_t>();
  const auto scores = want.scores.span<float>();
  CHECK(std::ranges::equal(found.indices, indices));
  CHECK(std::ranges::equal(found.scores, scores));
}

TEST_CASE("top_k") {
  constexpr struct {
    int64_t q, n, d, k;
  } kCases[] = {{0, 1, 3, 1},      {1, 1, 1, 1},      {1, 31, 3, 31},     {3, 1009, 5, 10}, {65, 130, 4, 7},
                {2, 1031, 2, 129}, {1, 1200, 3, 600}, {1, 1100, 2, 1024}, {2, 2111, 1, 3}};
  for (const auto& [q, n, d, k] : kCases) {
    CAPTURE(q);
    CAPTURE(n);
    CAPTURE(k);
    check_top_k(whole_numbers(q * d, 1), whole_numbers(n * d, 2), d, k);
  }
}

std::vector<float> sorted_rows(int64_t n, float sign) {
  std::vector<float> rows;
  for (int64_t i = 0; i < n; i++) rows.push_back(sign * static_cast<float>(i / 2));
  return rows;
}

// Rising scores raise the threshold with every row; falling ones never do.
TEST_CASE("top_k of sorted rows") {
  for (const float sign : {1.0f, -1.0f}) {
    for (const int64_t k : {1, 70, 520}) check_top_k({1, 2}, sorted_rows(1200, sign), 1, k);
  }
}

// So many that a block takes several tiles, and its lists fill up more than once.
TEST_CASE("top_k of many sorted rows") {
  check_top_k({1, 2}, sorted_rows(3900, 1), 1, 70);
}

TEST_CASE("top_k of what is no number") {
  std::vector<float> rows = whole_numbers(300, 3);
  for (int64_t i = 0; i < std::ssize(rows); i += 3) rows[i] = i % 2 == 0 ? NAN : i % 9 == 0 ? INFINITY : -INFINITY;
  check_top_k({1, -1}, rows, 1, 300);
  check_top_k({1, -1}, rows, 1, 5);
  check_top_k({1}, std::vector<float>(200, NAN), 1, 150);
}

TEST_CASE("top_k of rows that are not aligned") {
  const Rows queries = whole_numbers(8, 1), database = whole_numbers(40, 2);
  const Found want = search_on_gpu(queries, database, 4, 3);
  const Found found = search_on_gpu(queries, database, 4, 3, 1);
  CHECK(found.indices == want.indices);
  CHECK(found.scores == want.scores);
}

TEST_CASE("top_k of ordinary rows") {
  const int64_t q = 5, n = 257, d = 37, k = 20;
  const auto queries = random_values<float>(q * d, 1), database = random_values<float>(n * d, 2);
  const Found found = search_on_gpu(queries, database, d, k);
  const Neighbors want = search_top_k(tensor_of(queries, d), tensor_of(database, d), k);
  CHECK(std::ranges::equal(found.indices, want.indices.span<int64_t>()));
  const auto scores = want.scores.span<float>();
  CHECK(relative_error(to_double(found.scores), {scores.begin(), scores.end()}) < 1e-6);
}

}  // namespace
}  // namespace lookalike::testing

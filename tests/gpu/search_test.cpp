// Search and near duplicates on the GPU give what the CPU gives, to the bit.
#include "engine/search/search.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "engine/search/index_file.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// Rows of which many are the same, or nearly.
Tensor alike(int64_t n, int64_t d, uint64_t seed) {
  Random random(seed, RandomUse::test);
  Tensor rows({n, d});
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < d; j++)
      rows.data<float>()[i * d + j] =
          i >= 10 && i % 3
              ? rows.data<float>()[(i - 10) * d + j] + (i % 3 == 1 ? 0 : 0.01f * random.normal())
              : random.normal();
  return rows;
}

TEST_CASE("search") {
  const Tensor rows = alike(301, 7, 1), queries = alike(66, 7, 2);
  for (const Similarity similarity : {Similarity::cosine, Similarity::negative_distance})
    for (const DType storage : {DType::f32, DType::f16}) {
      const bool cosine = similarity == Similarity::cosine;
      const Tensor all = cosine ? normalize_rows(rows) : rows,
                   asked = cosine ? normalize_rows(queries) : queries;
      Tensor stored = all;
      if (storage == DType::f16) {
        stored = Tensor(all.shape(), DType::f16);
        std::ranges::transform(all.span<float>(), stored.data<f16>(), to_f16);
      }
      const Neighbors want = Searcher(stored, similarity, Device::cpu).find(asked, 9);
      // In one block, and in several.
      for (const int64_t bytes : {int64_t{1} << 20, int64_t{3000}}) {
        CAPTURE(bytes);
        const Neighbors got = Searcher(stored, similarity, Device::cuda, bytes).find(asked, 9);
        CHECK(std::ranges::equal(got.indices.span<int64_t>(), want.indices.span<int64_t>()));
        CHECK(std::ranges::equal(got.scores.span<float>(), want.scores.span<float>()));
      }
    }
}

TEST_CASE("duplicates") {
  const Tensor rows = alike(1100, 5, 3);
  const auto check = [](const Tensor& of, Similarity similarity, float threshold) {
    const auto want = find_duplicates(of.clone(), similarity, threshold, Device::cpu),
               got = find_duplicates(of.clone(), similarity, threshold, Device::cuda);
    REQUIRE(got.size() == want.size());
    CHECK(got.size() > 20);
    for (size_t i = 0; i < got.size(); i++) {
      CHECK(got[i].representative == want[i].representative);
      CHECK(std::ranges::equal(got[i].members, want[i].members, [](const auto& a, const auto& b) {
        return a.row == b.row && a.score == b.score;
      }));
    }
  };
  check(normalize_rows(rows), Similarity::cosine, 0.999f);
  check(rows, Similarity::negative_distance, -0.05f);
}

}  // namespace
}  // namespace lookalike::testing

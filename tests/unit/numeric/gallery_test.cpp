// Ranks among all images, against what counting says.
#include "engine/eval/gallery.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/core/error.h"
#include "engine/core/random.h"

namespace lookalike {
namespace {

// Rows of `levels` values a step of 1 apart, without 0, so that no row has length 0. With two, -1
// and 1, and 16 in a row, cosines are whole sixteenths: exact, and equal to many others.
Tensor coarse_rows(int64_t rows, int64_t d, int levels, uint64_t seed) {
  Tensor matrix({rows, d});
  Random random(seed, RandomUse::test);
  for (float& value : matrix.span<float>()) {
    const auto level = static_cast<float>(random.below(levels)) - static_cast<float>(levels / 2);
    value = level >= 0 ? level + 1 : level;
  }
  return matrix;
}

// Whole numbers that rank as the similarity does.
std::vector<int64_t> counted_ranks(const Tensor& queries, const Tensor& gallery,
                                   const GalleryTruth& truth, Similarity similarity) {
  const int64_t n = gallery.shape()[0], d = gallery.shape()[1];
  std::vector<int64_t> ranks;
  for (int64_t q = 0; q < queries.shape()[0]; q++) {
    std::vector<int64_t> scores(n);
    for (int64_t row = 0; row < n; row++)
      for (int64_t i = 0; i < d; i++) {
        const auto a = static_cast<int64_t>(queries.data<float>()[q * d + i]),
                   b = static_cast<int64_t>(gallery.data<float>()[row * d + i]);
        scores[row] += similarity == Similarity::cosine ? a * b : -(a - b) * (a - b);
      }
    int64_t best = n;
    for (int64_t at = truth.begins[q]; at < truth.begins[q + 1]; at++) {
      const int64_t own = truth.partners[at];
      int64_t rank = 1;
      for (int64_t row = 0; row < n; row++)
        rank += scores[row] > scores[own] || (scores[row] == scores[own] && row < own);
      best = std::min(best, rank);
    }
    ranks.push_back(best);
  }
  return ranks;
}

TEST_CASE("gallery ranks are those of counting, ties and several partners included") {
  for (const auto& [queries, images] :
       std::vector<std::array<int64_t, 2>>{{1, 1}, {3, 31}, {25, 33}, {300, 700}}) {
    CAPTURE(images);
    GalleryTruth truth;
    Random random(3, RandomUse::test, images);
    for (int64_t q = 0; q < queries; q++) {
      std::vector<int64_t> rows(1 + random.below(3));
      for (int64_t& row : rows) row = static_cast<int64_t>(random.below(images));
      truth.add_query(rows);
    }
    for (const auto& [similarity, levels] :
         {std::pair(Similarity::cosine, 2), {Similarity::negative_distance, 4}}) {
      const Tensor a = coarse_rows(queries, 16, levels, 1), b = coarse_rows(images, 16, levels, 2);
      const auto expected = counted_ranks(a, b, truth, similarity);
      CHECK(gallery_ranks(a, b, truth, similarity) == expected);
      const int threads = omp_get_max_threads();
      omp_set_num_threads(1);
      CHECK(gallery_ranks(a, b, truth, similarity) == expected);
      omp_set_num_threads(threads);
    }
  }
}

TEST_CASE("a network that makes one embedding of everything ranks by index") {
  Tensor same({40, 8});
  same.fill(1);
  GalleryTruth truth;
  std::vector<int64_t> expected;
  for (int64_t q = 0; q < 40; q++) truth.add_query(std::vector{q}), expected.push_back(q + 1);
  CHECK(gallery_ranks(same, same, truth, Similarity::cosine) == expected);
  CHECK(gallery_ranks(same, same, truth, Similarity::negative_distance) == expected);
  const std::vector<float> scores(40, NAN);
  CHECK(gallery_ranks(40, truth, [&](int64_t) { return std::span(scores); }) == expected);
}

TEST_CASE("a gallery's figures, and what does not fit") {
  const std::vector<int64_t> ranks{1, 1, 2, 12, 30};
  const GalleryReport report = gallery_report("m", ranks, 30);
  CHECK(report.ks == std::vector<int64_t>{1, 10, 25});
  CHECK(report.ranking.top[0].value == doctest::Approx(0.4));
  CHECK(report.ranking.top[1].value == doctest::Approx(0.6));
  CHECK(report.ranking.top[2].value == doctest::Approx(0.8));
  CHECK(report.ranking.top[2].n == 5);
  CHECK(report.ranking.mrr.value == doctest::Approx((2 + 1.0 / 2 + 1.0 / 12 + 1.0 / 30) / 5));
  CHECK(report.median_rank == 2);
  REQUIRE(report.cmc.size() == 30);
  CHECK(report.cmc[0] == doctest::Approx(0.4));
  CHECK(report.cmc[10] == doctest::Approx(0.6));
  CHECK(report.cmc[29] == 1);
  CHECK(gallery_report("m", std::vector<int64_t>{1, 4}, 100).median_rank == 2.5);
  CHECK(gallery_report("m", ranks, 100).ks.back() == 100);
  CHECK(to_json(report)["recall_at_25"]["value"] == doctest::Approx(0.8));
  CHECK(to_json(report)["cmc"].size() == 30);
  CHECK(gallery_table(std::vector{report}).find("each query among all 30 right images\n") == 0);

  const Tensor rows = coarse_rows(3, 4, 4, 1);
  GalleryTruth truth;
  truth.add_query({});
  CHECK_THROWS_AS(gallery_ranks(rows.rows(0, 1), rows, truth, Similarity::cosine), Error);
  GalleryTruth outside;
  outside.add_query(std::vector<int64_t>{3});
  CHECK_THROWS_AS(gallery_ranks(rows.rows(0, 1), rows, outside, Similarity::cosine), Error);
  CHECK_THROWS_AS(gallery_ranks(rows, rows, outside, Similarity::cosine), Error);
  CHECK_THROWS_AS(gallery_ranks(rows, coarse_rows(3, 5, 4, 1), outside, Similarity::cosine), Error);
}

}  // namespace
}  // namespace lookalike

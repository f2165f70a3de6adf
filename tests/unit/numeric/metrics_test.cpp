#include "engine/eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <doctest/doctest.h>
#include <omp.h>

#include "engine/core/random.h"
#include "engine/eval/retrieval.h"

namespace lookalike {
namespace {

using doctest::Approx;

// Values on a coarse grid, so that there are ties.
Tensor random_matrix(int64_t rows, int64_t d, int levels, uint64_t seed) {
  Tensor matrix({rows, d});
  Random random(seed, RandomUse::test);
  for (float& value : matrix.span<float>()) value = static_cast<float>(random.below(levels)) - levels / 2;
  return matrix;
}

TEST_CASE("ranks count from 1, ties go by index, NaN comes last") {
  const float nan = NAN;
  CHECK(rank_of(std::vector<float>{0.1f, 0.9f, 0.5f}, 1) == 1);
  CHECK(rank_of(std::vector<float>{0.1f, 0.9f, 0.5f}, 0) == 3);
  CHECK(rank_of(std::vector<float>{0.5f, 0.5f, 0.5f}, 0) == 1);
  CHECK(rank_of(std::vector<float>{0.5f, 0.5f, 0.5f}, 2) == 3);
  CHECK(rank_of(std::vector<float>{nan, -1, 2}, 0) == 3);
  CHECK(rank_of(std::vector<float>{nan, nan, nan}, 1) == 2);
  CHECK(rank_of(std::vector<float>{-INFINITY, nan, 0}, 1) == 3);
  CHECK_THROWS_AS(rank_of(std::vector<float>{1}, 1), Error);
}

TEST_CASE("top-k and MRR are means over lists, their intervals come from queries") {
  // Two lists for query 0, one for query 1.
  const std::vector<Rank> ranks{{0, 1}, {0, 3}, {1, 2}};
  const RankMetrics metrics = rank_metrics(ranks, std::vector<int64_t>{1, 2, 3}, 0);
  REQUIRE(metrics.top.size() == 3);
  CHECK(metrics.top[0].value == Approx(1.0 / 3));
  CHECK(metrics.top[1].value == Approx(2.0 / 3));
  CHECK(metrics.top[2].value == 1);
  CHECK(metrics.mrr.value == Approx((1 + 1.0 / 3 + 0.5) / 3));
  CHECK(metrics.top[0].n == 2);
  // Query 1 alone (0) or query 0 alone (1/2) are the extreme resamples.
  CHECK(metrics.top[0].low == 0);
  CHECK(metrics.top[0].high == Approx(0.5));
  CHECK(metrics.top[2].low == 1);
  CHECK(metrics.top[2].high == 1);
  CHECK_THROWS_AS(rank_metrics({}, std::vector<int64_t>{1}, 0), Error);
}

TEST_CASE("bootstrap intervals are as wide as they should be and do not depend on threads") {
  Random random(5, RandomUse::test);
  std::vector<Rank> ranks, repeated;
  for (int64_t query = 0; query < 400; query++) {
    const int64_t rank = random.uniform() < 0.7f ? 1 : 2;
    ranks.push_back({query, rank});
    for (int list = 0; list < 5; list++) repeated.push_back({query, rank});
  }
  const std::vector<int64_t> ks{1};
  const Estimate top = rank_metrics(ranks, ks, 3).top[0];
  const double half_width = 1.96 * std::sqrt(top.value * (1 - top.value) / 400);
  CHECK(top.high - top.low == Approx(2 * half_width).epsilon(0.1));
  CHECK(top.low < top.value);
  CHECK(top.value < top.high);
  // Asking every query five times adds no evidence.
  CHECK(rank_metrics(repeated, ks, 3).top[0].low == Approx(top.low));
  CHECK(rank_metrics(ranks, ks, 4).top[0].low != top.low);

  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const Estimate one = rank_metrics(ranks, ks, 3).top[0];
  omp_set_num_threads(2);
  const Estimate two = rank_metrics(ranks, ks, 3).top[0];
  omp_set_num_threads(threads);
  CHECK(one.low == two.low);
  CHECK(one.high == two.high);
}

TEST_CASE("retrieval metrics of a worked example") {
  // On a circle: two classes of three and two items, and one alone. Neighbours by angle.
  const std::vector<double> degrees{0, 10, 25, 31, 80, 170};
  const std::vector<int32_t> labels{7, 9, 7, 9, 7, 1};
  Tensor embeddings({6, 2});
  for (int i = 0; i < 6; i++) {
    embeddings.data<float>()[2 * i] = static_cast<float>(3 * std::cos(degrees[i] * 0.017453292519943295));
    embeddings.data<float>()[2 * i + 1] = static_cast<float>(3 * std::sin(degrees[i] * 0.017453292519943295));
  }
  // Rankings: 0: 9 7 9 7 1 | 1: 7 7 9 7 1 | 2: 9 9 7 7 1 | 3: 7 9 7 7 1 | 4: 9 7 9 7 1
  const LabelledMetrics metrics =
      labelled_metrics(embeddings, labels, std::vector<int64_t>{1, 2, 4}, Similarity::cosine, 0);
  CHECK(metrics.precision_at_1.value == 0);
  CHECK(metrics.precision_at_1.n == 5);
  CHECK(metrics.recall[0].value == 0);
  CHECK(metrics.recall[1].value == Approx(3.0 / 5));
  CHECK(metrics.recall[2].value == 1);
  // R = 2, 1, 2, 1, 2: one hit in the first two for items 0 and 4.
  CHECK(metrics.r_precision.value == Approx((0.5 + 0 + 0 + 0 + 0.5) / 5));
  CHECK(metrics.map_at_r.value == Approx((0.25 + 0 + 0 + 0 + 0.25) / 5));
  CHECK_THROWS_AS(labelled_metrics(embeddings, std::vector<int32_t>{1, 2, 3, 4, 5, 6}, std::vector<int64_t>{1},
                                   Similarity::cosine, 0),
                  Error);
}

TEST_CASE("retrieval metrics across blocks equal the definition on sorted rows") {
  const int64_t n = 600, d = 5;
  const Tensor embeddings = random_matrix(n, d, 5, 11);
  std::vector<int32_t> labels(n);
  Random random(12, RandomUse::test);
  for (auto& label : labels) label = static_cast<int32_t>(random.below(40));
  labels[17] = 1000;

  const Tensor unit = normalize_rows(embeddings);
  for (const Similarity similarity : {Similarity::cosine, Similarity::negative_distance}) {
    // Each item's list of all: by distance, exact on whole numbers, sorted here.
    const bool cosine = similarity == Similarity::cosine;
    const Tensor order = cosine ? search_top_k(unit, unit, n).indices : Tensor({n, n}, DType::i64);
    for (int64_t q = 0; q < n && !cosine; q++) {
      const auto row = order.rows(q, q + 1).span<int64_t>();
      const auto squared_distance = [&](int64_t i) {
        float sum = 0;
        for (int64_t j = 0; j < d; j++) {
          const float difference = embeddings.data<float>()[q * d + j] - embeddings.data<float>()[i * d + j];
          sum += difference * difference;
        }
        return sum;
      };
      std::iota(row.begin(), row.end(), 0);
      std::ranges::stable_sort(row, {}, squared_distance);
    }
    double recall5 = 0, precision = 0, r_precision = 0, map = 0;
    int64_t queries = 0;
    for (int64_t q = 0; q < n; q++) {
      std::vector<int> hit;
      for (const int64_t other : order.rows(q, q + 1).span<int64_t>())
        if (other != q) hit.push_back(labels[other] == labels[q]);
      const int64_t r = std::count(hit.begin(), hit.end(), 1);
      if (r == 0) continue;
      queries++;
      recall5 += std::count(hit.begin(), hit.begin() + 5, 1) > 0;
      precision += hit[0];
      r_precision += std::count(hit.begin(), hit.begin() + r, 1) / static_cast<double>(r);
      for (int64_t i = 0; i < r; i++)
        map += hit[i] * std::count(hit.begin(), hit.begin() + i + 1, 1) / static_cast<double>(i + 1) /
               static_cast<double>(r);
    }
    const LabelledMetrics metrics = labelled_metrics(embeddings, labels, std::vector<int64_t>{5}, similarity, 0);
    CHECK(metrics.precision_at_1.n == queries);
    CHECK(metrics.recall[0].value == Approx(recall5 / queries));
    CHECK(metrics.precision_at_1.value == Approx(precision / queries));
    CHECK(metrics.r_precision.value == Approx(r_precision / queries));
    CHECK(metrics.map_at_r.value == Approx(map / queries));
  }
}

TEST_CASE("verification metrics of worked examples") {
  const auto measure = [](std::vector<ScoredPair> pairs, double rate) {
    for (size_t i = 0; i < pairs.size(); i++) pairs[i].query = static_cast<int64_t>(i);
    return verification_metrics(std::move(pairs), rate, 0);
  };
  const VerificationMetrics perfect = measure({{3, true}, {2, true}, {1, false}, {0, false}}, 0.01);
  CHECK(perfect.roc_auc.value == 1);
  CHECK(perfect.eer.value == 0);
  CHECK(perfect.true_match_rate.value == 1);
  CHECK(perfect.threshold == 2);
  CHECK(perfect.false_match_rate == 0);

  const VerificationMetrics reversed = measure({{3, false}, {2, false}, {1, true}, {0, true}}, 0.01);
  CHECK(reversed.roc_auc.value == 0);
  CHECK(reversed.eer.value == 1);
  CHECK(reversed.true_match_rate.value == 0);
  CHECK(std::isinf(reversed.threshold));

  const VerificationMetrics equal = measure({{1, true}, {1, false}, {1, false}}, 0.5);
  CHECK(equal.roc_auc.value == 0.5);
  CHECK(equal.eer.value == 0.5);
  CHECK(std::isinf(equal.threshold));

  // 5 of the 6 (similar, dissimilar) pairs are in order; at 0.5 one of two dissimilar ones is accepted.
  const VerificationMetrics mixed = measure({{9, true}, {8, true}, {7, false}, {6, true}, {5, false}}, 0.5);
  CHECK(mixed.roc_auc.value == Approx(5.0 / 6));
  CHECK(mixed.eer.value == Approx(1.0 / 3));
  CHECK(mixed.threshold == 6);
  CHECK(mixed.false_match_rate == 0.5);
  CHECK(mixed.true_match_rate.value == 1);
  CHECK(mixed.roc_auc.n == 5);

  CHECK_THROWS_AS(measure({{1, true}, {2, true}}, 0.1), Error);
}

TEST_CASE("a threshold chosen on other pairs gives rates of its own") {
  const auto scored = [](const std::vector<std::pair<float, bool>>& all) {
    std::vector<ScoredPair> pairs;
    for (const auto& [score, similar] : all) pairs.push_back({score, similar, std::ssize(pairs)});
    return pairs;
  };
  // One of two dissimilar pairs may be accepted, at 6; none at 8.
  const auto validation = scored({{9, true}, {8, true}, {7, false}, {6, true}, {5, false}});
  CHECK(threshold_of(validation, 0.5) == 6);
  CHECK(threshold_of(validation, 0.1) == 8);
  CHECK(std::isinf(threshold_of(scored({{1, true}, {2, false}}), 0.1)));
  const auto test =
      scored({{9, true}, {6, true}, {5, true}, {NAN, true}, {6, false}, {5, false}, {1, false}});
  const MatchRates rates = rates_at(6, test, 0);
  CHECK(rates.true_match_rate.value == Approx(2.0 / 4));
  CHECK(rates.false_match_rate.value == Approx(1.0 / 3));
  CHECK(rates.true_match_rate.n == 7);
  CHECK(rates.true_match_rate.low < rates.true_match_rate.value);
  CHECK(rates_at(INFINITY, test, 0).true_match_rate.value == 0);
  CHECK(rates_at(verification_metrics(test, 0.4, 0).threshold, test, 0).false_match_rate.value <=
        0.4);
  CHECK_THROWS_AS(rates_at(6, scored({{1, true}}), 0), Error);
  CHECK_THROWS_AS(threshold_of(scored({{1, false}}), 0.1), Error);
}

TEST_CASE("ROC AUC equals the count of ordered pairs") {
  Random random(6, RandomUse::test);
  std::vector<ScoredPair> pairs;
  for (int64_t i = 0; i < 300; i++) {
    const bool similar = random.below(3) == 0;
    pairs.push_back({static_cast<float>(random.below(20) + (similar ? 5 : 0)), similar, i / 3});
  }
  double ordered = 0, all = 0;
  for (const auto& a : pairs)
    for (const auto& b : pairs)
      if (a.similar && !b.similar) {
        ordered += a.score > b.score ? 1 : a.score == b.score ? 0.5 : 0;
        all++;
      }
  const VerificationMetrics metrics = verification_metrics(pairs, 0.1, 0);
  CHECK(metrics.roc_auc.value == Approx(ordered / all));
  CHECK(metrics.roc_auc.n == 100);
  CHECK(metrics.roc_auc.low < metrics.roc_auc.value);
  CHECK(metrics.roc_auc.value < metrics.roc_auc.high);
  CHECK(metrics.false_match_rate <= 0.1);
}

TEST_CASE("search finds what sorting all scores finds") {
  for (const auto& [queries, rows, d, k] : std::vector<std::array<int64_t, 4>>{
           {1, 1, 1, 1}, {3, 33, 7, 5}, {13, 1000, 16, 10}, {30, 500, 17, 500}, {300, 97, 3, 31}, {2, 5000, 4, 100}}) {
    CAPTURE(rows);
    // Whole numbers: every order of summation gives the same score, and many scores are equal.
    const Tensor a = random_matrix(queries, d, 7, 1), b = random_matrix(rows, d, 7, 2);
    const Neighbors found = search_top_k(a, b, k);
    bool same = true;
    for (int64_t q = 0; q < queries; q++) {
      std::vector<float> scores(rows);
      for (int64_t r = 0; r < rows; r++)
        scores[r] =
            std::inner_product(a.data<float>() + q * d, a.data<float>() + (q + 1) * d, b.data<float>() + r * d, 0.0f);
      std::vector<int64_t> order(rows);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int64_t x, int64_t y) { return scores[x] > scores[y]; });
      for (int64_t i = 0; i < k; i++) {
        same &= found.indices.data<int64_t>()[q * k + i] == order[i];
        same &= found.scores.data<float>()[q * k + i] == scores[order[i]];
      }
    }
    CHECK(same);
  }
  const Tensor a = random_matrix(2, 3, 5, 1);
  CHECK_THROWS_AS(search_top_k(a, a, 3), Error);
  CHECK_THROWS_AS(search_top_k(a, a, 0), Error);
  CHECK_THROWS_AS(search_top_k(a, random_matrix(4, 2, 5, 1), 1), Error);
}

TEST_CASE("search gives NaN rows the last ranks") {
  Tensor database = Tensor::from<float>({4, 1}, std::vector<float>{NAN, 1, NAN, 2});
  const Neighbors found = search_top_k(Tensor::from<float>({1, 1}, std::vector<float>{1}), database, 4);
  const auto indices = found.indices.span<int64_t>();
  CHECK(std::vector<int64_t>(indices.begin(), indices.end()) == std::vector<int64_t>{3, 1, 0, 2});
}

TEST_CASE("the nearest rows are found by direct differences, NaN ones last") {
  // Far from the origin, where |a|^2 + |b|^2 - 2ab has no digit left of such distances.
  const Tensor database =
      Tensor::from<float>({5, 2}, std::vector<float>{4096, 1.5f, NAN, 0, 4096.0625f, 1, 4096, 1.25f, 0, 0});
  const Tensor query = Tensor::from<float>({1, 2}, std::vector<float>{4096, 1});
  const Neighbors found = search_nearest(query, database, 5);
  const auto indices = found.indices.span<int64_t>();
  CHECK(std::vector<int64_t>(indices.begin(), indices.end()) == std::vector<int64_t>{2, 3, 0, 4, 1});
  CHECK(found.scores.data<float>()[0] == -0.0625f);
  CHECK(found.scores.data<float>()[1] == -0.25f);
  CHECK(found.scores.data<float>()[3] == Approx(-4096.0001));
  CHECK(found.scores.data<float>()[4] == -std::numeric_limits<float>::infinity());
}

TEST_CASE("a score does not depend on what else is searched") {
  for (const auto& [rows, width] : {std::pair{77, 19}, {300, 128}}) {
    Tensor database({rows, width}), queries({40, width});
    Random random(4, RandomUse::test);
    for (float& value : database.span<float>()) value = random.normal();
    for (float& value : queries.span<float>()) value = random.normal();
    for (const auto search : {search_top_k, search_nearest}) {
      const Neighbors together = search(queries, database, rows);
      for (const int64_t count : {1, 2, 3, 4, 5}) {
        bool same = true;
        for (int64_t q = 0; q < 40; q += count) {
          const Neighbors few = search(queries.rows(q, std::min<int64_t>(q + count, 40)), database, rows);
          const auto scores = few.scores.span<float>(), all = together.scores.span<float>().subspan(q * rows);
          same &= std::ranges::equal(scores, all.first(scores.size()));
        }
        CHECK(same);
      }
    }
  }
}

TEST_CASE("candidate scores: cosine, negative distance, and what does not fit") {
  const Tensor left = Tensor::from<float>({2, 2}, std::vector<float>{3, 4, 0, 0});
  const Tensor right = Tensor::from<float>({3, 2}, std::vector<float>{6, 8, -4, 3, 0, 1});
  CandidateLists lists{2, {0, 1, 0}, {0, 1, 0}, {0, 1, 0, 1, 2, 1}};
  const Tensor cosines = score_candidates(left, right, lists, Similarity::cosine);
  const auto cosine = cosines.span<float>();
  CHECK(cosine[0] == Approx(1));
  CHECK(cosine[1] == Approx(0));
  CHECK(cosine[2] == 0);
  CHECK(cosine[4] == Approx(0.8));
  const Tensor distances = score_candidates(left, right, lists, Similarity::negative_distance);
  const auto distance = distances.span<float>();
  CHECK(distance[0] == Approx(-5));
  CHECK(distance[3] == Approx(-5));
  lists.candidates[5] = 3;
  CHECK_THROWS_AS(score_candidates(left, right, lists, Similarity::cosine), Error);
  CHECK_THROWS_AS(score_candidates(left, Tensor({3, 3}), lists, Similarity::cosine), Error);
}

TEST_CASE("the mean row is subtracted from each row") {
  const Tensor rows = Tensor::from<float>({2, 2}, std::vector<float>{1, 2, 3, 6});
  const Tensor centred = minus_row(rows, mean_row(rows));
  CHECK(centred.data<float>()[0] == -1);
  CHECK(centred.data<float>()[3] == 2);
}

}  // namespace
}  // namespace lookalike

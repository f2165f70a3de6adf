// Exact search and near duplicates against plain loops, half precision against its definition.
#include "engine/search/search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include <doctest/doctest.h>

#include "engine/search/index_file.h"
#include "kernels/f16.h"
#include "kernels/similarity.h"
#include "tests/op_case.h"

namespace lookalike {
namespace {

// Few directions, many near copies: groups, ties and rows between two groups.
Tensor clustered_rows(int64_t n, int64_t d, float noise, uint64_t seed) {
  Random random(seed, RandomUse::test);
  const int64_t centres = std::max<int64_t>(n / 3, 1);
  Tensor rows({n, d}), centre({centres, d});
  for (float& x : centre.span<float>()) x = random.normal();
  for (int64_t i = 0; i < n; i++) {
    const auto from = static_cast<int64_t>(random.below(centres));
    const float size = random.below(4) == 0 ? 0 : noise;
    for (int64_t j = 0; j < d; j++)
      rows.data<float>()[i * d + j] = centre.data<float>()[from * d + j] + size * random.normal();
  }
  return rows;
}

float score_of(const Tensor& rows, int64_t a, int64_t b, Similarity similarity) {
  const int64_t d = rows.shape()[1];
  std::vector<float> scores(cpu::kPanelRows);
  const bool distances = similarity == Similarity::negative_distance;
  cpu::score_rows(rows.data<float>() + a * d, 1, d, rows.data<float>() + b * d, 1, distances,
                  scores.data());
  return distances ? -std::sqrt(-scores[0]) : scores[0];
}

// The definition, word by word.
std::vector<DuplicateGroup> duplicates_by_loops(const Tensor& rows, Similarity similarity,
                                                float threshold) {
  std::vector<DuplicateGroup> groups;
  for (int64_t i = 0; i < rows.shape()[0]; i++) {
    DuplicateGroup* best = nullptr;
    float best_score = 0;
    for (DuplicateGroup& group : groups) {
      const float score = score_of(rows, group.representative, i, similarity);
      if (score >= threshold && (!best || score > best_score)) best = &group, best_score = score;
    }
    if (best)
      best->members.push_back({i, best_score});
    else
      groups.push_back({i, {}});
  }
  std::erase_if(groups, [](const DuplicateGroup& group) { return group.members.empty(); });
  return groups;
}

void check_duplicates(const Tensor& rows, Similarity similarity, float threshold) {
  const auto got = find_duplicates(rows.clone(), similarity, threshold, Device::cpu),
             want = duplicates_by_loops(rows, similarity, threshold);
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); i++) {
    CHECK(got[i].representative == want[i].representative);
    REQUIRE(got[i].members.size() == want[i].members.size());
    for (size_t j = 0; j < got[i].members.size(); j++) {
      CHECK(got[i].members[j].row == want[i].members[j].row);
      CHECK(got[i].members[j].score == want[i].members[j].score);
    }
  }
}

TEST_CASE("duplicates are those of the definition, whatever block they fall in") {
  for (const int64_t n : {1, 2, 33, 1023, 1025, 2300}) {
    CAPTURE(n);
    const Tensor rows = clustered_rows(n, 9, 0.2f, n);
    check_duplicates(normalize_rows(rows), Similarity::cosine, 0.97f);
    check_duplicates(rows, Similarity::negative_distance, -0.7f);
  }
  const Tensor rows = normalize_rows(clustered_rows(300, 9, 0.2f, 1));
  CHECK(find_duplicates(rows.clone(), Similarity::cosine, 1.1f, Device::cpu).empty());
  const auto all = find_duplicates(rows.clone(), Similarity::cosine, -1.1f, Device::cpu);
  REQUIRE(all.size() == 1);
  CHECK(all[0].members.size() == 299);
}

TEST_CASE("small differences that add up make no group") {
  // Each within the threshold of the next, the ends far from each other.
  constexpr int64_t kCount = 20;
  Tensor rows({kCount, 2});
  for (int64_t i = 0; i < kCount; i++) {
    rows.data<float>()[2 * i] = std::cos(0.1f * static_cast<float>(i));
    rows.data<float>()[2 * i + 1] = std::sin(0.1f * static_cast<float>(i));
  }
  const float threshold = std::cos(0.15f);
  const auto groups = find_duplicates(rows.clone(), Similarity::cosine, threshold, Device::cpu);
  CHECK(groups.size() == kCount / 2);
  for (const auto& group : groups)
    for (const auto& [row, score] : group.members)
      CHECK(score_of(rows, group.representative, row, Similarity::cosine) >= threshold);
}

TEST_CASE("half precision rounds to the nearest, and widens to what it stands for") {
  std::vector<f16> all(1 << 16);
  for (size_t bits = 0; bits < all.size(); bits++) all[bits].bits = static_cast<uint16_t>(bits);
  std::vector<float> wide(all.size() + 1, 42.0f);
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{37}, std::ssize(all)}) {
    cpu::widen(all.data(), count, wide.data());
    CHECK(wide[count] == 42);
    std::fill(wide.begin() + count, wide.end(), 42.0f);
  }
  for (size_t i = 0; i < all.size(); i++) {
    const int exponent = all[i].bits >> 10 & 31, mantissa = all[i].bits & 1023;
    const double size = exponent == 0    ? std::ldexp(mantissa, -24)
                        : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                         : std::ldexp(1024 + mantissa, exponent - 25);
    const double value = all[i].bits & 0x8000 ? -size : size;
    if (std::isnan(value)) {
      CHECK(std::isnan(wide[i]));
      CHECK(std::isnan(to_float(to_f16(wide[i]))));
      continue;
    }
    CHECK(wide[i] == static_cast<float>(value));
    CHECK(to_f16(wide[i]).bits == all[i].bits);
    if (exponent == 31 || (all[i].bits & 0x7fff) == 0x7bff) continue;
    // Half way to the next one goes to the even one, what is beyond to the next.
    const float next = to_float(f16{static_cast<uint16_t>(all[i].bits + 1)}),
                middle = (wide[i] + next) / 2;
    CHECK(to_f16(middle).bits == all[i].bits + (all[i].bits & 1));
    CHECK(to_f16(std::nextafter(middle, next)).bits == all[i].bits + 1);
    CHECK(to_f16(std::nextafter(middle, wide[i])).bits == all[i].bits);
  }
  CHECK(to_float(to_f16(65519.0f)) == 65504);
  CHECK(std::isinf(to_float(to_f16(65520.0f))));
}

TEST_CASE("search of half precision is that of the same numbers in float") {
  const Tensor rows = clustered_rows(1300, 37, 0.5f, 3), queries = clustered_rows(70, 37, 0.5f, 4);
  Tensor half(rows.shape(), DType::f16);
  for (int64_t i = 0; i < rows.size(); i++) half.data<f16>()[i] = to_f16(rows.data<float>()[i]);
  const Tensor wide = as_f32(half);
  for (const Similarity similarity : {Similarity::cosine, Similarity::negative_distance})
    for (const int64_t q : {1, 5, 70}) {
      const Tensor asked = queries.rows(0, q);
      const Neighbors got = Searcher(half, similarity, Device::cpu).find(asked, 12),
                      want = Searcher(wide, similarity, Device::cpu).find(asked, 12);
      CHECK(std::ranges::equal(got.indices.span<int64_t>(), want.indices.span<int64_t>()));
      CHECK(std::ranges::equal(got.scores.span<float>(), want.scores.span<float>()));
    }
  const Searcher few(half.rows(0, 3), Similarity::cosine, Device::cpu);
  CHECK(few.find(queries, 10).indices.shape() == Shape{70, 3});
  CHECK_THROWS_AS(few.find(queries, 0), Error);
  CHECK_THROWS_AS(few.find(queries, kMostMatches + 1), Error);
}

TEST_CASE("the loss of half precision is measured") {
  const Tensor apart = normalize_rows(testing::random_tensor({500, 64}, DType::f32));
  const StorageRecall little = recall_of_f16(apart, Similarity::cosine);
  CHECK(little.k == 10);
  CHECK(little.queries == 500);
  CHECK(little.recall > 0.98);
  // Rows that differ by less than half precision tells apart.
  Tensor close({300, 4});
  for (int64_t i = 0; i < close.size(); i++)
    close.data<float>()[i] = 1 + 1e-7f * static_cast<float>(i * 7919 % 1201);
  CHECK(recall_of_f16(close, Similarity::negative_distance).recall < 0.2);
  CHECK(recall_of_f16(apart.rows(0, 1), Similarity::cosine).recall == 1);
  CHECK(recall_of_f16(apart.rows(0, 2), Similarity::cosine).k == 1);
}

TEST_CASE("a picture has eight orientations") {
  Image image{2, 3, 3, {}};
  for (int i = 0; i < 18; i++) image.pixels.push_back(static_cast<uint8_t>(i));
  std::set<std::pair<int64_t, std::vector<uint8_t>>> all;
  for (int o = 0; o < kOrientations; o++) {
    const Image turned = orient(image, o);
    all.insert({turned.width, turned.pixels});
  }
  CHECK(all.size() == kOrientations);
  CHECK(orient(image, 0).pixels == image.pixels);
  // Clockwise: what was at the left of the lower row comes first.
  const Image quarter = orient(image, 1);
  CHECK(quarter.height == 3);
  CHECK(quarter.width == 2);
  CHECK(std::vector<uint8_t>(quarter.pixels.begin(), quarter.pixels.begin() + 6) ==
        std::vector<uint8_t>{9, 10, 11, 0, 1, 2});
  Image turned = image;
  for (int i = 0; i < 4; i++) turned = orient(turned, 1);
  CHECK(turned.pixels == image.pixels);
  CHECK(orient(orient(image, 1), 1).pixels == orient(image, 2).pixels);
  CHECK(orient(orient(image, 2), 1).pixels == orient(image, 3).pixels);
  for (int turns = 1; turns < 4; turns++)
    CHECK(orient(orient(image, 4), turns).pixels == orient(image, 4 + turns).pixels);
  CHECK(orient(orient(image, 4), 4).pixels == image.pixels);
}

}  // namespace
}  // namespace lookalike

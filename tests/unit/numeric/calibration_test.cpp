// Thresholds against their definition, and what a file may claim of one.
#include "engine/eval/calibration.h"

#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

std::vector<ScoredPair> drawn_pairs(int64_t queries, int64_t others, uint64_t seed) {
  Random random(seed, RandomUse::test);
  std::vector<ScoredPair> pairs;
  for (int64_t query = 0; query < queries; query++) {
    pairs.push_back({0.7f + 0.15f * random.normal(), true, query});
    for (int64_t i = 0; i < others; i++)
      // Rounded, so that scores are equal.
      pairs.push_back({std::round(50 * (0.2f + 0.15f * random.normal())) / 50, false, query});
  }
  return pairs;
}

double share(const std::vector<ScoredPair>& pairs, bool similar, double score) {
  double all = 0, reach = 0;
  for (const ScoredPair& pair : pairs)
    if (pair.similar == similar) all++, reach += pair.score >= score;
  return reach / all;
}

TEST_CASE("a threshold is the lowest score that keeps false matches within the rate") {
  for (const double rate : {0.001, 0.01, 0.2}) {
    CAPTURE(rate);
    const auto pairs = drawn_pairs(60, 40, 5);
    const Calibration c = calibrate(pairs, rate, 0);
    CHECK(c.matching == 60);
    CHECK(c.others == 2400);
    CHECK(share(pairs, false, c.threshold.score) <= rate);
    CHECK(c.threshold.false_match_rate == share(pairs, false, c.threshold.score));
    CHECK(c.threshold.true_match_rate == share(pairs, true, c.threshold.score));
    float below = -1;  // the next lower score
    for (const ScoredPair& pair : pairs)
      if (pair.score < c.threshold.score) below = std::max(below, pair.score);
    CHECK(share(pairs, false, below) > rate);
    CHECK(c.low <= c.threshold.score);
    CHECK(c.high >= c.threshold.score);
    CHECK(c.high - c.low < 0.3);
    CHECK(std::string(c.verdict(c.high + 0.01)) == "same");
    CHECK(std::string(c.verdict(c.low - 0.01)) == "different");
    CHECK(std::string(c.verdict(c.threshold.score)) == "undecided");
    CHECK(c.curve.size() < 400);
    for (double score = -0.5; score < 1.5; score += 0.01) {
      const Calibration::Point at = c.at(score);
      CHECK(std::abs(at.false_match_rate - share(pairs, false, score)) <=
            0.01 + 0.25 * share(pairs, false, score));
      CHECK(std::abs(at.true_match_rate - share(pairs, true, score)) <= 0.02);
    }
  }
}

TEST_CASE("pairs that can't tell a rate have no threshold") {
  CHECK(error_of([] {
          calibrate(drawn_pairs(10, 9, 1), 0.001, 0);
        }).find("90 pairs that do not match") == 0);
  auto all_alike = drawn_pairs(10, 20, 1);
  for (ScoredPair& pair : all_alike) pair.score = 1;
  CHECK(error_of([&] { calibrate(all_alike, 0.01, 0); }).find("no score keeps") == 0);
  std::erase_if(all_alike, [](const ScoredPair& pair) { return pair.similar; });
  CHECK(error_of([&] { calibrate(all_alike, 0.01, 0); }).find("no pairs that match") == 0);
  CHECK_THROWS_AS(calibrate({{NAN, true, 0}, {0, false, 0}}, 1, 0), Error);
}

TEST_CASE("scores of any size have a threshold that comes back") {
  auto pairs = drawn_pairs(20, 20, 2);
  for (ScoredPair& pair : pairs) pair.score = 1e7f * pair.score - 3e7f;
  const Calibration c = calibrate(pairs, 0.01, 0);
  CHECK(c.threshold.score < -1e6);
  CHECK(to_json(calibration_from_json(nlohmann::json::parse(to_json(c).dump()), "file")) ==
        to_json(c));
  pairs[0].score = INFINITY;
  CHECK_THROWS_AS(calibrate(pairs, 0.01, 0), Error);
}

TEST_CASE("a threshold comes back from JSON, and nothing else does") {
  Calibration c = calibrate(drawn_pairs(60, 40, 5), 0.01, 0);
  c.pairs_hash = "0123";
  const nlohmann::json json = nlohmann::json::parse(to_json(c).dump());
  const Calibration back = calibration_from_json(json, "file");
  CHECK(to_json(back) == to_json(c));
  for (const auto& [key, value] : json.items()) {
    CAPTURE(key);
    nlohmann::json without = json;
    without.erase(key);
    CHECK(error_of([&] {
            calibration_from_json(without, "file");
          }).find("file: the key '" + key + "' is missing") == 0);
    for (const char* wrong : {"null", "-1e300", "\"x\"", "[]", "[1,2,3,4]", "{}",
                              "[[1,2,3],[2,0,0]]", "[[1,2,3]]", "[1,-1,0]", "[[0,0,0]"}) {
      nlohmann::json changed = json;
      changed[key] = nlohmann::json::parse(wrong, nullptr, false);
      if (changed[key].is_discarded() || (key == "pairs_hash" && changed[key].is_string()))
        continue;
      CAPTURE(wrong);
      CHECK(error_of([&] { calibration_from_json(changed, "file"); }).find("file: ") == 0);
    }
  }
}

}  // namespace
}  // namespace lookalike

#include "engine/eval/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/core/error.h"

namespace lookalike {
namespace {

constexpr double kNoScore = std::numeric_limits<double>::infinity();

// Pairs from the best score down, and how many of each kind each query has.
struct SortedPairs {
  std::vector<ScoredPair> pairs;
  std::vector<std::array<int64_t, 2>> counts;  // of others and matching ones

  explicit SortedPairs(std::vector<ScoredPair> unsorted) : pairs(std::move(unsorted)) {
    std::ranges::stable_sort(pairs, std::greater{}, &ScoredPair::score);
    for (const ScoredPair& pair : pairs) {
      if (pair.query >= std::ssize(counts)) counts.resize(pair.query + 1);
      counts[pair.query][pair.similar]++;
    }
  }
};

// Calls body(point) at each score, from the highest down, until it says false, with the pairs of
// each query counted times[query] times. Equal scores are accepted together.
template <class Body>
void for_thresholds(const SortedPairs& sorted, std::span<const int32_t> times, const Body& body) {
  double all[2] = {}, accepted[2] = {};  // others, matching
  for (size_t query = 0; query < times.size(); query++)
    for (const int kind : {0, 1})
      all[kind] += static_cast<double>(times[query] * sorted.counts[query][kind]);
  const auto& pairs = sorted.pairs;
  for (size_t i = 0; i < pairs.size(); i++) {
    accepted[pairs[i].similar] += times[pairs[i].query];
    if (i + 1 < pairs.size() && pairs[i + 1].score == pairs[i].score) continue;
    if (!body({pairs[i].score, accepted[0] / std::max(all[0], 1.0),
               accepted[1] / std::max(all[1], 1.0)}))
      return;
  }
}

// The last point before false matches are too frequent; at an infinite score where there is none.
Calibration::Point threshold_of(const SortedPairs& pairs, std::span<const int32_t> times,
                                double false_match_rate) {
  Calibration::Point best{kNoScore, 0, 0};
  for_thresholds(pairs, times, [&](const Calibration::Point& point) {
    if (point.false_match_rate > false_match_rate) return false;
    best = point;
    return true;
  });
  return best;
}

// Points between which a rate changes by something that matters.
std::vector<Calibration::Point> curve_of(const SortedPairs& pairs,
                                         std::span<const int32_t> times) {
  constexpr double kStep = 0.01, kFactor = 1.25;
  std::vector<Calibration::Point> curve;
  Calibration::Point last;
  for_thresholds(pairs, times, [&](const Calibration::Point& point) {
    const Calibration::Point& kept = curve.empty() ? last : curve.back();
    if (curve.empty() || point.true_match_rate >= kept.true_match_rate + kStep ||
        (point.false_match_rate > 0 && point.false_match_rate >= kept.false_match_rate * kFactor) ||
        point.false_match_rate >= kept.false_match_rate + kStep)
      curve.push_back(point);
    last = point;
    return true;
  });
  if (curve.back().score != last.score) curve.push_back(last);
  return curve;
}

}  // namespace

Calibration::Point Calibration::at(double score) const {
  Point result{score, 0, 0};
  for (const Point& point : curve) {
    if (point.score < score) break;
    result = point;
  }
  result.score = score;
  return result;
}

const char* Calibration::verdict(double score) const {
  return score > high ? "same" : score < low ? "different" : "undecided";
}

Calibration calibrate(std::vector<ScoredPair> pairs, double false_match_rate, uint64_t seed) {
  Calibration result{.asked = false_match_rate};
  int64_t queries = 0;
  for (const ScoredPair& pair : pairs) {
    check(std::isfinite(pair.score), "the score of a pair is {}, expected a finite number", pair.score);
    queries = std::max(queries, pair.query + 1);
    (pair.similar ? result.matching : result.others)++;
  }
  check(result.matching > 0, "no pairs that match, so no threshold can be chosen");
  check(false_match_rate * static_cast<double>(result.others) >= 1,
        "{} pairs that do not match cannot tell a false-match rate of {:g} from none, expected "
        "{:.0f} "
        "or more of them, or a rate of {:.2g} or more",
        result.others, false_match_rate, std::ceil(1 / false_match_rate),
        1 / static_cast<double>(std::max<int64_t>(result.others, 1)));
  const SortedPairs sorted(std::move(pairs));
  const std::vector<int32_t> once(queries, 1);
  result.threshold = threshold_of(sorted, once, false_match_rate);
  check(result.threshold.score != kNoScore,
        "no score keeps false matches within {:g}: too many pairs that do not match have the "
        "highest score, {:.4f}",
        false_match_rate, sorted.pairs.front().score);
  result.curve = curve_of(sorted, once);
  const Estimate threshold =
      bootstrap(queries, 1, seed, [&](std::span<const int32_t> times, std::span<double> figures) {
        const double score = threshold_of(sorted, times, false_match_rate).score;
        figures[0] = score == kNoScore ? std::numeric_limits<double>::quiet_NaN() : score;
      })[0];
  result.low = std::min(threshold.low, result.threshold.score);
  result.high = std::max(threshold.high, result.threshold.score);
  return result;
}

nlohmann::ordered_json to_json(const Calibration& c) {
  const auto point = [](const Calibration::Point& p) {
    return nlohmann::ordered_json::array({p.score, p.false_match_rate, p.true_match_rate});
  };
  nlohmann::ordered_json json{{"false_match_rate", c.asked}, {"threshold", point(c.threshold)},
                              {"interval", {c.low, c.high}}, {"matching_pairs", c.matching},
                              {"other_pairs", c.others},     {"pairs_hash", c.pairs_hash}};
  json["curve"] = nlohmann::ordered_json::array();
  for (const auto& p : c.curve) json["curve"].push_back(point(p));
  return json;
}

Calibration calibration_from_json(const nlohmann::json& json, const std::string& where) {
  constexpr size_t kMostPoints = 10'000;
  const auto expect = [&](bool holds, const char* what) { check(holds, "{}: {}", where, what); };
  const auto number = [&](const nlohmann::json& value) {
    expect(value.is_number() && std::isfinite(value.get<double>()),
           "a value is not a finite number");
    return value.get<double>();
  };
  const auto member = [&](const char* key) -> const nlohmann::json& {
    check(json.contains(key), "{}: the key '{}' is missing", where, key);
    return json.at(key);
  };
  const auto count = [&](const char* key) {
    const nlohmann::json& value = member(key);
    check(value.is_number_unsigned(), "{}: '{}' is not a whole number", where, key);
    return value.get<int64_t>();
  };
  const auto point = [&](const nlohmann::json& value) {
    expect(value.is_array() && value.size() == 3, "a point is not a list of three numbers");
    const Calibration::Point p{number(value[0]), number(value[1]), number(value[2])};
    expect(p.false_match_rate >= 0 && p.false_match_rate <= 1 && p.true_match_rate >= 0 &&
               p.true_match_rate <= 1,
           "a rate is not from 0 to 1");
    return p;
  };
  Calibration c{.asked = number(member("false_match_rate")),
                .threshold = point(member("threshold")),
                .matching = count("matching_pairs"),
                .others = count("other_pairs")};
  expect(c.asked > 0 && c.asked <= 1, "'false_match_rate' is not above 0 and at most 1");
  const nlohmann::json &interval = member("interval"), &curve = member("curve"),
                       &hash = member("pairs_hash");
  expect(interval.is_array() && interval.size() == 2, "'interval' is not a list of two numbers");
  c.low = number(interval[0]), c.high = number(interval[1]);
  expect(c.low <= c.high, "'interval' runs backwards");
  expect(hash.is_string(), "'pairs_hash' is not a string");
  c.pairs_hash = hash.get<std::string>();
  expect(curve.is_array() && !curve.empty() && curve.size() <= kMostPoints,
         "'curve' is not a list of points");
  for (const nlohmann::json& value : curve) {
    const Calibration::Point p = point(value);
    expect(c.curve.empty() || p.score < c.curve.back().score, "the scores of 'curve' do not fall");
    c.curve.push_back(p);
  }
  return c;
}

}  // namespace lookalike

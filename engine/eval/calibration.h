// From what score on two pictures count as the same: a threshold chosen on pairs that chose nothing
// else, with how sure it is, and the error rates that every other score would have.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/eval/metrics.h"

namespace lookalike {

struct Calibration {
  struct Point {
    double score = 0;
    double false_match_rate = 0;  // share of pairs that do not match whose score reaches this one
    double true_match_rate = 0;   // share of those that do
  };
  double asked = 0;                  // the false-match rate that was asked for
  double low = 0, high = 0;          // 95 % interval of the threshold
  Point threshold;                   // the lowest score at which false matches are no more frequent
  int64_t matching = 0, others = 0;  // pairs that it was chosen on
  std::string pairs_hash;            // of their names
  std::vector<Point> curve;          // from the highest score down, a hundred or two of them

  // What is expected of pairs that count as the same from `score` on.
  Point at(double score) const;
  // "same" above the threshold's interval, "different" below it, "undecided" in it.
  const char* verdict(double score) const;
};

// Intervals are bootstrap intervals over queries (metrics.h), drawn from `seed`. Error where the
// pairs are too few to tell such a rate from none.
Calibration calibrate(std::vector<ScoredPair> pairs, double false_match_rate, uint64_t seed);

nlohmann::ordered_json to_json(const Calibration& calibration);
// Error that begins with `where` unless it is what to_json() made.
Calibration calibration_from_json(const nlohmann::json& json, const std::string& where);

}  // namespace lookalike

// One sentence on two ways to answer the same queries: which is better, by how much, and how sure that is.
#pragma once

#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/eval/metrics.h"

namespace lookalike {

struct Verdict {
  double ours = 0, theirs = 0;  // shares
  // ours - theirs. The interval is a paired bootstrap over queries: both ways are resampled together, since a query that
  // is hard for one tends to be hard for the other.
  Estimate difference;
};

// Fewer can't say that one is better, even where all of them do: two-sided, 2 * 0.5^5 is above 5 %.
constexpr int64_t kFewestQueries = 6;

// Of top-1. Error unless both hold the same lists.
Verdict compare_ranks(std::span<const Rank> ours, std::span<const Rank> theirs, uint64_t seed = 0);
// Of a figure that each query has, such as whether its first match is right.
Verdict compare_queries(std::span<const double> ours, std::span<const double> theirs, uint64_t seed = 0);
// Both of queries that have `weights` answers each, of which `ours` and `theirs` are right.
Verdict compare_weighted(std::span<const double> ours, std::span<const double> theirs,
                         std::span<const double> weights, uint64_t seed);

// "NAME beats OTHER: FIGURE 67.2 % against 42.2 %, by 25.0 points [17.9, 32.0], 164 queries"; or
// equals it, or loses to it.
std::string sentence(const std::string& name, const std::string& other, const std::string& figure,
                     const Verdict& verdict);
// Its first words, "NAME beats OTHER".
std::string claim(const std::string& name, const std::string& other, const Verdict& verdict);
nlohmann::ordered_json to_json(const Verdict& verdict);

}  // namespace lookalike

#include "engine/eval/verdict.h"

#include <algorithm>

#include "engine/core/error.h"

namespace lookalike {

Verdict compare_weighted(std::span<const double> ours, std::span<const double> theirs,
                         std::span<const double> weights, uint64_t seed) {
  Verdict verdict;
  double weight = 0;
  for (size_t query = 0; query < weights.size(); query++) {
    verdict.ours += ours[query];
    verdict.theirs += theirs[query];
    weight += weights[query];
  }
  verdict.ours /= weight;
  verdict.theirs /= weight;
  const auto difference = [&](std::span<const int32_t> times, std::span<double> figures) {
    double sum = 0, of = 0;
    for (size_t query = 0; query < weights.size(); query++) {
      sum += times[query] * (ours[query] - theirs[query]);
      of += times[query] * weights[query];
    }
    figures[0] = sum / of;
  };
  verdict.difference = bootstrap(std::ssize(weights), 1, seed, difference)[0];
  return verdict;
}

Verdict compare_ranks(std::span<const Rank> ours, std::span<const Rank> theirs, uint64_t seed) {
  check(std::ranges::equal(ours, theirs, {}, &Rank::query, &Rank::query), "two answers to different lists");
  int64_t queries = 0;
  for (const Rank& rank : ours) queries = std::max(queries, rank.query + 1);
  std::vector<double> a(queries), b(queries), lists(queries);
  for (size_t i = 0; i < ours.size(); i++) {
    const int64_t query = ours[i].query;
    lists[query]++;
    a[query] += ours[i].rank == 1;
    b[query] += theirs[i].rank == 1;
  }
  return compare_weighted(a, b, lists, seed);
}

Verdict compare_queries(std::span<const double> ours, std::span<const double> theirs, uint64_t seed) {
  check(ours.size() == theirs.size(), "answers to {} and to {} queries", ours.size(), theirs.size());
  return compare_weighted(ours, theirs, std::vector<double>(ours.size(), 1), seed);
}

std::string claim(const std::string& name, const std::string& other, const Verdict& verdict) {
  const auto& [value, low, high, n] = verdict.difference;
  if (n < kFewestQueries)
    return fmt::format("{} and {} cannot be told apart by {} {}", name, other, n,
                       n == 1 ? "query" : "queries");
  const bool differs = low > 0 || high < 0;
  return fmt::format("{} {} {}{}", name,
                     !differs    ? "equals"
                     : value > 0 ? "beats"
                                 : "loses to",
                     other, differs ? "" : " within the uncertainty");
}

std::string sentence(const std::string& name, const std::string& other, const std::string& figure,
                     const Verdict& verdict) {
  const auto& [value, low, high, n] = verdict.difference;
  const std::string figures =
      fmt::format("{}: {} {:.1f} % against {:.1f} %", claim(name, other, verdict), figure,
                  100 * verdict.ours, 100 * verdict.theirs);
  if (n < kFewestQueries) return figures;
  const bool differs = low > 0 || high < 0;
  return fmt::format(
      "{}, {} {:.1f} points [{:.1f}, {:.1f}], {} queries", figures,
      differs ? "by" : "a difference of", differs ? std::abs(100 * value) : 100 * value,
      100 * (value < 0 && differs ? -high : low), 100 * (value < 0 && differs ? -low : high), n);
}

nlohmann::ordered_json to_json(const Verdict& verdict) {
  const auto& [value, low, high, n] = verdict.difference;
  return {{"difference", value}, {"low", low}, {"high", high}, {"n", n}};
}

}  // namespace lookalike

// What is evaluated: candidate lists over named images, made from pairs and a seed or read from files, and what came of
// them. An evaluation is: a Protocol, the embeddings of its left and right images, score_candidates (retrieval.h),
// evaluate_scores, and a table or JSON of the reports.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/data/pairs.h"
#include "engine/eval/metrics.h"
#include "engine/eval/retrieval.h"

namespace lookalike {

// Ranges of settings, and what all lists of a protocol may hold together: more has no use, and
// would not fit into memory.
constexpr int64_t kMostCandidates = 1'000'000, kMostLists = 100'000, kMostPlaces = 50'000'000;
// Error unless `lists` of `count` candidates fit; `setting` names what asks for so many.
void check_places(int64_t lists, int64_t count, const char* setting);

struct Protocol {
  std::vector<std::string> left, right;  // the images to embed, each once
  CandidateLists lists;                  // over rows of left and right; without truth they can be scored only
  // The partners of each left image, rows of right that rise; lists.truth is a place of one of
  // them. Without any, lists.truth is all that is known.
  std::vector<std::vector<int64_t>> partners;
  std::string pairs_hash;                // of the pairs that hold the truth
  std::string candidates_hash;           // of all lists
};

// `lists` random candidate lists for each pair: those that make_candidates(pairs, count, seed *
// lists + i) gives for i < lists, so that two seeds share none. left and right are in the order of
// pairs. Fewer images than `count` that are no partners make shorter lists.
Protocol make_protocol(std::span<const Pair> pairs, int64_t count = 20, int64_t lists = 5, uint64_t seed = 0);

// A line for people where the lists hold fewer candidates than `count`, which was asked for, else
// "".
std::string shorter_lists(const Protocol& protocol, int64_t count);

// The lists of a candidates file (`left,c0,...`) with the true partners of a pairs file (`left,right`), or, where
// `truth_csv` is empty, without.
Protocol read_protocol(const std::string& candidates_csv, const std::string& truth_csv);

// Whether the candidate at a place of a list is a partner of its query.
bool is_partner(const Protocol& protocol, int64_t list, int64_t place);

// Where the best partner of each list came. `scores` [lists, count].
std::vector<Rank> ranks_of(const Protocol& protocol, const Tensor& scores);

constexpr double kMaxFalseMatchRate = 0.01;

struct Report {
  std::string name;  // of what was evaluated
  bool seen = false;  // it is of what the model has seen, and so no row to compare with others
  int64_t queries = 0, lists = 0;
  int64_t candidates = 0, fewest_candidates = 0;  // in the longest and in the shortest list
  std::string pairs_hash, candidates_hash;
  std::vector<int64_t> ks;
  RankMetrics ranking;
  std::vector<Rank> ranks;             // of each list; empty for chance
  std::vector<double> rank_frequency;  // share of the lists whose truth came at rank 1, 2, ...; empty for chance
  VerificationMetrics verification;    // each candidate is a pair with its query; threshold at kMaxFalseMatchRate
  std::optional<MatchRates>
      chosen;  // the same at a threshold from validation pairs, where there are any
};

// Each candidate with its query.
std::vector<ScoredPair> scored_pairs(const Protocol& protocol, const Tensor& scores);

// Every figure of these scores, with intervals drawn from `seed`.
Report evaluate_scores(const std::string& name, const Protocol& protocol, const Tensor& scores,
                       const std::vector<int64_t>& ks = {1, 2, 4}, uint64_t seed = 0);

// What guessing gives, exactly.
Report chance_report(const Protocol& protocol, const std::vector<int64_t>& ks = {1, 2, 4});

// What a network must beat, as scores of the lists: the pictures themselves compared by cosine, "raw pixels", and, unless `mean` is undefined, the
// same minus the mean training picture. Pixels f32 [n, pixels] in the order of protocol.left and protocol.right, `mean` f32 [pixels] (mean_row).
std::vector<std::pair<std::string, Tensor>> baseline_scores(const Protocol& protocol, const Tensor& left,
                                                            const Tensor& right, const Tensor& mean);

// Tables for people, a line for each report: shares in percent with 95 % intervals. The reports are of one protocol.
std::string ranking_table(std::span<const Report> reports);
std::string verification_table(std::span<const Report> reports);
nlohmann::ordered_json to_json(const Report& report);

// The candidates' shape with a score in each cell: `left,c0,...`, a row for each list in its order.
void write_scores(const std::string& csv, const Protocol& protocol, const Tensor& scores);

}  // namespace lookalike

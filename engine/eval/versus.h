// Two ways to answer the same queries, query by query: which is better, how sure that is, and which
// queries changed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/eval/metrics.h"
#include "engine/eval/verdict.h"

namespace lookalike {

// How often a model was right. A query has as many answers as lists that ask it.
struct Answers {
  std::string name;                  // of the model
  std::string hash;                  // of what was asked
  std::vector<std::string> queries;  // their names
  std::vector<int64_t> lists;        // that ask the query; 0 where it could not be measured
  std::vector<int64_t> right;        // of these, those whose first is a partner
  std::vector<bool> seen;            // by the model, in training or validation
};

// What the ranks of lists say of `queries`. None is seen yet.
Answers answers_of(const std::string& name, const std::string& hash,
                   std::vector<std::string> queries, std::span<const Rank> ranks);

// As they are kept in results, where the other one's names and lists need not be: of a query that
// was not measured, -1.
nlohmann::ordered_json to_json(const Answers& answers);
// What to_json() made of answers to what `asked` answers. Error, beginning with `where`, where it
// is no such thing, and where it is of something else.
Answers read_answers(const nlohmann::json& json, const Answers& asked, const std::string& where);

struct Versus {
  Verdict verdict;
  // Queries that both, one or none of the two gets right: in more than half of its lists.
  int64_t both = 0, neither = 0;
  std::vector<std::string> ours_alone, theirs_alone;
  double mcnemar_p = 1;
  int64_t seen = 0;  // queries left out, since one of the two has seen them
};
// On the queries that both could measure and neither has seen; nothing where there are none. Error
// unless both answer the same.
std::optional<Versus> compare_answers(const Answers& ours, const Answers& theirs,
                                      uint64_t seed = 0);
nlohmann::ordered_json to_json(const Versus& versus);

// McNemar's test, exact and two-sided (McNemar, "Note on the sampling error of the difference
// between correlated proportions or percentages", Psychometrika 1947): the chance that of so many
// queries which only one of two gets right the split is as uneven as this, or more, where both are
// equally good. 1 where there are none.
double mcnemar_exact(int64_t ours_alone, int64_t theirs_alone);

}  // namespace lookalike

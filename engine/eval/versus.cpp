#include "engine/eval/versus.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace lookalike {
namespace {

bool is_right(const Answers& answers, size_t query) {
  return 2 * answers.right[query] > answers.lists[query];
}

std::vector<int64_t> integers_of(const nlohmann::json& json, const char* key, int64_t low,
                                 int64_t high, const std::string& where) {
  const auto list = json.find(key);
  check(list != json.end() && list->is_array(), "{}: has no list '{}' in its answers", where, key);
  std::vector<int64_t> values;
  for (const auto& value : *list) {
    check(value.is_number_integer() && value >= low && value <= high,
          "{}: '{}' of its answers, expected {} to {}", where, key, low, high);
    values.push_back(value);
  }
  return values;
}

}  // namespace

Answers answers_of(const std::string& name, const std::string& hash,
                   std::vector<std::string> queries, std::span<const Rank> ranks) {
  const size_t count = queries.size();
  Answers answers{name,
                  hash,
                  std::move(queries),
                  std::vector<int64_t>(count),
                  std::vector<int64_t>(count),
                  std::vector<bool>(count)};
  for (const Rank& rank : ranks) {
    answers.lists[rank.query]++;
    answers.right[rank.query] += rank.rank == 1;
  }
  return answers;
}

nlohmann::ordered_json to_json(const Answers& answers) {
  std::vector<int64_t> right = answers.right, seen;
  for (size_t query = 0; query < right.size(); query++) {
    if (answers.lists[query] == 0) right[query] = -1;
    if (answers.seen[query]) seen.push_back(static_cast<int64_t>(query));
  }
  return {{"name", answers.name}, {"hash", answers.hash}, {"right", right}, {"seen", seen}};
}

Answers read_answers(const nlohmann::json& json, const Answers& asked, const std::string& where) {
  const auto text = [&](const char* key) {
    check(json.is_object() && json.contains(key) && json[key].is_string(),
          "{}: has no '{}' of answers", where, key);
    return json[key].get<std::string>();
  };
  Answers answers = asked;
  answers.name = text("name");
  answers.hash = text("hash");
  check(answers.hash == asked.hash,
        "{}: answers other lists (hash {}) than these ({}), expected the same", where, answers.hash,
        asked.hash);
  const int64_t most = std::ranges::max(asked.lists);
  const auto right = integers_of(json, "right", -1, most, where);
  check(right.size() == asked.queries.size(), "{}: answers {} queries, expected {}", where,
        right.size(), asked.queries.size());
  for (size_t query = 0; query < right.size(); query++) {
    if (right[query] < 0) answers.lists[query] = 0;
    answers.right[query] = std::clamp<int64_t>(right[query], 0, answers.lists[query]);
  }
  answers.seen.assign(right.size(), false);
  for (const int64_t query : integers_of(json, "seen", 0, std::ssize(right) - 1, where))
    answers.seen[query] = true;
  return answers;
}

std::optional<Versus> compare_answers(const Answers& ours, const Answers& theirs, uint64_t seed) {
  check(ours.hash == theirs.hash && ours.queries.size() == theirs.queries.size(),
        "'{}' and '{}' answer different lists ({} and {})", ours.name, theirs.name, ours.hash,
        theirs.hash);
  Versus versus;
  std::vector<double> a, b, lists;
  for (size_t query = 0; query < ours.queries.size(); query++) {
    if (ours.lists[query] == 0 || theirs.lists[query] == 0) continue;
    if (ours.seen[query] || theirs.seen[query]) {
      versus.seen++;
      continue;
    }
    a.push_back(static_cast<double>(ours.right[query]));
    b.push_back(static_cast<double>(theirs.right[query]));
    lists.push_back(static_cast<double>(ours.lists[query]));
    const bool we = is_right(ours, query), they = is_right(theirs, query);
    if (we == they)
      (we ? versus.both : versus.neither)++;
    else
      (we ? versus.ours_alone : versus.theirs_alone).push_back(ours.queries[query]);
  }
  if (a.empty()) return {};
  versus.verdict = compare_weighted(a, b, lists, seed);
  versus.mcnemar_p = mcnemar_exact(std::ssize(versus.ours_alone), std::ssize(versus.theirs_alone));
  return versus;
}

nlohmann::ordered_json to_json(const Versus& versus) {
  nlohmann::ordered_json json{{"ours", versus.verdict.ours}, {"theirs", versus.verdict.theirs}};
  json.update(to_json(versus.verdict));
  json["left_out_as_seen"] = versus.seen;
  json["mcnemar_p"] = versus.mcnemar_p;
  json["both_right"] = versus.both;
  json["both_wrong"] = versus.neither;
  json["only_ours_right"] = versus.ours_alone;
  json["only_theirs_right"] = versus.theirs_alone;
  return json;
}

double mcnemar_exact(int64_t ours_alone, int64_t theirs_alone) {
  const auto n = static_cast<double>(ours_alone + theirs_alone);
  // Logarithms, since both the binomial coefficients and the powers of a half leave the range of a
  // double.
  double tail = 0;
  for (int64_t i = 0; i <= std::min(ours_alone, theirs_alone); i++) {
    const auto k = static_cast<double>(i);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                     n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace lookalike

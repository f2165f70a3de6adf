#include "engine/eval/protocol.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "engine/core/names.h"
#include "engine/data/csv.h"
#include "engine/data/image_files.h"
#include "engine/eval/table.h"

namespace lookalike {
namespace {

// Numbers names in the order of their first appearance.
class Names {
 public:
  explicit Names(std::vector<std::string>& names) : names_(names) {}
  int64_t number(const std::string& name) {
    const auto [at, fresh] = numbers_.try_emplace(name, std::ssize(names_));
    if (fresh) names_.push_back(name);
    return at->second;
  }

 private:
  std::vector<std::string>& names_;
  std::map<std::string, int64_t> numbers_;
};

std::map<std::string, int64_t> numbers_of(std::span<const std::string> names) {
  std::map<std::string, int64_t> numbers;
  for (const std::string& name : names) numbers.emplace(composed(name), std::ssize(numbers));
  return numbers;
}

// What of the truth is about images of the protocol.
void add_partners(std::span<const Pair> truth, Protocol& protocol) {
  const auto left = numbers_of(protocol.left), right = numbers_of(protocol.right);
  protocol.partners.resize(protocol.left.size());
  for (const Pair& pair : truth) {
    const auto from = left.find(composed(pair.left)), to = right.find(composed(pair.right));
    if (from != left.end() && to != right.end())
      protocol.partners[from->second].push_back(to->second);
  }
  for (auto& rows : protocol.partners) {
    std::ranges::sort(rows);
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  }
}

// The images of `numbered` come first, in their order; then what else the candidates name.
Protocol protocol_of(const Candidates& candidates, std::span<const Pair> truth, const std::string& csv,
                     std::span<const Pair> numbered) {
  Protocol protocol;
  Names left(protocol.left), right(protocol.right);
  for (const Pair& pair : numbered) left.number(pair.left), right.number(pair.right);
  protocol.lists.count = std::ssize(candidates.right.at(0));
  if (!truth.empty()) protocol.lists.truth = places_of_truth(candidates, truth, csv);
  for (size_t list = 0; list < candidates.left.size(); list++) {
    protocol.lists.query.push_back(left.number(candidates.left[list]));
    for (const std::string& name : candidates.right[list]) protocol.lists.candidates.push_back(right.number(name));
  }
  if (!truth.empty()) add_partners(truth, protocol);
  protocol.pairs_hash = content_hash(truth);
  protocol.candidates_hash = content_hash(candidates);
  return protocol;
}

Report report_of(const std::string& name, const Protocol& protocol, const std::vector<int64_t>& ks) {
  Report report;
  report.name = name;
  report.queries = std::ssize(protocol.left);
  report.lists = protocol.lists.lists();
  report.candidates = report.fewest_candidates = protocol.lists.count;
  for (int64_t list = 0; list < report.lists; list++)
    report.fewest_candidates = std::min(report.fewest_candidates, protocol.lists.length(list));
  report.pairs_hash = protocol.pairs_hash;
  report.candidates_hash = protocol.candidates_hash;
  report.ks = ks;
  return report;
}

void check_scores(const Protocol& protocol, const Tensor& scores) {
  const Shape expected{protocol.lists.lists(), protocol.lists.count};
  check(scores.shape() == expected, "scores {} for candidate lists {}", scores.shape(), expected);
}

std::span<const float> list_scores(const Protocol& protocol, const Tensor& scores, int64_t list) {
  return scores.span<float>().subspan(list * protocol.lists.count, protocol.lists.count);
}

}  // namespace

void check_places(int64_t lists, int64_t count, const char* setting) {
  check(lists <= kMostPlaces / std::max<int64_t>(count, 1),
        "{} lists of {} candidates ({}), expected at most {} candidates in all", lists, count,
        setting, kMostPlaces);
}

Protocol make_protocol(std::span<const Pair> pairs, int64_t count, int64_t lists, uint64_t seed) {
  check(lists >= 1, "{} candidate lists for each query, expected at least 1", lists);
  check(pairs.size() >= 2, "{} pair to rank, expected two or more: its own right image and another one", pairs.size());
  const int64_t most = most_candidates(pairs);
  check(most >= 2,
        "every right image is a partner of one left one, expected another image to rank");
  count = std::min(count, most);
  check(lists <= kMostLists, "{} candidate lists for each query, expected at most {}", lists,
        kMostLists);
  check_places(lists * std::ssize(pairs), count,
               "evaluate.lists and candidates of a recipe, --lists and --count");
  Candidates all;
  for (int64_t i = 0; i < lists; i++) {
    Candidates drawn = make_candidates(pairs, count, seed * lists + i);
    std::ranges::move(drawn.left, std::back_inserter(all.left));
    std::ranges::move(drawn.right, std::back_inserter(all.right));
  }
  return protocol_of(all, pairs, "candidates", pairs);
}

std::string shorter_lists(const Protocol& protocol, int64_t count) {
  const int64_t pairs = std::ssize(protocol.left), most = protocol.lists.count;
  if (count <= most) return "";
  if (most == pairs && pairs == std::ssize(protocol.right))
    return fmt::format("{} pairs: each is ranked among all {} of them instead of {} candidates",
                       pairs, pairs, count);
  return fmt::format(
      "each query is ranked among {} right images instead of {}: for one of them no more are wrong",
      most, count);
}

Protocol read_protocol(const std::string& candidates_csv, const std::string& truth_csv) {
  const auto truth = truth_csv.empty() ? std::vector<Pair>() : read_pairs(truth_csv);
  return protocol_of(read_candidates(candidates_csv), truth, candidates_csv, {});
}

bool is_partner(const Protocol& protocol, int64_t list, int64_t place) {
  if (protocol.partners.empty()) return place == protocol.lists.truth[list];
  return std::ranges::binary_search(protocol.partners[protocol.lists.query[list]],
                                    protocol.lists.candidates[list * protocol.lists.count + place]);
}

std::vector<Rank> ranks_of(const Protocol& protocol, const Tensor& scores) {
  check_scores(protocol, scores);
  check(std::ssize(protocol.lists.truth) == protocol.lists.lists(), "candidate lists without truth have no ranks");
  std::vector<Rank> ranks;
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    const auto row = list_scores(protocol, scores, list);
    int64_t best = protocol.lists.count;
    for (int64_t place = 0; place < protocol.lists.length(list); place++)
      if (is_partner(protocol, list, place)) best = std::min(best, rank_of(row, place));
    ranks.push_back({protocol.lists.query[list], best});
  }
  return ranks;
}

std::vector<ScoredPair> scored_pairs(const Protocol& protocol, const Tensor& scores) {
  check_scores(protocol, scores);
  std::vector<ScoredPair> pairs;
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    const auto row = list_scores(protocol, scores, list);
    for (int64_t i = 0; i < protocol.lists.length(list); i++)
      pairs.push_back({row[i], is_partner(protocol, list, i), protocol.lists.query[list]});
  }
  return pairs;
}

Report evaluate_scores(const std::string& name, const Protocol& protocol, const Tensor& scores,
                       const std::vector<int64_t>& ks, uint64_t seed) {
  Report report = report_of(name, protocol, ks);
  report.ranks = ranks_of(protocol, scores);
  report.ranking = rank_metrics(report.ranks, ks, seed);
  report.rank_frequency.resize(report.candidates);
  for (const Rank& rank : report.ranks) report.rank_frequency[rank.rank - 1] += 1 / static_cast<double>(report.lists);
  report.verification =
      verification_metrics(scored_pairs(protocol, scores), kMaxFalseMatchRate, seed);
  return report;
}

Report chance_report(const Protocol& protocol, const std::vector<int64_t>& ks) {
  Report report = report_of("chance", protocol, ks);
  const auto exactly = [](double value) { return Estimate{value, value, value, 0}; };
  // Over all lists, by how often each length and number of partners is there.
  std::map<std::array<int64_t, 2>, int64_t> kinds;
  for (int64_t list = 0; list < report.lists; list++) {
    const int64_t length = protocol.lists.length(list);
    int64_t partners = 0;
    for (int64_t place = 0; place < length; place++) partners += is_partner(protocol, list, place);
    kinds[{length, partners}]++;
  }
  std::vector<double> top(ks.size());
  double mrr = 0;
  for (const auto& [kind, times] : kinds) {
    const double share = static_cast<double>(times) / static_cast<double>(report.lists);
    const auto [length, partners] = kind;
    double none_yet = 1;  // the chance that no partner is among the ranks before
    for (int64_t rank = 1; rank <= length; rank++) {
      const double first = none_yet * std::min(1.0, static_cast<double>(partners) /
                                                        static_cast<double>(length - rank + 1));
      none_yet -= first;
      mrr += share * first / static_cast<double>(rank);
      for (size_t i = 0; i < ks.size(); i++) top[i] += rank <= ks[i] ? share * first : 0;
    }
  }
  for (const double value : top) report.ranking.top.push_back(exactly(value));
  report.ranking.mrr = exactly(mrr);
  report.verification.roc_auc = report.verification.eer = exactly(0.5);
  report.verification.true_match_rate = exactly(kMaxFalseMatchRate);
  report.verification.false_match_rate = kMaxFalseMatchRate;
  return report;
}

std::vector<std::pair<std::string, Tensor>> baseline_scores(const Protocol& protocol, const Tensor& left,
                                                            const Tensor& right, const Tensor& mean) {
  const auto scores = [&](const Tensor& a, const Tensor& b) {
    return score_candidates(a, b, protocol.lists, Similarity::cosine);
  };
  std::vector<std::pair<std::string, Tensor>> all{{"raw pixels", scores(left, right)}};
  if (mean.defined())
    all.emplace_back("pixels minus training mean", scores(minus_row(left, mean), minus_row(right, mean)));
  return all;
}

std::string ranking_table(std::span<const Report> reports) {
  check(!reports.empty(), "a table of no reports");
  const Report& first = reports.front();
  std::vector<std::vector<std::string>> rows{{""}};
  for (const int64_t k : first.ks) rows[0].push_back(fmt::format("top-{} %", k));
  rows[0].push_back("MRR");
  std::vector<double> figures;
  std::vector<bool> competes;
  for (const Report& report : reports) {
    figures.push_back(report.ranking.top.empty() ? 0 : report.ranking.top[0].value);
    competes.push_back(!report.seen && !report.ranks.empty());
    check(report.candidates_hash == first.candidates_hash && report.ks == first.ks,
          "a table of '{}' and '{}', which were asked differently", first.name, report.name);
    auto& row = rows.emplace_back(std::vector{report.name});
    for (const Estimate& top : report.ranking.top) row.push_back(cell(top, 100, 1));
    row.push_back(cell(report.ranking.mrr, 1, 3));
  }
  const std::string candidates = first.fewest_candidates == first.candidates
                                     ? fmt::format("{}", first.candidates)
                                     : fmt::format("{} to {}", first.fewest_candidates, first.candidates);
  return fmt::format("{} queries, {} lists of {} candidates\npairs {}, candidates {}\n\n{}",
                     first.queries, first.lists, candidates, first.pairs_hash,
                     first.candidates_hash, align(rows, best_row(figures, competes)));
}

std::string verification_table(std::span<const Report> reports) {
  std::vector<std::vector<std::string>> rows{
      {"", "ROC AUC %", "EER %", fmt::format("true matches at\n{:g} % false ones", 100 * kMaxFalseMatchRate)}};
  for (const Report& report : reports)
    rows.push_back({report.name, cell(report.verification.roc_auc, 100, 1), cell(report.verification.eer, 100, 1),
                    cell(report.verification.true_match_rate, 100, 1)});
  return align(rows);
}

nlohmann::ordered_json to_json(const Report& report) {
  nlohmann::ordered_json json{{"name", report.name},
                              {"queries", report.queries},
                              {"lists", report.lists},
                              {"candidates", report.candidates},
                              {"fewest_candidates", report.fewest_candidates},
                              {"pairs_hash", report.pairs_hash},
                              {"candidates_hash", report.candidates_hash}};
  for (size_t i = 0; i < report.ks.size(); i++)
    json[fmt::format("top{}", report.ks[i])] = to_json(report.ranking.top[i]);
  json["mrr"] = to_json(report.ranking.mrr);
  if (!report.rank_frequency.empty()) json["rank_frequency"] = report.rank_frequency;
  json.update(to_json(report.verification));
  if (report.chosen) {
    auto& chosen = json["at_validation_threshold"];
    chosen = {{"true_match_rate", to_json(report.chosen->true_match_rate)},
              {"false_match_rate", to_json(report.chosen->false_match_rate)}};
    if (std::isfinite(report.chosen->threshold)) chosen["threshold"] = report.chosen->threshold;
  }
  return json;
}

void write_scores(const std::string& csv, const Protocol& protocol, const Tensor& scores) {
  check_scores(protocol, scores);
  std::vector<std::vector<std::string>> rows{{"left"}};
  for (int64_t i = 0; i < protocol.lists.count; i++) rows[0].push_back(fmt::format("c{}", i));
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    auto& row = rows.emplace_back(std::vector{protocol.left[protocol.lists.query[list]]});
    // The shortest text that reads back as the same float.
    for (const float score : list_scores(protocol, scores, list)) row.push_back(fmt::format("{}", score));
  }
  write_csv(csv, rows);
}

}  // namespace lookalike

// From pairs to a report, the way the commands go.
#include <cmath>

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/data/csv.h"
#include "engine/eval/protocol.h"
#include "tests/temporary_folder.h"
#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

using doctest::Approx;

// The embeddings of numbered pairs, in a protocol's order: pair i's is a random vector that depends on i alone, with
// noise for the side.
Tensor embed(const std::vector<std::string>& names, float noise, uint64_t side) {
  Tensor rows({std::ssize(names), 8});
  for (size_t row = 0; row < names.size(); row++) {
    const uint64_t number = std::stoull(names[row].substr(1));
    Random shared(0, RandomUse::test, number), own(0, RandomUse::test, number, side);
    for (int i = 0; i < 8; i++) rows.data<float>()[row * 8 + i] = shared.normal() + noise * own.normal();
  }
  return rows;
}

Tensor score(const Protocol& protocol, float noise) {
  return score_candidates(embed(protocol.left, noise, 1), embed(protocol.right, noise, 2), protocol.lists,
                          Similarity::cosine);
}

TEST_CASE("a protocol asks for every pair in every list and embeds each image once") {
  const auto pairs = numbered_pairs(30);
  const Protocol protocol = make_protocol(pairs, 20, 5, 1);
  CHECK(protocol.left.size() == 30);
  REQUIRE(protocol.right.size() == 30);
  for (int i = 0; i < 30; i++) CHECK((protocol.left[i] == pairs[i].left && protocol.right[i] == pairs[i].right));
  REQUIRE(protocol.lists.lists() == 150);
  for (int64_t list = 0; list < 150; list++) {
    const int64_t place = protocol.lists.candidates[list * 20 + protocol.lists.truth[list]];
    CHECK(protocol.left[protocol.lists.query[list]].substr(1) == protocol.right[place].substr(1));
  }
  CHECK(make_protocol(pairs, 20, 5, 1).candidates_hash == protocol.candidates_hash);
  CHECK(make_protocol(pairs, 20, 5, 2).candidates_hash != protocol.candidates_hash);
  CHECK(make_protocol(pairs, 20, 5, 2).pairs_hash == protocol.pairs_hash);
  CHECK(make_protocol(pairs, 31, 5, 1).lists.count == 30);  // as many as there are
  CHECK_THROWS_AS(make_protocol(numbered_pairs(1), 20, 5, 1), Error);
  CHECK_THROWS_AS(make_protocol(pairs, 20, 0, 1), Error);
}

TEST_CASE("of several partners the best one counts, and none is a wrong candidate") {
  std::vector<Pair> pairs = numbered_pairs(30);
  pairs.push_back({"l0", "r1"}), pairs.push_back({"l0", "r2"});
  const Protocol protocol = make_protocol(pairs, 20, 5, 1);
  CHECK(protocol.left.size() == 30);
  CHECK(protocol.right.size() == 30);
  CHECK(protocol.lists.lists() == 32 * 5);
  CHECK(protocol.partners[0] == std::vector<int64_t>{0, 1, 2});
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    int64_t partners = 0;
    for (int64_t place = 0; place < 20; place++) partners += is_partner(protocol, list, place);
    CHECK(partners == 1);
    CHECK(is_partner(protocol, list, protocol.lists.truth[list]));
  }
  CHECK(evaluate_scores("", protocol, score(protocol, 0.5f)).queries == 30);

  // Lists of a file may hold several.
  TemporaryFolder folder;
  write_csv(
      folder / "c.csv",
      {{"left", "c0", "c1", "c2", "c3"}, {"a", "1", "2", "3", "4"}, {"b", "1", "2", "3", "4"}});
  write_pairs(folder / "t.csv", std::vector<Pair>{{"a", "2"}, {"a", "4"}, {"b", "1"}});
  const Protocol read = read_protocol(folder / "c.csv", folder / "t.csv");
  const Tensor scores =
      Tensor::from({2, 4}, std::vector<float>{0.9f, 0.1f, 0.3f, 0.5f, 0.2f, 0.4f, 0.6f, 0.1f});
  const std::vector<Rank> ranks = ranks_of(read, scores);
  CHECK(ranks[0].rank == 2);  // c3, before the other partner, c1
  CHECK(ranks[1].rank == 3);
  // By guessing, the first of two partners among four: 1/2, 1/3, 1/6.
  const Report chance = chance_report(read, {1, 2, 3, 4});
  CHECK(chance.ranking.top[0].value == Approx((1.0 / 2 + 1.0 / 4) / 2));
  CHECK(chance.ranking.top[1].value == Approx((5.0 / 6 + 2.0 / 4) / 2));
  CHECK(chance.ranking.top[3].value == Approx(1));
  CHECK(chance.ranking.mrr.value ==
        Approx((1.0 / 2 + 1.0 / 6 + 1.0 / 18 + (1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4) / 4) / 2));
  // 3 similar pairs among 8: 0.1, 0.5 and 0.2 against 0.9, 0.3 | 0.4, 0.6, 0.1 of all queries.
  CHECK(evaluate_scores("", read, scores, {1}).verification.roc_auc.value ==
        Approx((0.5 + 3 + 1) / 15));

  const std::vector<Pair> all_right{{"a", "1"}, {"a", "2"}};
  CHECK(error_of([&] {
          make_protocol(all_right, 2, 1, 0);
        }).find("every right image is a partner") == 0);
}

TEST_CASE("perfect embeddings get everything right, a collapsed or broken network gets chance") {
  const Protocol protocol = make_protocol(numbered_pairs(200), 20, 5, 0);
  const Report perfect = evaluate_scores("perfect", protocol, score(protocol, 0));
  CHECK(perfect.ranking.top[0].value == 1);
  CHECK(perfect.ranking.mrr.value == 1);
  CHECK(perfect.rank_frequency.size() == 20);
  CHECK(perfect.rank_frequency[0] == Approx(1));
  CHECK(perfect.verification.roc_auc.value > 0.999);
  CHECK(perfect.queries == 200);
  CHECK(perfect.lists == 1000);

  const Report chance = chance_report(protocol);
  CHECK(chance.ranking.top[1].value == Approx(0.1));
  CHECK(chance.ranking.mrr.value == Approx(0.17989));
  for (const float constant : {0.0f, 1.0f, NAN}) {
    Tensor left({200, 8}), right({200, 8});
    left.fill(constant);
    right.fill(constant);
    const Report report =
        evaluate_scores("constant", protocol, score_candidates(left, right, protocol.lists, Similarity::cosine));
    CHECK(report.ranking.top[1].low < 0.1);
    CHECK(report.ranking.top[1].high > 0.1);
    CHECK(report.verification.roc_auc.value == 0.5);
  }
}

TEST_CASE("baselines: subtracting the mean picture helps where pictures share one") {
  const Protocol protocol = make_protocol(numbered_pairs(100), 20, 2, 0);
  Tensor left = embed(protocol.left, 1, 1), right = embed(protocol.right, 1, 2), shared({8});
  shared.fill(-50);
  left = minus_row(left, shared), right = minus_row(right, shared);
  const auto baselines = baseline_scores(protocol, left, right, mean_row(left));
  REQUIRE(baselines.size() == 2);
  CHECK(baselines[0].first == "raw pixels");
  const auto top2 = [&](const Tensor& scores) { return evaluate_scores("", protocol, scores).ranking.top[1].value; };
  CHECK(top2(baselines[1].second) > top2(baselines[0].second));
  CHECK(baseline_scores(protocol, left, right, Tensor()).size() == 1);
}

TEST_CASE("a candidates file gives the same result as the lists it was written from") {
  TemporaryFolder folder;
  const auto pairs = numbered_pairs(40);
  write_pairs(folder / "truth.csv", pairs);
  write_candidates(folder / "candidates.csv", make_candidates(pairs, 10, 3));
  const Protocol made = make_protocol(pairs, 10, 1, 3);
  const Protocol read = read_protocol(folder / "candidates.csv", folder / "truth.csv");
  CHECK(read.candidates_hash == made.candidates_hash);
  CHECK(read.pairs_hash == made.pairs_hash);
  const Report a = evaluate_scores("", made, score(made, 0.8f)), b = evaluate_scores("", read, score(read, 0.8f));
  CHECK(a.ranking.top[0].value == b.ranking.top[0].value);
  CHECK(a.ranking.top[0].low == b.ranking.top[0].low);
  CHECK(a.ranking.top[0].value < 1);
  CHECK(to_json(a) == to_json(b));

  const Tensor scores = score(read, 0.8f);
  write_scores(folder / "scores.csv", read, scores);
  const auto candidates = read_csv(folder / "candidates.csv"), written = read_csv(folder / "scores.csv");
  REQUIRE(written.size() == candidates.size());
  CHECK(written[0].cells == candidates[0].cells);
  bool same = true;
  for (size_t row = 1; row < written.size(); row++) {
    same &= written[row].cells[0] == candidates[row].cells[0];
    for (size_t i = 1; i <= 10; i++)
      same &= std::stof(written[row].cells[i]) == scores.data<float>()[(row - 1) * 10 + i - 1];
  }
  CHECK(same);
  CHECK_THROWS_AS(write_scores(folder / "bad.csv", read, Tensor({3, 10})), Error);

  // Without truth the lists can be scored all the same, and not ranked.
  const Protocol unlabelled = read_protocol(folder / "candidates.csv", "");
  write_scores(folder / "unlabelled.csv", unlabelled, score(unlabelled, 0.8f));
  CHECK(read_bytes(folder / "unlabelled.csv") == read_bytes(folder / "scores.csv"));
  CHECK_THROWS_AS(evaluate_scores("", unlabelled, score(unlabelled, 0.8f)), Error);
}

TEST_CASE("reports as tables and JSON") {
  const Protocol protocol = make_protocol(numbered_pairs(50), 20, 2, 0);
  const std::vector<Report> reports{chance_report(protocol), evaluate_scores("mine", protocol, score(protocol, 0))};
  const std::string table = ranking_table(reports);
  CHECK(table.find("50 queries, 100 lists of 20 candidates\npairs " + protocol.pairs_hash) == 0);
  CHECK(table.find("top-4 %") != std::string::npos);
  CHECK(table.find("[100, 100]") != std::string::npos);
  CHECK(verification_table(reports).find("mine") != std::string::npos);
  const auto json = to_json(reports[1]);
  CHECK(json["top2"]["value"] == 1);
  CHECK(json["top2"]["n"] == 50);
  CHECK(json["candidates_hash"] == protocol.candidates_hash);

  const Protocol other = make_protocol(numbered_pairs(50), 20, 2, 1);
  const std::vector<Report> mixed{chance_report(protocol), chance_report(other)};
  CHECK_THROWS_AS(ranking_table(mixed), Error);
}

}  // namespace
}  // namespace lookalike

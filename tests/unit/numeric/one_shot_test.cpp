#include "engine/eval/one_shot.h"

#include <cmath>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/eval/class_report.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using doctest::Approx;

// Without pixels: class `name` has `count` images, name/0, name/1, ...
ClassData named_data(const std::vector<std::pair<std::string, int>>& classes) {
  ClassData data;
  for (const auto& [name, count] : classes) {
    for (int i = 0; i < count; i++) {
      data.labels.push_back(static_cast<int32_t>(data.classes.size()));
      data.names.push_back(fmt::format("{}/{}", name, i));
    }
    data.classes.push_back(name);
  }
  return data;
}

std::string class_of(const std::string& name) {
  return name.substr(0, name.rfind('/'));
}
std::string number_of(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

ClassData two_alphabets() {
  std::vector<std::pair<std::string, int>> classes;
  for (int i = 0; i < 7; i++) classes.push_back({fmt::format("greek/{}", i), 4});
  for (int i = 0; i < 4; i++) classes.push_back({fmt::format("latin/{}", i), 4});
  return named_data(classes);
}

// Lists of one run of one group, one after the other.
struct Run {
  std::set<std::string> classes, asked_numbers, known_numbers;
  int64_t lists = 0;
};

TEST_CASE("one-shot lists: within a group, one drawer against another") {
  const ClassData data = two_alphabets();
  const OneShot one_shot = make_one_shot(data, 5, 6, 3);
  const Protocol& protocol = one_shot.protocol;
  CHECK(protocol.lists.count == 5);
  REQUIRE(protocol.lists.lists() == 6 * 5 + 6 * 4);
  CHECK(std::set(protocol.left.begin(), protocol.left.end()).size() == protocol.left.size());
  CHECK(std::set(protocol.right.begin(), protocol.right.end()).size() == protocol.right.size());
  for (size_t i = 0; i < protocol.left.size(); i++) CHECK(protocol.left[i] == data.names[one_shot.left[i]]);
  for (size_t i = 0; i < protocol.right.size(); i++) CHECK(protocol.right[i] == data.names[one_shot.right[i]]);

  std::map<int64_t, Run> runs;
  std::set<std::string> drawers;
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    const bool greek = list < 30;
    CHECK(protocol.lists.length(list) == (greek ? 5 : 4));
    Run& run = runs[greek ? list / 5 : 6 + (list - 30) / 4];
    const std::string& asked = protocol.left[protocol.lists.query[list]];
    CHECK(group_of(class_of(asked)) == (greek ? "greek" : "latin"));
    run.classes.insert(class_of(asked));
    run.asked_numbers.insert(number_of(asked));
    run.lists++;
    for (int64_t i = 0; i < protocol.lists.length(list); i++) {
      const std::string& known = protocol.right[protocol.lists.candidates[list * 5 + i]];
      CHECK((i == protocol.lists.truth[list]) == (class_of(known) == class_of(asked)));
      run.known_numbers.insert(number_of(known));
      run.classes.insert(class_of(known));
    }
  }
  for (const auto& [number, run] : runs) {
    CHECK(std::ssize(run.classes) == run.lists);
    CHECK(run.asked_numbers.size() == 1);
    CHECK(run.known_numbers.size() == 1);
    CHECK(run.asked_numbers != run.known_numbers);
    drawers.insert(run.asked_numbers.begin(), run.asked_numbers.end());
  }
  CHECK(drawers.size() > 1);

  CHECK(make_one_shot(data, 5, 6, 3).protocol.candidates_hash == protocol.candidates_hash);
  CHECK(make_one_shot(data, 5, 6, 4).protocol.candidates_hash != protocol.candidates_hash);
  CHECK_THROWS_AS(make_one_shot(data, 1, 6, 3), Error);
  CHECK_THROWS_AS(make_one_shot(data, 5, 0, 3), Error);
}

TEST_CASE("one-shot lists of classes of several sizes: two images of each, drawn apart") {
  const ClassData data = named_data({{"a", 2}, {"b", 9}, {"c", 1}, {"d", 5}, {"alone/a", 8}});
  const Protocol protocol = make_one_shot(data, 20, 40, 0).protocol;
  CHECK(protocol.lists.count == 3);
  CHECK(protocol.lists.lists() == 3 * 40);
  std::set<std::string> numbers;
  for (int64_t list = 0; list < protocol.lists.lists(); list++) {
    const std::string& asked = protocol.left[protocol.lists.query[list]];
    const std::string& known = protocol.right[protocol.lists.candidates[list * 3 + protocol.lists.truth[list]]];
    CHECK(asked != known);
    CHECK(class_of(asked) == class_of(known));
    CHECK(class_of(asked) != "c");
    if (class_of(asked) == "b") numbers.insert(number_of(asked));
  }
  CHECK(numbers.size() > 5);
  CHECK(error_of([] {
          make_one_shot(named_data({{"a", 1}, {"b", 3}, {"x/a", 3}}), 5, 1, 0);
        }) == "no group has two classes of two images, expected one to classify in");
}

TEST_CASE("one-shot results: shorter lists count with their own length") {
  const ClassData data = two_alphabets();
  const OneShot one_shot = make_one_shot(data, 5, 6, 0);
  const auto rows = [&](const std::vector<int64_t>& images) {
    Tensor result({std::ssize(images), 11});
    result.fill(0);
    for (size_t i = 0; i < images.size(); i++) result.data<float>()[i * 11 + data.labels[images[i]]] = 1;
    return result;
  };
  const Tensor scores = score_candidates(rows(one_shot.left), rows(one_shot.right), one_shot.protocol.lists,
                                         Similarity::negative_distance);
  CHECK(std::isinf(scores.data<float>()[30 * 5 + 4]));
  const std::vector<int64_t> ks{1, 2};
  const Report perfect = evaluate_scores("perfect", one_shot.protocol, scores, ks);
  CHECK(perfect.candidates == 5);
  CHECK(perfect.fewest_candidates == 4);
  CHECK(perfect.ranking.top[0].value == 1);
  CHECK(perfect.verification.roc_auc.value == 1);
  CHECK(perfect.verification.threshold == 0);
  const Report chance = chance_report(one_shot.protocol, ks);
  CHECK(chance.ranking.top[0].value == Approx((30 * 0.2 + 24 * 0.25) / 54));
  CHECK(chance.ranking.top[1].value == Approx((30 * 0.4 + 24 * 0.5) / 54));
  CHECK(chance.ranking.mrr.value ==
        Approx((30 * (1 + 0.5 + 1 / 3.0 + 0.25 + 0.2) / 5 + 24 * (1 + 0.5 + 1 / 3.0 + 0.25) / 4) / 54));
  const std::vector<Report> reports{chance, perfect};
  CHECK(ranking_table(reports).find("54 lists of 4 to 5 candidates") != std::string::npos);
  CHECK(to_json(perfect)["fewest_candidates"] == 4);
  // All the same: whoever is first in its list comes first, of four or five.
  Tensor same({std::ssize(one_shot.left), 3}), other({std::ssize(one_shot.right), 3});
  same.fill(1), other.fill(1);
  const Report collapsed = evaluate_scores(
      "collapsed", one_shot.protocol, score_candidates(same, other, one_shot.protocol.lists, Similarity::cosine), ks);
  CHECK(collapsed.ranking.top[0].value == Approx(12.0 / 54));
  CHECK(collapsed.verification.roc_auc.value == 0.5);
}

TEST_CASE("labelled pairs: one of the same class and one of another for each item that is not alone") {
  // The value of an item is its class; the alone item and its class lie in the middle of the order.
  const std::vector<int32_t> labels{2, 0, 2, 1, 0, 0, 2, 3, 3};
  Tensor values({9, 1});
  for (int i = 0; i < 9; i++) values.data<float>()[i] = static_cast<float>(labels[i]);
  std::set<float> others;
  for (uint64_t seed = 0; seed < 20; seed++) {
    const auto pairs = labelled_pairs(values, labels, Similarity::negative_distance, seed);
    REQUIRE(pairs.size() == 16);
    for (size_t i = 0; i < pairs.size(); i++) {
      CHECK(pairs[i].query == static_cast<int64_t>(i / 2));
      CHECK(pairs[i].similar == (i % 2 == 0));
      CHECK((pairs[i].score == 0) == pairs[i].similar);
      others.insert(pairs[i].score);
    }
  }
  CHECK(others == std::set<float>{0, -1, -2, -3});
  // Never an item with itself: two items of a class that differ.
  const std::vector<int32_t> two{0, 0, 1, 1};
  const Tensor apart = Tensor::from<float>({4, 1}, std::vector<float>{0, 1, 10, 11});
  for (const ScoredPair& pair : labelled_pairs(apart, two, Similarity::negative_distance, 0))
    if (pair.similar) CHECK(pair.score == -1);
  CHECK_THROWS_AS(labelled_pairs(apart, std::vector<int32_t>{1, 1, 1, 1}, Similarity::cosine, 0), Error);
  CHECK_THROWS_AS(labelled_pairs(apart, std::vector<int32_t>{0, 1, 2, 3}, Similarity::cosine, 0), Error);
}

TEST_CASE("a report of classes: distance and cosine see different things") {
  // Classes on one ray, told apart by length alone.
  ClassData data = named_data({{"near", 30}, {"far", 30}});
  Tensor rows({60, 2});
  Random random(0, RandomUse::test);
  for (int i = 0; i < 60; i++) {
    const float length = (i < 30 ? 1.0f : 9.0f) + random.uniform();
    rows.data<float>()[2 * i] = 3 * length, rows.data<float>()[2 * i + 1] = 4 * length;
  }
  const std::vector<ClassReport> by_distance{evaluate_classes("m", data, rows, Similarity::negative_distance)};
  CHECK(by_distance[0].retrieval.map_at_r.value == 1);
  CHECK(by_distance[0].verification.eer.value == 0);
  CHECK(by_distance[0].images == 60);
  CHECK(evaluate_classes("m", data, rows, Similarity::cosine).verification.roc_auc.value < 0.9);
  const std::string table = class_table(by_distance);
  CHECK(table.starts_with("60 images of 2 classes, each ranks all others by distance\ndata "));
  CHECK(table.find("precision@1 %") != std::string::npos);
  CHECK(table.find("recall@5 %") != std::string::npos);
  CHECK(table.find("[100, 100]") != std::string::npos);
  const auto json = to_json(by_distance[0]);
  CHECK(json["recall_at_1"]["value"] == json["precision_at_1"]["value"]);
  CHECK(json["verification"]["eer"]["value"] == 0);
  CHECK(parse_similarity("cosine") == Similarity::cosine);
  CHECK(error_of([] { parse_similarity("l2"); }) == "similarity 'l2', expected cosine or distance");
}

}  // namespace
}  // namespace lookalike

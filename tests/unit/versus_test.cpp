// Two models' answers to the same queries.
#include "engine/eval/versus.h"

#include <numeric>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

Answers some_answers(const std::vector<int64_t>& right, int64_t lists) {
  std::vector<std::string> names;
  for (size_t i = 0; i < right.size(); i++) names.push_back("q" + std::to_string(i));
  return {"m",   "pairs 1",
          names, std::vector<int64_t>(right.size(), lists),
          right, std::vector<bool>(right.size())};
}

TEST_CASE("McNemar's exact test equals the tails of the binomial distribution") {
  // P(X <= 5 | 20, 1/2) = 0.020695 and P(X <= 2 | 12, 1/2) = 0.019287 of the tables, twice.
  CHECK(mcnemar_exact(5, 15) == doctest::Approx(2 * 0.020695).epsilon(1e-4));
  CHECK(mcnemar_exact(2, 10) == doctest::Approx(158.0 / 4096).epsilon(1e-12));
  CHECK(mcnemar_exact(10, 2) == mcnemar_exact(2, 10));
  CHECK(mcnemar_exact(0, 0) == 1);
  CHECK(mcnemar_exact(7, 7) == 1);
  CHECK(mcnemar_exact(0, 6) == doctest::Approx(2.0 / 64).epsilon(1e-12));
  // Rows of Pascal's triangle, which whole numbers hold exactly.
  std::vector<uint64_t> row{1};
  for (int n = 1; n <= 60; n++) {
    row.push_back(0);
    for (int k = n; k > 0; k--) row[k] += row[k - 1];
    for (int k = 0; 2 * k < n; k++) {
      const uint64_t tail = std::accumulate(row.begin(), row.begin() + k + 1, uint64_t{0});
      const double exact = 2 * static_cast<double>(tail) / static_cast<double>(uint64_t{1} << n);
      CHECK(mcnemar_exact(k, n - k) == doctest::Approx(std::min(1.0, exact)).epsilon(1e-12));
    }
  }
  // Where powers of a half are no doubles any more: a normal approximation's 4 standard deviations.
  CHECK(mcnemar_exact(49'367, 50'633) == doctest::Approx(6.36e-5).epsilon(0.02));
}

TEST_CASE("queries are compared one by one, those of several lists by their majority") {
  const Answers ours = some_answers({5, 3, 2, 0, 5, 5, 5, 5}, 5),
                theirs = some_answers({5, 2, 3, 0, 0, 0, 0, 5}, 5);
  const Versus versus = *compare_answers(ours, theirs);
  CHECK(versus.verdict.ours == doctest::Approx(30.0 / 40));
  CHECK(versus.verdict.theirs == doctest::Approx(15.0 / 40));
  CHECK(versus.verdict.difference.n == 8);
  CHECK(versus.both == 2);
  CHECK(versus.neither == 1);
  CHECK(versus.ours_alone == std::vector<std::string>{"q1", "q4", "q5", "q6"});
  CHECK(versus.theirs_alone == std::vector<std::string>{"q2"});
  CHECK(versus.mcnemar_p == doctest::Approx(2 * 6.0 / 32));
  const auto json = to_json(versus);
  CHECK(json["only_theirs_right"] == std::vector<std::string>{"q2"});
  CHECK(json["difference"] == doctest::Approx(15.0 / 40));
  // Two of four lists are no majority.
  CHECK(compare_answers(some_answers({2, 2}, 4), some_answers({3, 3}, 4))->theirs_alone.size() ==
        2);
}

TEST_CASE("what one of two has seen, or could not read, is not compared") {
  Answers ours = some_answers({1, 1, 1, 0}, 1), theirs = some_answers({0, 0, 1, 1}, 1);
  ours.seen[0] = true, theirs.seen[3] = true, theirs.lists[1] = 0;
  const Versus versus = *compare_answers(ours, theirs);
  CHECK(versus.verdict.difference.n == 1);
  CHECK(versus.both == 1);
  CHECK(versus.seen == 2);
  ours.seen[2] = true;
  CHECK(!compare_answers(ours, theirs).has_value());
}

TEST_CASE("answers in a file read back, others are refused") {
  Answers answers = some_answers({1, 0, 1, 0}, 1);
  answers.lists[3] = 0, answers.seen[1] = true;
  const nlohmann::json json = to_json(answers);
  CHECK(json["right"] == std::vector<int>{1, 0, 1, -1});
  const Answers asked = some_answers({0, 0, 0, 0}, 1), read = read_answers(json, asked, "r.json");
  CHECK(read.right == answers.right);
  CHECK(read.lists == answers.lists);
  CHECK(read.seen == answers.seen);
  const auto error = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json other = json;
    other[key] = value;
    return error_of([&] { read_answers(other, asked, "r.json"); });
  };
  CHECK(error("hash", "pairs 2") ==
        "r.json: answers other lists (hash pairs 2) than these (pairs 1), expected the same");
  CHECK(error("right", {1, 0, 1}) == "r.json: answers 3 queries, expected 4");
  CHECK(error("right", {1, 0, 1, 2}) == "r.json: 'right' of its answers, expected -1 to 1");
  CHECK(error("right", {1, 0, 1, "x"}).find("r.json: 'right'") == 0);
  CHECK(error("right", nullptr) == "r.json: has no list 'right' in its answers");
  CHECK(error("seen", {4}) == "r.json: 'seen' of its answers, expected 0 to 3");
  CHECK(error("name", 3) == "r.json: has no 'name' of answers");
  CHECK_THROWS_AS(read_answers(nlohmann::json("x"), asked, "r.json"), Error);
  Answers others = asked;
  others.hash = "pairs 2";
  CHECK_THROWS_AS(compare_answers(asked, others), Error);
}

}  // namespace
}  // namespace lookalike

// The sentence that an evaluation ends with, and results that are no numbers.
#include "engine/eval/verdict.h"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/core/finite.h"
#include "engine/eval/embed.h"
#include "engine/eval/table.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

std::vector<Rank> ranks(const std::vector<int64_t>& of_lists, int64_t lists_each = 1) {
  std::vector<Rank> result;
  for (size_t i = 0; i < of_lists.size(); i++) result.push_back({static_cast<int64_t>(i) / lists_each, of_lists[i]});
  return result;
}

TEST_CASE("a paired comparison says what is better and how sure that is") {
  std::vector<double> base(100), better(100);
  for (int i = 0; i < 100; i++) base[i] = i % 2, better[i] = i % 2 || i < 40;
  const Verdict verdict = compare_queries(better, base);
  CHECK(verdict.difference.value == doctest::Approx(0.2));
  // Of 20 differences out of 100: 0.2 +- 1.96 sqrt(0.2 * 0.8 / 100). Resampled apart, the interval would be twice as wide.
  CHECK(verdict.difference.low == doctest::Approx(0.122).epsilon(0.1));
  CHECK(verdict.difference.high == doctest::Approx(0.278).epsilon(0.1));
  CHECK(sentence("m", "raw pixels", "top-1", verdict)
            .find("m beats raw pixels: top-1 70.0 % against 50.0 %, by 20.0 points [1") == 0);
  const std::string loses = sentence("m", "raw pixels", "top-1", compare_queries(base, better));
  CHECK(loses.find("m loses to raw pixels: top-1 50.0 % against 70.0 %, by 20.0 points [1") == 0);
  CHECK(sentence("m", "raw pixels", "top-1", compare_queries(base, base)) ==
        "m equals raw pixels within the uncertainty: top-1 50.0 % against 50.0 %, a difference of "
        "0.0 points [0.0, 0.0], 100 "
        "queries");
  CHECK(claim("m", "raw pixels", verdict) == "m beats raw pixels");
  const auto json = to_json(verdict);
  CHECK(json["n"] == 100);
  CHECK(json["difference"] == verdict.difference.value);
}

TEST_CASE("few queries prove nothing, and lists of one query are drawn together") {
  const std::vector<double> none(5, 0.0), all(5, 1.0);
  CHECK(sentence("m", "p", "top-1", compare_queries(all, none)) ==
        "m and p cannot be told apart by 5 queries: top-1 100.0 % against 0.0 %");
  // Six queries of five lists each are six, not thirty.
  std::vector<int64_t> ours(30, 1), theirs(30, 2);
  const Verdict verdict = compare_ranks(ranks(ours, 5), ranks(theirs, 5));
  CHECK(verdict.difference.n == 6);
  CHECK(verdict.ours == 1);
  CHECK_THROWS_AS(compare_ranks(ranks(ours, 5), ranks(theirs, 3)), Error);
}

TEST_CASE("NaN and infinity are found, named by the image, and never in JSON") {
  Tensor rows = Tensor::zeros({3, 2});
  const std::vector<std::string> names{"a.png", "b.png", "c.png"};
  CHECK(first_row_not_finite(rows) == -1);
  check_finite(rows, names);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    rows.data<float>()[3] = bad;
    CHECK(first_row_not_finite(rows) == 1);
    CHECK(error_of([&] { check_finite(rows, names); }).find("b.png: its embedding holds NaN") == 0);
  }
  // All pairs score alike, so no threshold accepts few dissimilar ones.
  const VerificationMetrics metrics = verification_metrics({{1, true, 0}, {1, false, 0}, {1, false, 1}}, 0.01, 0);
  CHECK(to_json(metrics).dump().find("null") == std::string::npos);
}

}  // namespace
}  // namespace lookalike

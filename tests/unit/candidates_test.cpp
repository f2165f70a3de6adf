#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/data/pairs.h"
#include "tests/unit/data_files.h"

namespace lookalike {
TEST_CASE("candidate lists: the truth once, the others different, all places equally likely") {
  const auto pairs = numbered_pairs(400);
  const Candidates lists = make_candidates(pairs, 20, 1);
  const auto places = places_of_truth(lists, pairs, "c.csv");
  std::vector<int> place_count(20), pair_count(400);
  for (size_t i = 0; i < pairs.size(); i++) {
    CHECK(lists.left[i] == pairs[i].left);
    CHECK(std::set(lists.right[i].begin(), lists.right[i].end()).size() == 20);
    place_count[places[i]]++;
    for (const auto& name : lists.right[i]) pair_count[std::stoi(name.substr(1))]++;
  }
  // 20 expected of each, four standard deviations either way.
  CHECK(*std::min_element(place_count.begin(), place_count.end()) > 20 - 18);
  CHECK(*std::max_element(place_count.begin(), place_count.end()) < 20 + 18);
  CHECK(*std::min_element(pair_count.begin(), pair_count.end()) > 20 - 18);
  CHECK(*std::max_element(pair_count.begin(), pair_count.end()) < 20 + 18);

  CHECK(content_hash(make_candidates(pairs, 20, 1)) == content_hash(lists));
  CHECK(content_hash(make_candidates(pairs, 20, 2)) != content_hash(lists));
}

TEST_CASE("as many candidates as pairs are all of them; more are an error") {
  const auto pairs = numbered_pairs(5);
  const Candidates lists = make_candidates(pairs, 5, 0);
  for (const auto& names : lists.right) CHECK(std::set(names.begin(), names.end()).size() == 5);
  CHECK(error_of([&] { make_candidates(pairs, 6, 0); }).starts_with("6 candidates for 5 pairs"));
  CHECK_THROWS_AS(make_candidates(pairs, 1, 0), Error);
}

TEST_CASE("candidate files read back, and what is wrong is named") {
  const DataFolder folder;
  const auto pairs = numbered_pairs(6);
  const Candidates lists = make_candidates(pairs, 3, 0);
  write_candidates(folder.path("c.csv"), lists);
  CHECK(content_hash(read_candidates(folder.path("c.csv"))) == content_hash(lists));

  const auto error = [&](const std::string& text) {
    const std::string csv = folder.write("c.csv", text);
    return error_of([&] { places_of_truth(read_candidates(csv), pairs, csv); }).substr(folder.path().size() + 1);
  };
  CHECK(error("left,c0,c2\n").starts_with("c.csv:1: the header is 'left,c0,c2', expected left,c0,c1,..."));
  CHECK(error("left,c0,c1\nl0,r0\n") == "c.csv:2: 2 cells, expected 3");
  CHECK(error("left,c0,c1\nl0,r0,r0\n") == "c.csv:2: right image 'r0' is already in line 2, expected each once");
  CHECK(error("left,c0,c1\nl0,r0,r1\nl0,r1,r2\n") ==
        "c.csv:3: the true partner 'r0' of 'l0' is not among the candidates");
  CHECK(error("left,c0,c1\nl9,r0,r1\n") == "c.csv:2: the truth says nothing of left image 'l9'");
  CHECK(error("left,c0,c1\nl0,r2,r1\n") == "c.csv:2: the true partner 'r0' of 'l0' is not among the candidates");
}

}  // namespace lookalike

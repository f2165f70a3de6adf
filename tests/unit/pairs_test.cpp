#include "engine/data/pairs.h"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/data/csv.h"
#include "engine/data/image_files.h"
#include "tests/unit/data_files.h"

namespace lookalike {
TEST_CASE("CSV: quotes, CRLF, a byte-order mark, empty lines and what is written reads back") {
  const DataFolder folder;
  const auto rows =
      read_csv(folder.write("a.csv", "\xEF\xBB\xBFleft,right\r\n\"a,\"\"b\"\"\",c\r\n\n\"two\nlines\",\nx"));
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].cells == std::vector<std::string>{"left", "right"});
  CHECK(rows[1].cells == std::vector<std::string>{"a,\"b\"", "c"});
  CHECK(rows[2].line == 4);
  CHECK(rows[2].cells == std::vector<std::string>{"two\nlines", ""});
  CHECK(rows[3].line == 6);

  const std::vector<std::vector<std::string>> cells{{"\xEF\xBB\xBF" "a", "\"", "c"}, {"x,", "", "y\nz"}};
  write_csv(folder.path("b.csv"), cells);
  const auto back = read_csv(folder.path("b.csv"));
  REQUIRE(back.size() == 2);
  CHECK(back[0].cells == cells[0]);
  CHECK(back[1].cells == cells[1]);

  const auto error = [&](const std::string& text) {
    return error_of([&] { read_csv(folder.write("c.csv", text)); }).substr(folder.path().size() + 1);
  };
  CHECK(error("a,b\n\"c") == "c.csv:2: a quote is never closed");
  CHECK(error("\"a\"b") == "c.csv:1: text after a closing quote");
  CHECK(error("a\"b") == "c.csv:1: a quote inside a cell that does not begin with one");
  CHECK(error(std::string("a\0b", 3)) == "c.csv: not text, expected a CSV file");
}

TEST_CASE("pairs files: what is wrong is named with file and line") {
  const DataFolder folder;
  const auto error = [&](const std::string& text) {
    return error_of([&] { read_pairs(folder.write("p.csv", text)); }).substr(folder.path().size() + 1);
  };
  CHECK(error("") == "p.csv: the file is empty, expected the header left,right");
  CHECK(error("a,b\nc,d\n") == "p.csv:1: the header is 'a,b', expected left,right");
  CHECK(error("left,right\n") == "p.csv: nothing below the header");
  CHECK(error("left,right\na,b\na\n") == "p.csv:3: 1 cells, expected 2");
  CHECK(error("left,right\na,b,c\n") == "p.csv:2: 3 cells, expected 2");
  CHECK(error("left,right\na,\n") == "p.csv:2: an empty name");
  CHECK(error("left,right\na,b\n\na,b\n") ==
        "p.csv:4: the pair 'a' and 'b' is already in line 2, expected each once");
  CHECK(error_of([&] { read_pairs(folder.path("none.csv")); }).find("none.csv") != std::string::npos);

  const auto pairs = read_pairs(folder.write("p.csv", "left,right\na,b\nc,d\n"));
  CHECK(pairs[1].right == "d");
  CHECK(pairs[1].line == 3);
  write_pairs(folder.path("q.csv"), pairs);
  CHECK(content_hash(read_pairs(folder.path("q.csv"))) == content_hash(pairs));
}

TEST_CASE("a split has the sizes asked for, every pair once, and follows from the seed") {
  const auto pairs = numbered_pairs(1092);
  const Split split = split_pairs(pairs, {70, 15, 15}, 0);
  CHECK(split.train.size() == 764);
  CHECK(split.validation.size() == 164);
  CHECK(split.test.size() == 164);
  std::set<std::string> names;
  for (const auto* part : {&split.train, &split.validation, &split.test})
    for (const Pair& pair : *part) names.insert(pair.left);
  CHECK(names.size() == 1092);

  CHECK(content_hash(split_pairs(pairs, {0.7, 0.15, 0.15}, 0).test) == content_hash(split.test));
  CHECK(content_hash(split_pairs(pairs, {70, 15, 15}, 1).test) != content_hash(split.test));
  CHECK(split_pairs(numbered_pairs(5), {1, 0, 1}, 0).validation.empty());
  CHECK_THROWS_AS(split_pairs(numbered_pairs(3), {70, 15, 15}, 0), Error);
  CHECK_THROWS_AS(split_pairs(pairs, {70, -1, 15}, 0), Error);
  CHECK_THROWS_AS(split_pairs(pairs, {0, 0, 0}, 0), Error);
}

// A left image with two partners, one of which has two itself, so that three rows are a group; and
// `alone` pairs.
std::vector<Pair> pairs_with_partners(int alone) {
  std::vector<Pair> pairs{{"a", "1"}, {"a", "2"}, {"b", "2"}};
  for (const Pair& pair : numbered_pairs(alone)) pairs.push_back(pair);
  return pairs;
}

TEST_CASE("pairs that share an image are a group, which no split cuts") {
  using Images = std::vector<std::array<int64_t, 2>>;
  CHECK(groups_of_pairs(Images{{0, 1}, {2, 3}, {4, 5}}) == std::vector<int32_t>{0, 1, 2});
  CHECK(groups_of_pairs(Images{{0, 1}, {2, 3}, {0, 3}, {4, 5}, {4, 7}}) ==
        std::vector<int32_t>{0, 0, 0, 1, 1});
  const DataFolder folder;
  write_pairs(folder.path("p.csv"), pairs_with_partners(2));
  CHECK(read_pairs(folder.path("p.csv")).size() == 5);
  for (uint64_t seed = 0; seed < 30; seed++) {
    const Split split = split_pairs(pairs_with_partners(20), {60, 20, 20}, seed);
    CHECK(split.train.size() + split.validation.size() + split.test.size() == 23);
    for (const auto* part : {&split.train, &split.validation, &split.test}) {
      const auto shared =
          std::ranges::count_if(*part, [](const Pair& pair) { return pair.left < "c"; });
      CHECK((shared == 0 || shared == 3));
    }
  }
  CHECK(error_of([] {
          split_pairs(pairs_with_partners(0), {1, 1, 1}, 0);
        }).find("in 1 groups that share images") != std::string::npos);
}

TEST_CASE("no other partner is a wrong candidate") {
  const auto pairs = pairs_with_partners(5);
  CHECK(most_candidates(pairs) == 6);  // of 7 right images, 'a' has two partners
  CHECK(most_candidates(numbered_pairs(4)) == 4);
  for (uint64_t seed = 0; seed < 20; seed++) {
    const Candidates lists = make_candidates(pairs, 6, seed);
    const auto partners = [](const std::vector<std::string>& names) {
      return std::ranges::count(names, "1") + std::ranges::count(names, "2");
    };
    for (const int list : {0, 1}) CHECK(partners(lists.right[list]) == 1);
    for (const auto& names : lists.right) CHECK(std::set(names.begin(), names.end()).size() == 6);
    const auto places = places_of_truth(lists, pairs, "c.csv");
    for (size_t list = 0; list < pairs.size(); list++)
      CHECK(lists.right[list][places[list]] == pairs[list].right);
  }
  CHECK_THROWS_AS(make_candidates(pairs, 7, 0), Error);
  // Ranked by hand: both partners may be in a list, and the first one's place is told.
  CHECK(places_of_truth({.left = {"a"}, .right = {{"r0", "2", "1"}}}, pairs, "c.csv") ==
        std::vector<int64_t>{1});
  CHECK(error_of([&] {
          places_of_truth({.left = {"a"}, .right = {{"r0", "r1"}}}, pairs, "c.csv");
        }) == "c.csv: no true partner of 'a' (1, 2) is among the candidates");
}

TEST_CASE("hashes see names, their order and where one ends") {
  CHECK(content_hash(std::vector<Pair>{}) == "cbf29ce484222325");
  CHECK(content_hash(std::vector<Pair>{{"ab", "c"}}) != content_hash(std::vector<Pair>{{"a", "bc"}}));
  CHECK(content_hash(std::vector<Pair>{{"a", "b"}, {"c", "d"}}) !=
        content_hash(std::vector<Pair>{{"c", "d"}, {"a", "b"}}));
}

TEST_CASE("image names resolve with and without extension") {
  const DataFolder folder;
  folder.write("left/a.png", "");
  folder.write("left/b.jpg", "");
  folder.write("left/b.png", "");
  folder.write("left/v1.2.png", "");
  const ImageFolder images(folder.path("left"));
  CHECK(images.find("a", "w") == folder.path("left/a.png"));
  CHECK(images.find("a.png", "w") == folder.path("left/a.png"));
  CHECK(images.find("v1.2", "w") == folder.path("left/v1.2.png"));
  CHECK(images.find("b.jpg", "w") == folder.path("left/b.jpg"));
  CHECK(images.files() == std::vector<std::string>{"a.png", "b.jpg", "b.png", "v1.2.png"});
  CHECK(error_of([&] { images.find("b", "p.csv:7"); }).starts_with("p.csv:7: 'b' in "));
  CHECK(error_of([&] { images.find("../left/a.png", "p.csv:7"); }).starts_with("p.csv:7: no image"));
  CHECK(error_of([&] { ImageFolder(folder.path("right")); }).find("no such folder") != std::string::npos);
}

}  // namespace lookalike

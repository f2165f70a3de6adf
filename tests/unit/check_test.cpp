#include "engine/data/check.h"

#include <algorithm>
#include <filesystem>

#include <sys/stat.h>

#include <doctest/doctest.h>

#include "tests/unit/data_files.h"

namespace lookalike {
namespace {

// Whether some line holds all of these words.
bool names(const std::vector<std::string>& lines, const std::vector<std::string>& words) {
  return std::ranges::any_of(lines, [&](const std::string& line) {
    return std::ranges::all_of(words, [&](const std::string& word) { return line.find(word) != std::string::npos; });
  });
}

}  // namespace

TEST_CASE("check lists every problem of a folder of pairs") {
  const DataFolder folder;
  CHECK(check_data(folder.path()).problems.size() == 1);  // nothing known in it
  write_pairs_folder(folder, 6);
  CHECK(check_data(folder.path()).problems.empty());
  folder.write("left/a1.png", "");
  folder.write("left/unused.png", "hello");
  std::filesystem::remove(folder.path("right/b2.png"));
  folder.write("right/b3.png", encode_png(test_image(8, 8, 3)).substr(0, 60));
  CHECK(check_data(folder.path()).problems.size() == 4);
}

TEST_CASE("check reads every file that the programs read, and goes on after the first problem of each") {
  const DataFolder folder;
  write_pairs_folder(folder, 6);
  folder.write("train.csv", "left,right\na0,b0.png\na1\na9,b1.png\n,b2.png\n");
  folder.write("val.csv", "left,right\na0,b3.png\na4,b9.png\n");
  folder.write("test_candidates.csv", "left,c0,c1\na4,b0.png,b8.png\na3,b1.png,b1.png\n");
  folder.write("test_truth.csv", "left,right\na4,b5.png\n");
  folder.write("other.csv", "x,y\n1,2\n");
  REQUIRE(mkfifo(folder.path("pipe.csv").c_str(), 0600) == 0);
  const DataCheck found = check_data(folder.path());
  CHECK(names(found.problems, {"train.csv:3", "1 cells"}));
  CHECK(names(found.problems, {"train.csv:4", "'a9'"}));
  CHECK(names(found.problems, {"train.csv:5", "an empty name"}));
  CHECK(names(found.problems, {"val.csv:2", "'a0'", "train.csv:2"}));  // in both parts
  CHECK(names(found.problems, {"val.csv:3", "'b9.png'"}));
  CHECK(names(found.problems, {"test_candidates.csv:2", "'b8.png'"}));
  CHECK(names(found.problems, {"test_candidates.csv:3", "'b1.png'", "already"}));
  CHECK(names(found.problems, {"test_candidates.csv:2", "the true partner 'b5.png'"}));
  CHECK(names(found.problems, {"test_candidates.csv:3", "says nothing of left image 'a3'"}));
  CHECK(names(found.notes, {"other.csv", "not read"}));
  CHECK(names(found.problems, {"pipe.csv", "not a regular file"}));
}

TEST_CASE("check finds the same picture and nearly the same one in two parts") {
  const DataFolder folder;
  write_pairs_folder(folder, 4, 32);
  folder.write("train.csv", "left,right\na0,b0\na1,b1\n");
  folder.write("test.csv", "left,right\na2,b2\na3,b3\n");
  CHECK(check_data(folder.path()).problems.empty());
  folder.write("left/a2.png", encode_png(test_image(32, 32, 3, 50)));
  folder.write("right/b1.png", encode_png(test_image(32, 32, 3, 50)));
  Image noisy = test_image(32, 32, 3, 51);
  folder.write("left/a3.png", encode_png(noisy));
  noisy.pixels[40] ^= 8;
  folder.write("left/a0.png", encode_png(noisy));
  const DataCheck found = check_data(folder.path());
  CHECK(found.problems.size() == 1);
  CHECK(names(found.problems, {"left/a2.png (test.csv)", "right/b1.png (train.csv)", "the same picture"}));
  CHECK(names(found.notes, {"left/a0.png (train.csv)", "left/a3.png (test.csv)", "nearly the same"}));
}

TEST_CASE("check looks at every part of classes") {
  const DataFolder folder;
  int seed = 0;
  for (const char* part : {"train", "val", "test"})
    for (const char* name : {"x/1", "x/2", "y/1", "y/2"})
      folder.write(std::string(part) + "/" + name + ".png", encode_png(test_image(9, 9, 3, seed++)));
  CHECK(check_data(folder.path()).problems.empty());
  folder.write("val/y/2.png", "x");
  folder.write("test/x/1.png", encode_png(test_image(9, 9, 3, 0)));
  folder.write("train/y/1.png", encode_png(test_image(9, 9, 3, 1)));
  const DataCheck found = check_data(folder.path());
  CHECK(found.problems.size() == 3);
  CHECK(names(found.problems, {"val/y/2.png"}));
  CHECK(names(found.problems, {"train/x/1.png (train)", "test/x/1.png (test)"}));
  CHECK(names(found.problems, {"train/x/2.png", "train/y/1.png", "in two classes"}));
}

}  // namespace lookalike

// The `pairs` layout: a folder with left/, right/ and pairs.csv, whose header is `left,right` and
// whose rows name two images that belong together, with or without their extension. An image may
// have several partners; what is no partner of it is a negative. Splits are files of the same form;
// candidate lists rank N right images for each left one, CSV `left,c0,...,cN-1` (the form of the
// Totally-Looks-Like course data). Both are made from a seed and carry a hash.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace lookalike {

struct Pair {
  std::string left, right;
  int64_t line = 0;  // in the file it was read from
};

// Error with file and line: a wrong header, a row without exactly two names, a pair twice, no pair
// at all. Given a list, what is wrong with a row is added to it.
std::vector<Pair> read_pairs(const std::string& csv, std::vector<std::string>* problems = nullptr);
void write_pairs(const std::string& csv, std::span<const Pair> pairs);

// How many of `count` things go to train, validation and test: the latter two get their share of `ratios` (any positive scale) rounded to
// the nearest, train the rest. Error on ratios that are no such numbers.
std::array<int64_t, 3> part_sizes(int64_t count, const std::array<double, 3>& ratios);

struct Split {
  std::vector<Pair> train, validation, test;
};

// Pairs that share an image, or are joined by others that do, are a group: the number of each
// pair's, groups numbered in the order of their first pair. Images are whole numbers, of either
// side.
std::vector<int32_t> groups_of_pairs(std::span<const std::array<int64_t, 2>> pairs);

// Shuffles with the seed, then cuts (part_sizes), whole groups where pairs share images: one goes
// where its first pair falls. Each keeps the order of the file. Error when a part with a share
// would be empty.
Split split_pairs(std::span<const Pair> pairs, const std::array<double, 3>& ratios, uint64_t seed);

struct Candidates {
  std::vector<std::string> left;
  std::vector<std::vector<std::string>> right;  // as many for each left one
  std::vector<int64_t> lines;                   // in the file they were read from
};

// For each pair its own right image among count - 1 others, drawn without replacement from the
// right images that are no partners of its left one, in random order. Error unless 2 <= count <=
// most_candidates(pairs), which is the number of pairs where no image is in two.
int64_t most_candidates(std::span<const Pair> pairs);
Candidates make_candidates(std::span<const Pair> pairs, int64_t count, uint64_t seed);
Candidates read_candidates(const std::string& csv, std::vector<std::string>* problems = nullptr);
void write_candidates(const std::string& csv, const Candidates& candidates);

// The place of each query's true partner among its candidates, the first where there are several.
// Error when `truth` lacks a left name of `candidates` or no partner of it is a candidate; `csv`
// names the candidates in messages.
std::vector<int64_t> places_of_truth(const Candidates& candidates, std::span<const Pair> truth, const std::string& csv);

// What is wrong with a list that has no partner of its query, for people.
std::string no_partner_among(const std::string& left, std::span<const std::string> partners);

// 16 hexadecimal digits (FNV-1a, 64 bits) of the names in their order: equal exactly when the lists are, up to chance.
std::string content_hash(std::span<const Pair> pairs);
std::string content_hash(const Candidates& candidates);

// Where left/ and right/ are: in `folder` itself, or, as the course data has them, in its folder `part` ("train" or "test").
std::string pairs_folder(const std::string& folder, const std::string& part);

}  // namespace lookalike

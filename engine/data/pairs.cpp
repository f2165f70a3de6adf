#include "engine/data/pairs.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/names.h"
#include "engine/core/random.h"
#include "engine/data/csv.h"
#include "engine/data/image_files.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

// The rows below the header, which must be there; `expected` describes it.
class Table {
 public:
  Table(const std::string& csv, bool (*is_header)(const std::vector<std::string>&), const char* expected,
        std::vector<std::string>* problems)
      : csv_(csv), problems_(problems), reader_(csv, problems) {
    CsvRow header;
    check(reader_.next(header), "{}: the file is empty, expected the header {}", csv, expected);
    check(is_header(header.cells), "{}:{}: the header is '{}', expected {}", csv, header.line,
          some_of(header.cells, ","), expected);
    width_ = header.cells.size();
  }

  bool next(CsvRow& row) {
    while (reader_.next(row)) {
      below_ = true;
      if (row.cells.size() != width_)
        report_problem(fmt::format("{}:{}: {} cells, expected {}", csv_, row.line, row.cells.size(), width_),
                       problems_);
      else if (std::ranges::any_of(row.cells, &std::string::empty))
        report_problem(fmt::format("{}:{}: an empty name", csv_, row.line), problems_);
      else
        return true;
    }
    check(below_, "{}: nothing below the header", csv_);
    return false;
  }

 private:
  std::string csv_;
  std::vector<std::string>* problems_;
  CsvReader reader_;
  size_t width_ = 0;
  bool below_ = false;  // whether there was a row
};

// Remembers names and the lines they came from; a second time is a problem.
class Unique {
 public:
  Unique(const std::string& csv, const char* side, std::vector<std::string>* problems)
      : csv_(csv), side_(side), problems_(problems) {}
  void add(const std::string& name, int64_t line) {
    const auto [first, fresh] = lines_.try_emplace(composed(name), line);
    if (!fresh)
      report_problem(fmt::format("{}:{}: {} image '{}' is already in line {}, expected each once", csv_, line, side_,
                                 name, first->second),
                     problems_);
  }

 private:
  std::string csv_;
  const char* side_;
  std::vector<std::string>* problems_;
  std::map<std::string, int64_t> lines_;
};

bool is_pairs_header(const std::vector<std::string>& cells) {
  return cells == std::vector<std::string>{"left", "right"};
}

bool is_candidates_header(const std::vector<std::string>& cells) {
  if (cells.size() < 3 || cells[0] != "left") return false;
  for (size_t i = 1; i < cells.size(); i++)
    if (cells[i] != fmt::format("c{}", i - 1)) return false;
  return true;
}

struct Hash {
  uint64_t value = 0xCBF29CE484222325;
  void add(const std::string& name) {
    for (const char c : name) add(static_cast<uint8_t>(c));
    add(uint8_t{0});  // ends the name: {"ab", "c"} is not {"a", "bc"}
  }
  void add(uint8_t byte) { value = (value ^ byte) * 0x100000001B3; }
  std::string hex() const { return fmt::format("{:016x}", value); }
};

}  // namespace

std::vector<Pair> read_pairs(const std::string& csv, std::vector<std::string>* problems) {
  std::vector<Pair> pairs;
  Unique left(csv, "left", problems), right(csv, "right", problems);
  Table table(csv, is_pairs_header, "left,right", problems);
  for (CsvRow row; table.next(row);) {
    left.add(row.cells[0], row.line);
    right.add(row.cells[1], row.line);
    pairs.push_back({std::move(row.cells[0]), std::move(row.cells[1]), row.line});
  }
  return pairs;
}

void write_pairs(const std::string& csv, std::span<const Pair> pairs) {
  std::vector<std::vector<std::string>> rows{{"left", "right"}};
  for (const Pair& pair : pairs) rows.push_back({pair.left, pair.right});
  write_csv(csv, rows);
}

std::array<int64_t, 3> part_sizes(int64_t count, const std::array<double, 3>& ratios) {
  const double total = ratios[0] + ratios[1] + ratios[2];
  for (const double ratio : ratios)
    check(ratio >= 0 && std::isfinite(total) && total > 0, "ratios {}: expected three numbers, none negative",
          fmt::join(ratios, ","));
  const auto share = [&](int part) { return std::llround(static_cast<double>(count) * ratios[part] / total); };
  const int64_t validation = share(1), test = std::min<int64_t>(share(2), count - validation);
  return {count - validation - test, validation, test};
}

Split split_pairs(std::span<const Pair> pairs, const std::array<double, 3>& ratios, uint64_t seed) {
  const int64_t n = std::ssize(pairs);
  const std::array<int64_t, 3> sizes = part_sizes(n, ratios);
  for (int part = 0; part < 3; part++)
    check(sizes[part] > 0 || ratios[part] == 0,
          "{} pairs are too few to split {}: a part would be empty; other ratios: split.ratios of the recipe, --ratios",
          n, fmt::join(ratios, ","));

  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  Random(seed, RandomUse::split).shuffle(std::span(order));
  Split split;
  int64_t at = 0;
  for (int part = 0; part < 3; part++) {
    std::sort(order.begin() + at, order.begin() + at + sizes[part]);
    auto& to = part == 0 ? split.train : part == 1 ? split.validation : split.test;
    for (const int64_t end = at + sizes[part]; at < end; at++) to.push_back(pairs[order[at]]);
  }
  return split;
}

Candidates make_candidates(std::span<const Pair> pairs, int64_t count, uint64_t seed) {
  const int64_t n = std::ssize(pairs);
  check(count >= 2 && count <= n, "{} candidates for {} pairs, expected from 2 to the number of pairs", count, n);
  Candidates result;
  std::vector<int64_t> taken_by(n, -1);
  for (int64_t query = 0; query < n; query++) {
    Random random(seed, RandomUse::candidates, query);
    // Floyd's sampling of count - 1 among the n - 1 other pairs, which are numbered without the query.
    std::vector<int64_t> chosen{query};
    for (int64_t last = n - count; last < n - 1; last++) {
      const auto other = [&](int64_t i) { return i < query ? i : i + 1; };
      const int64_t drawn = other(random.below(last + 1));
      chosen.push_back(taken_by[drawn] == query ? other(last) : drawn);
      taken_by[chosen.back()] = query;
    }
    random.shuffle(std::span(chosen));
    result.left.push_back(pairs[query].left);
    auto& names = result.right.emplace_back();
    for (const int64_t pair : chosen) names.push_back(pairs[pair].right);
  }
  return result;
}

Candidates read_candidates(const std::string& csv, std::vector<std::string>* problems) {
  Candidates result;
  Unique left(csv, "left", problems);
  Table table(csv, is_candidates_header, "left,c0,c1,... (two candidates or more)", problems);
  for (CsvRow row; table.next(row);) {
    left.add(row.cells[0], row.line);
    result.left.push_back(std::move(row.cells[0]));
    row.cells.erase(row.cells.begin());
    Unique right(csv, "right", problems);
    for (const std::string& name : row.cells) right.add(name, row.line);
    result.right.push_back(std::move(row.cells));
    result.lines.push_back(row.line);
  }
  return result;
}

void write_candidates(const std::string& csv, const Candidates& candidates) {
  std::vector<std::vector<std::string>> rows{{"left"}};
  for (size_t i = 0; i < candidates.right.at(0).size(); i++) rows[0].push_back(fmt::format("c{}", i));
  for (size_t i = 0; i < candidates.left.size(); i++) {
    rows.push_back({candidates.left[i]});
    rows.back().insert(rows.back().end(), candidates.right[i].begin(), candidates.right[i].end());
  }
  write_csv(csv, rows);
}

std::vector<int64_t> places_of_truth(const Candidates& candidates, std::span<const Pair> truth,
                                     const std::string& csv) {
  std::map<std::string, std::string> partner;
  for (const Pair& pair : truth) partner[composed(pair.left)] = pair.right;
  std::vector<int64_t> places;
  for (size_t i = 0; i < candidates.left.size(); i++) {
    const auto where = [&] {
      return i < candidates.lines.size() ? fmt::format("{}:{}", csv, candidates.lines[i]) : csv;
    };
    const auto found = partner.find(composed(candidates.left[i]));
    check(found != partner.end(), "{}: the truth says nothing of left image '{}'", where(), candidates.left[i]);
    const auto& names = candidates.right[i];
    const auto place = std::ranges::find(names, composed(found->second), composed);
    check(place != names.end(), "{}: the true partner '{}' of '{}' is not among the candidates", where(), found->second,
          candidates.left[i]);
    places.push_back(place - names.begin());
  }
  return places;
}

std::string content_hash(std::span<const Pair> pairs) {
  Hash hash;
  for (const Pair& pair : pairs) hash.add(pair.left), hash.add(pair.right);
  return hash.hex();
}

std::string content_hash(const Candidates& candidates) {
  Hash hash;
  for (size_t i = 0; i < candidates.left.size(); i++) {
    hash.add(candidates.left[i]);
    for (const std::string& name : candidates.right[i]) hash.add(name);
  }
  return hash.hex();
}

std::string pairs_folder(const std::string& folder, const std::string& part) {
  const std::string inner = folder + "/" + part;
  const auto has_left = [](const std::string& path) { return is_there(path + "/left"); };
  return !has_left(folder) && has_left(inner) ? inner : folder;
}

}  // namespace lookalike

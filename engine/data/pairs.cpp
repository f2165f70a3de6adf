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

// Numbers names in the order of their first appearance, in either normal form.
class NameNumbers {
 public:
  int64_t number(const std::string& name) {
    return numbers_.try_emplace(composed(name), std::ssize(numbers_)).first->second;
  }

 private:
  std::map<std::string, int64_t> numbers_;
};

std::vector<int32_t> groups_of_names(std::span<const Pair> pairs) {
  NameNumbers left, right;
  std::vector<std::array<int64_t, 2>> images;
  for (const Pair& pair : pairs)
    images.push_back({2 * left.number(pair.left), 2 * right.number(pair.right) + 1});
  return groups_of_pairs(images);
}

// The right images of pairs, each once, and which of them the left image of each pair has for
// partners.
struct PartnerTable {
  std::vector<std::string> right;
  std::vector<int64_t> query;                  // the left image of each pair
  std::vector<int64_t> own;                    // the right one
  std::vector<std::vector<int64_t>> partners;  // of each left image, rising
};
PartnerTable partners_of_pairs(std::span<const Pair> pairs) {
  PartnerTable table;
  NameNumbers left, right;
  for (const Pair& pair : pairs) {
    const int64_t from = left.number(pair.left), to = right.number(pair.right);
    if (to == std::ssize(table.right)) table.right.push_back(pair.right);
    if (from == std::ssize(table.partners)) table.partners.emplace_back();
    table.query.push_back(from), table.own.push_back(to);
    table.partners[from].push_back(to);
  }
  for (auto& rows : table.partners) std::ranges::sort(rows);
  return table;
}

// With a query's own partner all right images that are none.
int64_t most_of(const PartnerTable& table) {
  size_t most = 0;
  for (const auto& rows : table.partners) most = std::max(most, rows.size());
  return std::ssize(table.right) - static_cast<int64_t>(most) + 1;
}

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
  std::map<std::pair<std::string, std::string>, int64_t> lines;
  Table table(csv, is_pairs_header, "left,right", problems);
  for (CsvRow row; table.next(row);) {
    const auto [first, fresh] =
        lines.try_emplace({composed(row.cells[0]), composed(row.cells[1])}, row.line);
    if (!fresh)
      report_problem(
          fmt::format("{}:{}: the pair '{}' and '{}' is already in line {}, expected each once",
                      csv, row.line, row.cells[0], row.cells[1], first->second),
          problems);
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
  const std::vector<int32_t> groups = groups_of_names(pairs);
  std::vector<int64_t> group_sizes(n);
  for (const int32_t group : groups) group_sizes[group]++;
  // The part of each group, by how many pairs come before its first one in the shuffled order with
  // groups drawn together.
  std::vector<int> part_of(n, -1);
  int64_t before = 0;
  for (const int64_t pair : order) {
    const int32_t group = groups[pair];
    if (part_of[group] >= 0) continue;
    part_of[group] = before < sizes[0] ? 0 : before < sizes[0] + sizes[1] ? 1 : 2;
    before += group_sizes[group];
  }
  Split split;
  std::vector<Pair>* const parts[] = {&split.train, &split.validation, &split.test};
  for (int64_t pair = 0; pair < n; pair++) parts[part_of[groups[pair]]]->push_back(pairs[pair]);
  for (int part = 0; part < 3; part++)
    check(ratios[part] == 0 || !parts[part]->empty(),
          "{} pairs in {} groups that share images can't be split {}: a part would be empty; other "
          "ratios or another "
          "seed: split.ratios and split.seed of the recipe, --ratios and --seed",
          n, std::ranges::max(groups) + 1, fmt::join(ratios, ","));
  return split;
}

std::vector<int32_t> groups_of_pairs(std::span<const std::array<int64_t, 2>> pairs) {
  // A forest of images, each below another of its group.
  std::map<int64_t, int64_t> above;
  const auto root = [&](int64_t image) {
    above.try_emplace(image, image);
    while (above[image] != image) image = above[image] = above[above[image]];
    return image;
  };
  for (const auto& [left, right] : pairs) above[root(left)] = root(right);
  std::map<int64_t, int32_t> numbers;
  std::vector<int32_t> groups;
  for (const auto& [left, right] : pairs)
    groups.push_back(
        numbers.try_emplace(root(left), static_cast<int32_t>(numbers.size())).first->second);
  return groups;
}

int64_t most_candidates(std::span<const Pair> pairs) {
  return most_of(partners_of_pairs(pairs));
}

Candidates make_candidates(std::span<const Pair> pairs, int64_t count, uint64_t seed) {
  const PartnerTable table = partners_of_pairs(pairs);
  const int64_t most = most_of(table);
  check(count >= 2 && count <= most, "{} candidates for {} pairs, expected from 2 to {}", count,
        pairs.size(),
        most == std::ssize(pairs) ? "the number of pairs"
                                  : fmt::format("{}, for each its partner and what is none", most));
  Candidates result;
  std::vector<int64_t> taken_by(table.right.size(), -1);
  for (int64_t query = 0; query < std::ssize(pairs); query++) {
    Random random(seed, RandomUse::candidates, query);
    const std::vector<int64_t>& partners = table.partners[table.query[query]];
    // Floyd's sampling of count - 1 among the right images that are no partners, which are numbered
    // without these.
    const auto other = [&](int64_t i) {
      for (const int64_t partner : partners) i += i >= partner;
      return i;
    };
    const int64_t others = std::ssize(table.right) - std::ssize(partners);
    std::vector<int64_t> chosen{table.own[query]};
    for (int64_t last = others - count + 1; last < others; last++) {
      const int64_t drawn = other(static_cast<int64_t>(random.below(last + 1)));
      chosen.push_back(taken_by[drawn] == query ? other(last) : drawn);
      taken_by[chosen.back()] = query;
    }
    random.shuffle(std::span(chosen));
    result.left.push_back(pairs[query].left);
    auto& names = result.right.emplace_back();
    for (const int64_t image : chosen) names.push_back(table.right[image]);
  }
  return result;
}

Candidates read_candidates(const std::string& csv, std::vector<std::string>* problems) {
  Candidates result;
  Table table(csv, is_candidates_header, "left,c0,c1,... (two candidates or more)", problems);
  for (CsvRow row; table.next(row);) {
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

std::string no_partner_among(const std::string& left, std::span<const std::string> partners) {
  if (partners.size() == 1)
    return fmt::format("the true partner '{}' of '{}' is not among the candidates", partners[0],
                       left);
  return fmt::format("no true partner of '{}' ({}) is among the candidates", left,
                     some_of(partners));
}

std::vector<int64_t> places_of_truth(const Candidates& candidates, std::span<const Pair> truth,
                                     const std::string& csv) {
  std::map<std::string, std::vector<std::string>> partners;
  for (const Pair& pair : truth) partners[composed(pair.left)].push_back(pair.right);
  std::vector<int64_t> places;
  for (size_t i = 0; i < candidates.left.size(); i++) {
    const auto where = [&] {
      return i < candidates.lines.size() ? fmt::format("{}:{}", csv, candidates.lines[i]) : csv;
    };
    const auto found = partners.find(composed(candidates.left[i]));
    check(found != partners.end(), "{}: the truth says nothing of left image '{}'", where(),
          candidates.left[i]);
    std::vector<std::string> names;
    for (const std::string& name : found->second) names.push_back(composed(name));
    const auto& row = candidates.right[i];
    const auto place = std::ranges::find_if(row, [&](const std::string& name) {
      return std::ranges::find(names, composed(name)) != names.end();
    });
    check(place != row.end(), "{}: {}", where(),
          no_partner_among(candidates.left[i], found->second));
    places.push_back(place - row.begin());
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

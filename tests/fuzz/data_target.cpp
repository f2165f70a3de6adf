// What a data folder holds besides pictures.
#include <algorithm>
#include <fstream>

#include "engine/data/cifar.h"
#include "engine/data/class_layout.h"
#include "engine/data/csv.h"
#include "engine/data/idx.h"
#include "engine/data/image_files.h"
#include "engine/data/ligature.h"
#include "engine/data/pairs.h"
#include "tests/fuzz/target.h"

namespace lookalike {
namespace {

void require_raw(const RawImages& raw) {
  require(std::ssize(raw.pixels) == std::ssize(raw.labels) * raw.image_size() && !raw.labels.empty(), "whole images");
  for (const int32_t label : raw.labels) require(label >= 0 && label < std::ssize(raw.classes), "a known label");
}

std::vector<std::vector<std::string>> cells_of(const std::vector<CsvRow>& rows) {
  std::vector<std::vector<std::string>> cells;
  for (const CsvRow& row : rows) cells.push_back(row.cells);
  return cells;
}

// The rows are the same when they are written and read again.
void fuzz_rows(const std::string& path) {
  const std::vector<CsvRow> rows = read_csv(path);
  for (size_t i = 0; i < rows.size(); i++)
    require(!rows[i].cells.empty() && rows[i].line > (i ? rows[i - 1].line : 0), "rows in order");
  require(cells_of(read_csv(fuzz_file(csv_text(cells_of(rows)), "copy"))) == cells_of(rows), "what was written");
}

void fuzz_pairs(const std::string& path) {
  const std::vector<Pair> pairs = read_pairs(path);
  const std::string copy = fuzz_file("", "copy");
  write_pairs(copy, pairs);
  require(content_hash(read_pairs(copy)) == content_hash(pairs), "what was written");
}

void fuzz_candidates(const std::string& path) {
  const Candidates candidates = read_candidates(path);
  const std::string copy = fuzz_file("", "copy");
  write_candidates(copy, candidates);
  require(content_hash(read_candidates(copy)) == content_hash(candidates), "what was written");
  std::vector<Pair> truth;
  for (size_t i = 0; i < candidates.left.size(); i++)
    truth.push_back({candidates.left[i], candidates.right[i][i % candidates.right[i].size()]});
  const auto places = places_of_truth(candidates, truth, path);
  for (size_t i = 0; i < places.size(); i++)
    require(candidates.right[i].at(places[i]) == truth[i].right, "the place of the truth");
}

}  // namespace

// As lists of anything, of pairs, of candidates and of images; where a list of problems is asked for, too.
FUZZ_TARGET(csv) {
  const std::string path = fuzz_file(bytes);
  const auto fuzz = [&](const auto& read, const auto& collect) {
    std::vector<std::string> problems;
    const bool whole = accepts([&] { read(path); });
    const bool readable = accepts([&] { collect(path, &problems); });
    require(whole == (readable && problems.empty()), "a problem for an Error");
    for (const std::string& problem : problems) require_short_line(Error(problem));
  };
  fuzz(fuzz_rows, [](const auto&... arguments) { read_csv(arguments...); });
  fuzz(fuzz_pairs, [](const auto&... arguments) { read_pairs(arguments...); });
  accepts([&] { fuzz_candidates(path); });
  accepts([&] {
    std::vector<std::string> names = read_image_names(path);
    std::ranges::sort(names);
    require(std::ranges::adjacent_find(names) == names.end(), "each name once");
  });
}

// The file as images and as labels.
FUZZ_TARGET(idx) {
  const std::string path = fuzz_file(bytes);
  accepts([&] { require_raw(read_idx(path, fuzz_file(std::string("\0\0\x08\1\0\0\0\2\0\1", 10), "other"))); });
  accepts([&] {
    require_raw(read_idx(fuzz_file(std::string("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\1\0\1", 18), "other"), path));
  });
}

// Names of classes, a zero, and records.
FUZZ_TARGET(cifar) {
  const std::string names = fuzz_file(take_part(bytes, '\0'), "names"), records = fuzz_file(bytes);
  accepts([&] { require_raw(read_cifar(std::vector{records}, names, 1, 10)); });
  accepts([&] { require_raw(read_cifar(std::vector{records}, "", 2, 100)); });
}

// A GSUB table of a font.
FUZZ_TARGET(ligature) {
  const std::vector<uint8_t> table(bytes.begin(), bytes.end());
  for (const std::vector<uint32_t>& glyphs : {std::vector<uint32_t>{1, 2}, {7, 8, 9}})
    require(find_ligature(table, glyphs, "x") <= 0xFFFF, "a glyph");
}

// Files of these names, a line each, in a data folder.
FUZZ_TARGET(names) {
  const std::string folder = fuzz_folder();
  std::vector<std::string> names;
  for (int i = 0; i < 8 && !bytes.empty(); i++) {
    const std::string name(take_part(bytes, '\n'));
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    if (name.find('\0') != name.npos || name.starts_with('/') || name.find("..") != name.npos) continue;
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    if (std::filesystem::exists(path, ignored)) continue;
    std::ofstream(path) << (i % 4 == 3 ? "no picture" : "GIF89a in name");
    names.push_back(name);
  }
  for (const std::string& name : names) require(composed(composed(name)) == composed(name), "one composed form");
  accepts([&] { layout_of(folder); });
  accepts([&] {
    const ImageListing listing = list_images(folder);
    require(std::ranges::is_sorted(listing.images), "sorted names");
    require_short_line(Error("x: " + describe_passed_over("x", listing.passed_over)));
    require_images(folder, listing);
  });
  accepts([&] { list_all_classes(folder); });
  accepts([&] {
    const ClassListing listing = list_classes(folder, "train");
    require(listing.labels.size() == listing.names.size(), "a label for each");
  });
  accepts([&] {
    const ImageFolder images(folder);
    for (const std::string& name : names)
      if (std::string found; accepts([&] { found = images.find(name, "x:1"); }))
        require(std::filesystem::is_regular_file(found), "a file that is there");
  });
}

}  // namespace lookalike

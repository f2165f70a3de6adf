#include "engine/data/class_layout.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "engine/data/csv.h"
#include "engine/data/image_files.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr const char* kParts[] = {"train", "val", "test"};

// The part that a folder of this name holds.
std::optional<std::string> part_of_folder(const std::string& name) {
  static const std::map<std::string, std::string> parts{
      {"train", "train"}, {"val", "val"}, {"valid", "val"}, {"validation", "val"}, {"test", "test"}};
  const auto found = parts.find(name);
  return found == parts.end() ? std::nullopt : std::optional(found->second);
}

// Names that people give to parts and this program does not read.
bool looks_like_part(std::string name) {
  static const std::set<std::string> names{"train",      "training",   "trainset", "val",     "valid",
                                           "validation", "dev",        "test",     "testing", "testset",
                                           "testval",    "evaluation", "eval"};
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return names.contains(name);
}

std::vector<std::string> folders_with_images(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with('.') && entry.is_directory() && !list_images(entry.path()).images.empty())
      names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

bool is_image_list(const fs::path& file) {
  if (!fs::is_regular_file(file)) return false;
  CsvRow header;
  return CsvReader(file, nullptr).next(header) && header.cells == std::vector<std::string>{"image"};
}

ClassListing listing_of(std::vector<std::string> names, std::vector<std::string> class_of) {
  ClassListing listing{std::move(names), class_of, {}, {}};
  std::ranges::sort(listing.classes);
  listing.classes.erase(std::unique(listing.classes.begin(), listing.classes.end()), listing.classes.end());
  for (const std::string& name : class_of)
    listing.labels.push_back(
        static_cast<int32_t>(std::ranges::lower_bound(listing.classes, name) - listing.classes.begin()));
  return listing;
}

// The class folders below `inner` of `folder`, or below itself.
ClassListing list_below(const std::string& folder, const std::string& inner) {
  const std::string root = inner.empty() ? folder : folder + "/" + inner;
  std::vector<std::string> names, class_of;
  const ImageListing found = list_images(root);
  for (const std::string& path : found.images) {
    class_of.push_back(fs::path(path).parent_path());
    check(!class_of.back().empty(), "{}/{}: an image outside of any class, expected a folder for each class", root,
          path);
    names.push_back(inner.empty() ? path : inner + "/" + path);
  }
  ClassListing listing = listing_of(std::move(names), std::move(class_of));
  listing.passed_over = describe_passed_over(root, found.passed_over);
  return listing;
}

}  // namespace

Layout layout_of(const std::string& folder) {
  const fs::path path = folder;
  check_folder(folder, "one with a data set");
  const auto has = [&](const char* name) { return is_there(path / name); };
  if (has("pairs.csv") || (has("left") && has("right")) || (has("train/left") && has("train/right")))
    return Layout::pairs;
  for (const char* part : {"train", "test"})
    for (const char* name : {kIdxImages, kIdxLabels})
      if (find_idx_file(folder, part, name)) return Layout::idx;
  if (has("data_batch_1.bin") || has("test_batch.bin")) return Layout::cifar10;
  if (has("train.bin") || has("test.bin")) return Layout::cifar100;
  check(!list_images(folder).images.empty(),
        "{}: no data set, expected pairs.csv with left/ and right/, folders of images (JPEG, PNG, WebP, GIF, BMP), "
        "train-images-idx3-ubyte(.gz) of MNIST, data_batch_1.bin of CIFAR-10 or train.bin of CIFAR-100",
        folder);
  return Layout::folders;
}

std::string idx_file_name(const std::string& part, const char* name) {
  return (part == "train" ? "train-" : "t10k-") + std::string(name);
}

std::optional<std::string> find_idx_file(const std::string& folder, const std::string& part, const char* name) {
  const std::string file = folder + "/" + idx_file_name(part, name);
  if (is_there(file)) return file;
  return is_there(file + ".gz") ? std::optional(file + ".gz") : std::nullopt;
}

Parts parts_of(const std::string& folder) {
  Parts parts;
  for (const char* part : kParts) {
    const fs::path file = fs::path(folder) / fmt::format("{}.csv", part);
    if (is_image_list(file)) parts.files[part] = file;
  }
  std::vector<std::string> of_parts, others;
  for (const std::string& name : folders_with_images(folder))
    (looks_like_part(name) ? of_parts : others).push_back(name);
  // A single folder "train" beside others is a class of trains,
  // unless its images lie in folders of their own and those of the others do not.
  const auto is_nested = [&](const std::string& name) {
    return std::ranges::all_of(list_images(folder + "/" + name).images,
                               [](const std::string& path) { return path.find('/') != std::string::npos; });
  };
  const bool has_parts = of_parts.size() >= 2 || (of_parts.size() == 1 && others.empty()) ||
                         (of_parts.size() == 1 && is_nested(of_parts[0]) && !std::ranges::all_of(others, is_nested));
  if (!has_parts) return parts;
  check(parts.files.empty(), "{}: has folders {} and files train.csv, ..., expected its parts in one way", folder,
        fmt::join(of_parts, ", "));
  check(others.empty(),
        "{}: cannot tell parts from classes: {} beside {}; expected a folder for each class, or train/, val/ and test/ "
        "alone",
        folder, fmt::join(of_parts, ", "),
        fmt::join(std::span(others).first(std::min<size_t>(others.size(), 3)), ", "));
  for (const std::string& name : of_parts) {
    const auto part = part_of_folder(name);
    check(part.has_value(), "{}/{}: not the name of a part, expected train/, val/ or test/", folder, name);
    const auto [before, fresh] = parts.folders.emplace(*part, name);
    check(fresh, "{}: {} and {} are both its {} part, expected one", folder, before->second, name, *part);
  }
  return parts;
}

bool has_part(const std::string& folder, const std::string& part) {
  const fs::path path = folder;
  switch (layout_of(folder)) {
    case Layout::folders:
      return parts_of(folder).has(part);
    case Layout::idx:
      return part != "val" && find_idx_file(folder, part, kIdxImages).has_value();
    case Layout::cifar10:
      return fs::exists(path / (part == "train" ? "data_batch_1.bin" : part + "_batch.bin"));
    case Layout::cifar100:
      return fs::exists(path / (part + ".bin"));
    case Layout::pairs:
      break;
  }
  return false;
}

std::vector<std::string> read_image_names(const std::string& csv) {
  CsvReader reader(csv, nullptr);
  CsvRow row;
  check(reader.next(row) && row.cells == std::vector<std::string>{"image"}, "{}: expected the header image", csv);
  std::vector<std::string> names;
  std::map<std::string, int64_t> lines;
  while (reader.next(row)) {
    check(row.cells.size() == 1, "{}:{}: {} cells, expected 1", csv, row.line, row.cells.size());
    const auto [first, fresh] = lines.try_emplace(row.cells[0], row.line);
    check(fresh, "{}:{}: image '{}' is already in line {}, expected each once", csv, row.line, row.cells[0],
          first->second);
    names.push_back(row.cells[0]);
  }
  check(!names.empty(), "{}: nothing below the header", csv);
  return names;
}

ClassListing list_named_classes(const std::string& folder, const std::string& csv) {
  std::vector<std::string> names = read_image_names(csv), class_of;
  const Parts parts = parts_of(folder);
  for (const std::string& name : names) {
    // Of a folder with parts, the class begins behind the part.
    std::string below = fs::path(name).parent_path();
    for (const auto& [part, inner] : parts.folders)
      if (below.starts_with(inner + "/")) below = below.substr(inner.size() + 1);
    check(!below.empty(), "{}: '{}' is outside of any class, expected class/image", csv, name);
    class_of.push_back(below);
  }
  return listing_of(std::move(names), std::move(class_of));
}

ClassListing list_all_classes(const std::string& folder) {
  return list_below(folder, "");
}

ClassListing list_classes(const std::string& folder, const std::string& part) {
  const Parts parts = parts_of(folder);
  std::vector<std::string> known;
  for (const auto& [name, of] : parts.folders.empty() ? parts.files : parts.folders) known.push_back(name);
  check(!parts.any() || parts.has(part), "{}: has no {} part, only {}", folder, part, fmt::join(known, ", "));
  if (!parts.files.empty()) return list_named_classes(folder, parts.files.at(part));
  return list_below(folder, parts.folders.empty() ? "" : parts.folders.at(part));
}

}  // namespace lookalike

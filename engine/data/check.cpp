#include "engine/data/check.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>

#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "engine/data/classes.h"
#include "engine/data/csv.h"
#include "engine/data/image_files.h"
#include "engine/data/pairs.h"
#include "kernels/parallel.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

// What is kept of an image to compare it with others: few enough pixels that small changes of size, compression or shade leave them alone.
const Preprocess kThumbnail{.height = 8, .width = 8, .channels = 3};
// Images whose thumbnails differ by less than this, on average of 255, are nearly the same.
constexpr double kNearlySame = 1.5;
constexpr size_t kMostNamed = 10;  // of one kind of finding
constexpr int64_t kMostCompared = 10'000;  // images of nearly the same brightness with one of them

struct CheckedImage {
  std::string name;
  int part = -1;      // in parts, or in none
  std::string group;  // what it may share a picture with: its pair, its class
  uint64_t hash = 0;
  const uint8_t* thumbnail = nullptr;
  int64_t brightness = 0;  // sum of the thumbnail
};

class Checker {
 public:
  explicit Checker(const std::string& folder) : folder_(folder) {}

  DataCheck run() {
    attempt([&] { layout_of(folder_) == Layout::pairs ? check_pairs_folder() : check_class_folder(); });
    attempt([&] { compare_images(); });
    return std::move(found_);
  }

 private:
  // What a pairs file or a part of classes is called in messages.
  std::vector<std::string> parts_;
  std::vector<CheckedImage> images_;
  std::vector<ImageStore> thumbnails_;
  std::string folder_;
  DataCheck found_;

  template <class Body>
  void attempt(const Body& body) {
    try {
      body();
    } catch (const Error& error) {
      report_problem(error.what(), &found_.problems);
    }
  }

  // At most kMostNamed of them, then how many more.
  static void add(std::vector<std::string>& to, const std::vector<std::string>& lines, const char* kind) {
    const size_t named = std::min(lines.size(), kMostNamed);
    to.insert(to.end(), lines.begin(), lines.begin() + static_cast<int64_t>(named));
    if (lines.size() > named) to.push_back(fmt::format("and {} more {}", lines.size() - named, kind));
  }

  struct Table {
    std::string csv, images;  // the file, and the folder of its left/ and right/
    std::vector<Pair> pairs;
    Candidates candidates;
    int part = -1;
  };

  void check_pairs_folder() {
    const std::string train_images = pairs_folder(folder_, "train"), test_images = pairs_folder(folder_, "test");
    std::vector<Table> tables;
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().extension() == ".csv" && !entry.is_directory()) files.push_back(entry.path().filename());
    std::ranges::sort(files);
    const bool has_pairs = std::ranges::count(files, "pairs.csv") + std::ranges::count(files, "train.csv") > 0;
    if (!has_pairs) found_.problems.push_back(fmt::format("{}/pairs.csv: no such file, expected left,right", folder_));
    if (std::ranges::count(files, "val.csv") > 0 && std::ranges::count(files, "train.csv") == 0)
      found_.problems.push_back(fmt::format("{}/val.csv: stands without train.csv, expected both", folder_));
    for (const std::string& file : files)
      attempt([&] { read_table_of_pairs(file, train_images, test_images, tables); });
    check_overlap(tables);
    check_against_pairs(tables);
    check_truth(tables);

    // Every image of the folders, named or not.
    std::map<std::string, CheckedImage> of_files;
    for (const std::string& images : std::set{train_images, test_images})
      for (const char* side : {"/left", "/right"})
        attempt([&] {
          const ImageFolder in(images + side);
          if (!in.passed_over().empty()) found_.notes.push_back(describe_passed_over(images + side, in.passed_over()));
          for (const std::string& file : in.files()) {
            const std::string path = images + side + "/" + file;
            of_files[path].name = path;
          }
        });
    for (const Table& table : tables) check_names(table, of_files);
    std::vector<CheckedImage> images;
    for (auto& [path, image] : of_files) images.push_back(std::move(image));
    decode(std::move(images), true);
  }

  void read_table_of_pairs(const std::string& file, const std::string& train_images, const std::string& test_images,
                           std::vector<Table>& tables) {
    Table table{.csv = folder_ + "/" + file};
    const bool known = file == "pairs.csv" || file == "train.csv" || file == "val.csv" || file == "test.csv";
    std::vector<std::string> ignored;
    CsvRow header;
    CsvReader(table.csv, &ignored).next(header);
    const bool of_candidates = header.cells.size() > 2 && header.cells[0] == "left";
    const bool of_pairs = header.cells == std::vector<std::string>{"left", "right"};
    if (!known && !of_candidates && !of_pairs) {
      found_.notes.push_back(fmt::format("{}: not read, its header is neither left,right nor left,c0,...", table.csv));
      return;
    }
    const bool of_test = file.find("test") != file.npos || file.find("truth") != file.npos || of_candidates;
    table.images = of_test ? test_images : train_images;
    if (of_candidates)
      table.candidates = read_candidates(table.csv, &found_.problems);
    else
      table.pairs = read_pairs(table.csv, &found_.problems);
    if (known && file != "pairs.csv") {
      table.part = static_cast<int>(parts_.size());
      parts_.push_back(file);
    }
    tables.push_back(std::move(table));
  }

  void check_names(const Table& table, std::map<std::string, CheckedImage>& of_files) {
    attempt([&] {
      const ImageFolder left(table.images + "/left"), right(table.images + "/right");
      const auto look = [&](const ImageFolder& in, const std::string& name, int64_t line, const std::string& group) {
        attempt([&] {
          CheckedImage& image = of_files[in.find(name, fmt::format("{}:{}", table.csv, line))];
          if (image.name.empty()) return;  // its folder could not be read
          if (table.part >= 0) image.part = table.part;
          if (image.group.empty()) image.group = group;
        });
      };
      for (const Pair& pair : table.pairs) {
        look(left, pair.left, pair.line, pair.left + '\n' + pair.right);
        look(right, pair.right, pair.line, pair.left + '\n' + pair.right);
      }
      for (size_t i = 0; i < table.candidates.left.size(); i++) {
        look(left, table.candidates.left[i], table.candidates.lines[i], "");
        for (const std::string& name : table.candidates.right[i]) look(right, name, table.candidates.lines[i], "");
      }
    });
  }

  // A name in two parts.
  void check_overlap(const std::vector<Table>& tables) {
    for (const bool is_left : {true, false}) {
      std::map<std::string, std::pair<const Table*, int64_t>> first;
      std::vector<std::string> lines;
      for (const Table& table : tables) {
        if (table.part < 0) continue;
        for (const Pair& pair : table.pairs) {
          const std::string& name = is_left ? pair.left : pair.right;
          const auto [before, fresh] = first.try_emplace(name, &table, pair.line);
          if (fresh || before->second.first == &table) continue;
          lines.push_back(fmt::format("{}:{}: {} image '{}' is in {}:{}, too", table.csv, pair.line,
                                      is_left ? "left" : "right", name, before->second.first->csv,
                                      before->second.second));
        }
      }
      add(found_.problems, lines, "images in two parts");
    }
  }

  // Parts and the pairs that they were drawn from.
  void check_against_pairs(const std::vector<Table>& tables) {
    const auto whole = std::ranges::find(tables, folder_ + "/pairs.csv", &Table::csv);
    if (whole == tables.end() || parts_.empty()) return;
    std::set<std::pair<std::string, std::string>> left_over;
    for (const Pair& pair : whole->pairs) left_over.emplace(pair.left, pair.right);
    const std::set<std::pair<std::string, std::string>> all = left_over;
    std::vector<std::string> strange;
    for (const Table& table : tables)
      for (const Pair& pair : table.pairs) {
        if (table.part < 0) continue;
        if (!all.contains({pair.left, pair.right}))
          strange.push_back(fmt::format("{}:{}: '{}' and '{}' are no pair of pairs.csv", table.csv, pair.line,
                                        pair.left, pair.right));
        left_over.erase({pair.left, pair.right});
      }
    add(found_.notes, strange, "such pairs");
    if (!left_over.empty())
      found_.notes.push_back(
          fmt::format("{}: {} of its pairs are in none of {}", whole->csv, left_over.size(), fmt::join(parts_, ", ")));
  }

  // Partners of candidate lists that a truth file names and that are no candidates.
  void check_truth(const std::vector<Table>& tables) {
    for (const Table& truth : tables) {
      if (truth.csv.find("truth") == std::string::npos) continue;
      std::map<std::string, std::vector<std::string>> partners;
      for (const Pair& pair : truth.pairs) partners[pair.left].push_back(pair.right);
      for (const Table& lists : tables) {
        std::vector<std::string> lines;
        for (size_t i = 0; i < lists.candidates.left.size(); i++) {
          const auto found = partners.find(lists.candidates.left[i]);
          const auto is_candidate = [&](const std::string& name) {
            return std::ranges::count(lists.candidates.right[i], name) > 0;
          };
          const auto where = fmt::format("{}:{}", lists.csv, lists.candidates.lines[i]);
          if (found == partners.end())
            lines.push_back(
                fmt::format("{}: {} says nothing of left image '{}'", where, truth.csv, lists.candidates.left[i]));
          else if (std::ranges::none_of(found->second, is_candidate))
            lines.push_back(fmt::format("{}: {}", where,
                                        no_partner_among(lists.candidates.left[i], found->second)));
        }
        add(found_.problems, lines, "lists without their truth");
      }
    }
  }

  void check_class_folder() {
    const Layout layout = layout_of(folder_);
    const bool whole = layout == Layout::folders && !parts_of(folder_).any();
    for (const std::string part : {"train", "val", "test"}) {
      if (whole ? part != "train" : layout == Layout::folders ? !has_part(folder_, part) : part == "val") continue;
      attempt([&] {
        const int number = static_cast<int>(parts_.size());
        parts_.push_back(whole ? "all" : part);
        if (layout != Layout::folders) {
          ClassData data = load_classes(folder_, part, kThumbnail);
          const ImageStore& store = thumbnails_.emplace_back(std::move(data.images));
          for (int64_t i = 0; i < store.size(); i++)
            images_.push_back(
                {data.names[i], number, data.classes[data.labels[i]], store.content_hash(i), store.pixels(i)});
          return;
        }
        const ClassListing listing = list_classes(folder_, part);
        if (!listing.passed_over.empty()) found_.notes.push_back(listing.passed_over);
        check(listing.classes.size() >= 2, "{}: images of {} classes in the {} part, expected at least two", folder_,
              listing.classes.size(), part);
        std::vector<CheckedImage> images;
        for (size_t i = 0; i < listing.names.size(); i++)
          images.push_back({folder_ + "/" + listing.names[i], number, listing.classes[listing.labels[i]]});
        decode(std::move(images), false);
        std::vector<int64_t> counts(listing.classes.size());
        for (const int32_t label : listing.labels) counts[label]++;
        for (size_t i = 0; i < counts.size(); i++)
          if (counts[i] == 1)
            found_.problems.push_back(
                fmt::format("{}: class '{}' has one image{}, expected at least two to make a pair", folder_,
                            listing.classes[i], whole ? "" : " in the " + part + " part"));
      });
    }
  }

  // Reads the images; what can't be read is a problem, and takes no part in comparisons.
  void decode(std::vector<CheckedImage> images, bool sides) {
    std::vector<std::string> files;
    for (const CheckedImage& image : images) files.push_back(image.name);
    thumbnails_.emplace_back(files, kThumbnail, OnCorrupt::skip);
    const ImageStore& store = thumbnails_.back();
    for (int64_t i = 0; i < store.size(); i++) {
      if (!store.error(i).empty()) {
        found_.problems.push_back(store.error(i));
        continue;
      }
      images[i].hash = store.content_hash(i);
      images[i].thumbnail = store.pixels(i);
      if (sides && images[i].part < 0 && images[i].group.empty()) continue;  // named by no file
      images_.push_back(std::move(images[i]));
    }
  }

  bool in_two_parts(const CheckedImage& a, const CheckedImage& b) const {
    return a.part != b.part && a.part >= 0 && b.part >= 0;
  }
  std::string described(const CheckedImage& image) const {
    return image.part >= 0 && parts_.size() > 1 ? fmt::format("{} ({})", image.name, parts_[image.part]) : image.name;
  }

  void compare_images() {
    std::ranges::stable_sort(images_, {}, &CheckedImage::hash);
    std::vector<std::string> leaks, labels, twice;
    for (size_t i = 1; i < images_.size(); i++) {
      const CheckedImage &a = images_[i - 1], &b = images_[i];
      if (a.hash != b.hash) continue;
      const bool classes = layout_of(folder_) != Layout::pairs;
      auto& to = in_two_parts(a, b) ? leaks : classes && a.group != b.group ? labels : twice;
      to.push_back(fmt::format("{} and {} are the same picture{}", described(a), described(b),
                               &to == &labels ? ", in two classes" : ""));
    }
    add(found_.problems, leaks, "pictures in two parts");
    add(found_.problems, labels, "pictures in two classes");
    add(found_.notes, twice, "pictures that are there twice");
    if (parts_.size() > 1) find_nearly_same();
  }

  // Images of two parts whose thumbnails are nearly the same. Those have nearly the same brightness, too: sorted by it, few are compared.
  void find_nearly_same() {
    constexpr int64_t kPixels = 8 * 8 * 3;
    constexpr auto kMost = static_cast<int64_t>(kNearlySame * kPixels);
    for (CheckedImage& image : images_)
      image.brightness = std::accumulate(image.thumbnail, image.thumbnail + kPixels, int64_t{0});
    std::ranges::stable_sort(images_, {}, &CheckedImage::brightness);
    const auto difference = [&](const uint8_t* a, const uint8_t* b) {
      int64_t sum = 0;
      for (int64_t begin = 0; begin < kPixels && sum < kMost; begin += 32)
        for (int64_t i = begin; i < begin + 32; i++) sum += std::abs(a[i] - b[i]);
      return sum;
    };
    // The nearest image of another part behind it in this order.
    std::vector<int64_t> partner(images_.size(), -1);
    std::atomic<bool> partly = false;
    cpu::parallel_for(std::ssize(images_), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t least = kMost;
        for (int64_t j = i + 1; j < std::ssize(images_); j++) {
          if (images_[j].brightness - images_[i].brightness >= kMost) break;
          if (j - i > kMostCompared) {
            partly = true;
            break;
          }
          if (!in_two_parts(images_[i], images_[j]) || images_[i].hash == images_[j].hash) continue;
          const int64_t distance = difference(images_[i].thumbnail, images_[j].thumbnail);
          if (distance < least) least = distance, partner[i] = j;
        }
      }
    });
    std::vector<std::string> lines;
    for (size_t i = 0; i < images_.size(); i++)
      if (partner[i] >= 0)
        lines.push_back(
            fmt::format("{} and {} look nearly the same", described(images_[i]), described(images_[partner[i]])));
    std::ranges::sort(lines);
    add(found_.notes, lines, "that look nearly the same in two parts");
    if (partly)
      found_.notes.push_back(
          fmt::format("{}: more than {} images are of one brightness; not all were compared for nearly the same ones",
                      folder_, kMostCompared));
  }
};

}  // namespace

DataCheck check_data(const std::string& folder) {
  return Checker(folder).run();
}

}  // namespace lookalike

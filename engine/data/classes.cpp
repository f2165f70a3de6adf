#include "engine/data/classes.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "engine/core/error.h"
#include "engine/core/options.h"
#include "engine/data/cifar.h"
#include "engine/data/idx.h"
#include "engine/data/image_files.h"
#include "kernels/parallel.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

bool has_parts(const fs::path& folder) {
  std::error_code none;  // what can't be read is not there
  return fs::is_directory(folder / "train", none) && fs::is_directory(folder / "test", none);
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// Image files and their classes before any is read.
struct Listing {
  std::vector<std::string> names, classes;
  std::vector<int32_t> labels;
  std::string passed_over;
};

Listing list_folders(const std::string& folder, const std::string& part) {
  const bool parts = has_parts(folder);
  const std::string root = parts ? folder + "/" + part : folder;
  Listing listing;
  const ImageListing found = list_images(root);
  listing.passed_over = describe_passed_over(root, found.passed_over);
  const std::vector<std::string>& paths = found.images;
  std::vector<std::string> class_of;
  for (const std::string& path : paths) {
    class_of.push_back(parent_of(path));
    check(!class_of.back().empty(), "{}/{}: an image outside of any class, expected a folder for each class", root,
          path);
  }
  listing.classes = class_of;
  std::ranges::sort(listing.classes);
  listing.classes.erase(std::ranges::unique(listing.classes).begin(), listing.classes.end());
  for (size_t i = 0; i < paths.size(); i++) {
    const auto at = std::ranges::lower_bound(listing.classes, class_of[i]);
    listing.labels.push_back(static_cast<int32_t>(at - listing.classes.begin()));
    listing.names.push_back(parts ? part + "/" + paths[i] : paths[i]);
  }
  return listing;
}

std::vector<std::string> files_of(const std::string& folder, const Listing& listing) {
  std::vector<std::string> files;
  for (const std::string& name : listing.names) files.push_back(folder + "/" + name);
  return files;
}

// Classes without an image are left out and the labels renumbered.
void drop_empty_classes(ClassData& data) {
  std::vector<int32_t> number(data.classes.size(), -1);
  for (const int32_t label : data.labels) number[label] = 0;
  int32_t count = 0;
  for (size_t i = 0; i < number.size(); i++) {
    if (number[i] < 0) continue;
    number[i] = count;
    if (count != static_cast<int32_t>(i)) data.classes[count] = std::move(data.classes[i]);
    count++;
  }
  data.classes.resize(count);
  for (int32_t& label : data.labels) label = number[label];
}

// These images alone.
ClassData select(const ClassData& data, std::span<const int64_t> images) {
  const int64_t size = data.images.preprocess().image_size();
  ClassData result;
  result.classes = data.classes;
  result.skipped = data.skipped;
  result.passed_over = data.passed_over;
  std::vector<uint8_t> pixels(images.size() * size);
  for (size_t i = 0; i < images.size(); i++) {
    std::copy_n(data.images.pixels(images[i]), size, pixels.begin() + static_cast<int64_t>(i) * size);
    result.labels.push_back(data.labels[images[i]]);
    result.names.push_back(data.names[images[i]]);
  }
  result.images = ImageStore(std::move(pixels), data.images.preprocess());
  drop_empty_classes(result);
  return result;
}

ClassData load_folders(const std::string& folder, const std::string& part, const Preprocess& preprocess,
                       OnCorrupt on_corrupt) {
  Listing listing = list_folders(folder, part);
  ClassData data;
  data.images = ImageStore(files_of(folder, listing), preprocess, on_corrupt);
  data.labels = std::move(listing.labels);
  data.names = std::move(listing.names);
  data.classes = std::move(listing.classes);
  if (!listing.passed_over.empty()) data.passed_over.push_back(std::move(listing.passed_over));
  std::vector<int64_t> whole;
  for (int64_t i = 0; i < data.images.size(); i++) {
    if (data.images.error(i).empty())
      whole.push_back(i);
    else
      data.skipped.push_back(data.images.error(i));
  }
  return data.skipped.empty() ? std::move(data) : select(data, whole);
}

bool is_prepared(const RawImages& raw, const Preprocess& p) {
  return raw.height == p.height && raw.width == p.width && raw.channels == p.channels &&
         (p.channels == 1 || p.color_order == "rgb") && p.crop == "none";
}

ClassData prepare(RawImages raw, const std::string& part, const Preprocess& preprocess) {
  const int64_t count = std::ssize(raw.labels);
  if (!is_prepared(raw, preprocess)) {
    std::vector<uint8_t> pixels(count * preprocess.image_size());
    cpu::parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const auto from = raw.pixels.begin() + i * raw.image_size();
        const Image image =
            prepare_image({raw.height, raw.width, raw.channels, {from, from + raw.image_size()}}, preprocess);
        std::ranges::copy(image.pixels, pixels.begin() + i * preprocess.image_size());
      }
    });
    raw.pixels = std::move(pixels);
  }
  ClassData data;
  data.images = ImageStore(std::move(raw.pixels), preprocess);
  data.labels = std::move(raw.labels);
  data.classes = std::move(raw.classes);
  for (int64_t i = 0; i < count; i++) data.names.push_back(fmt::format("{}/{}", part, i));
  drop_empty_classes(data);
  return data;
}

constexpr const char* kIdxImages = "images-idx3-ubyte";
constexpr const char* kIdxLabels = "labels-idx1-ubyte";

const char* idx_prefix(const std::string& part) {
  return part == "train" ? "train-" : "t10k-";
}

bool exists_maybe_gz(const fs::path& path) {
  std::error_code none;
  return fs::exists(path, none) || fs::exists(path.string() + ".gz", none);
}

RawImages read_raw(const std::string& folder, Layout layout, const std::string& part) {
  if (layout == Layout::idx) {
    const auto file = [&](const char* name) {
      const std::string path = folder + "/" + idx_prefix(part) + name;
      check(exists_maybe_gz(path), "{}: no such file, nor {}.gz, expected the {} part of the data set", path,
            idx_prefix(part) + std::string(name), part);
      std::error_code none;
      return fs::exists(path, none) ? path : path + ".gz";
    };
    const std::string images = file(kIdxImages);
    return read_idx(images, file(kIdxLabels));
  }
  if (layout == Layout::cifar100)
    return read_cifar(std::vector{folder + "/" + part + ".bin"}, folder + "/fine_label_names.txt", 2, 100);
  std::vector<std::string> files;
  for (int i = 1; i <= 5 && part == "train"; i++) files.push_back(fmt::format("{}/data_batch_{}.bin", folder, i));
  if (part == "test") files.push_back(folder + "/test_batch.bin");
  return read_cifar(files, folder + "/batches.meta.txt", 1, 10);
}

ClassData choose_groups(const ClassData& data, std::span<const std::string> groups, bool chosen) {
  const std::vector<std::string> known = groups_of(data);
  check(known != std::vector<std::string>{""}, "the data has no groups, expected classes in folders of folders");
  for (const std::string& group : groups)
    check(std::ranges::binary_search(known, group), "no group '{}' in the data, the nearest is '{}'", group,
          nearest(group, known));
  std::vector<bool> keeps;
  for (const std::string& name : data.classes)
    keeps.push_back((std::ranges::find(groups, group_of(name)) != groups.end()) == chosen);
  std::vector<int64_t> images;
  for (int64_t i = 0; i < data.images.size(); i++)
    if (keeps[data.labels[i]]) images.push_back(i);
  check(!images.empty(), "no class is left without the groups {}", fmt::join(groups, ", "));
  return select(data, images);
}

// A copy of all classes and their images: what its names end in, and which pixel (row, column) of the image stands at one of the copy.
struct Copy {
  std::string suffix;
  std::function<std::pair<int64_t, int64_t>(int64_t y, int64_t x)> source;
};

// The data, then each copy as classes of their own.
ClassData with_copies(const ClassData& data, const std::vector<Copy>& copies) {
  const Preprocess& p = data.images.preprocess();
  const int64_t count = data.images.size(), size = p.image_size();
  ClassData result = data;
  std::vector<uint8_t> pixels((1 + copies.size()) * count * size);
  for (int64_t i = 0; i < count; i++) std::copy_n(data.images.pixels(i), size, pixels.begin() + i * size);
  uint8_t* to = pixels.data() + count * size;
  for (const Copy& copy : copies) {
    const auto first = static_cast<int32_t>(result.classes.size());
    for (const std::string& name : data.classes) result.classes.push_back(name + copy.suffix);
    for (const std::string& name : data.names) result.names.push_back(name + copy.suffix);
    for (const int32_t label : data.labels) result.labels.push_back(first + label);
    std::vector<int64_t> source;
    for (int64_t y = 0; y < p.height; y++)
      for (int64_t x = 0; x < p.width; x++) {
        const auto [from_y, from_x] = copy.source(y, x);
        for (int64_t c = 0; c < p.channels; c++) source.push_back((from_y * p.width + from_x) * p.channels + c);
      }
    cpu::parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        for (int64_t k = 0; k < size; k++) to[i * size + k] = data.images.pixels(i)[source[k]];
    });
    to += count * size;
  }
  result.images = ImageStore(std::move(pixels), p);
  return result;
}

}  // namespace

Layout layout_of(const std::string& folder) {
  const fs::path path = folder;
  check_folder(folder, "one with a data set");
  std::error_code none;
  const auto has = [&](const char* name) { return fs::exists(path / name, none); };
  if (has("pairs.csv") || (has("left") && has("right")) || (has("train/left") && has("train/right")))
    return Layout::pairs;
  for (const char* part : {"train", "test"})
    for (const char* name : {kIdxImages, kIdxLabels})
      if (exists_maybe_gz(path / (idx_prefix(part) + std::string(name)))) return Layout::idx;
  if (has("data_batch_1.bin") || has("test_batch.bin")) return Layout::cifar10;
  if (has("train.bin") || has("test.bin")) return Layout::cifar100;
  check(!list_images(folder).images.empty(),
        "{}: no data set, expected pairs.csv with left/ and right/, folders of images (JPEG, PNG, WebP, GIF, BMP), "
        "train-images-idx3-ubyte(.gz) of MNIST, data_batch_1.bin of CIFAR-10 or train.bin of CIFAR-100",
        folder);
  return Layout::folders;
}

ClassData load_classes(const std::string& folder, const std::string& part, const Preprocess& preprocess,
                       OnCorrupt on_corrupt) {
  check(part == "train" || part == "test", "part '{}' of a data set, expected train or test", part);
  const Layout layout = layout_of(folder);
  check(layout != Layout::pairs, "{}: pairs of images, expected classes of them", folder);
  ClassData data = layout == Layout::folders ? load_folders(folder, part, preprocess, on_corrupt)
                                             : prepare(read_raw(folder, layout, part), part, preprocess);
  check(data.classes.size() >= 2, "{}: {} class{} in the {} part, expected at least two", folder, data.classes.size(),
        data.classes.size() == 1 ? "" : "es", part);
  return data;
}

std::vector<std::string> check_classes(const std::string& folder) {
  std::vector<std::string> problems;
  // Of any size, since what is read is not kept.
  const Preprocess tiny{.height = 1, .width = 1};
  const auto note = [&](const auto& attempt) {
    try {
      attempt();
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
  };
  note([&] {
    const Layout layout = layout_of(folder);
    const bool parts = layout != Layout::folders || has_parts(folder);
    for (const std::string part : {"train", "test"}) {
      if (!parts && part == "test") break;
      note([&] {
        if (layout != Layout::folders) {
          load_classes(folder, part, tiny);
          return;
        }
        const Listing listing = list_folders(folder, part);
        check(listing.classes.size() >= 2, "{}: images of {} classes in the {} part, expected at least two", folder,
              listing.classes.size(), part);
        const ImageStore images(files_of(folder, listing), tiny, OnCorrupt::skip);
        std::vector<int64_t> counts(listing.classes.size());
        for (int64_t i = 0; i < images.size(); i++) {
          counts[listing.labels[i]]++;
          if (!images.error(i).empty()) problems.push_back(images.error(i));
        }
        for (size_t i = 0; i < counts.size(); i++)
          if (counts[i] == 1)
            problems.push_back(fmt::format("{}: class '{}' has one image, expected at least two to make a pair", folder,
                                           listing.classes[i]));
      });
    }
  });
  return problems;
}

std::string group_of(const std::string& class_name) {
  return parent_of(class_name);
}

std::vector<std::string> groups_of(const ClassData& data) {
  std::vector<std::string> groups;
  for (const std::string& name : data.classes) groups.push_back(group_of(name));
  std::ranges::sort(groups);
  groups.erase(std::ranges::unique(groups).begin(), groups.end());
  return groups;
}

ClassData only_groups(const ClassData& data, std::span<const std::string> groups) {
  return choose_groups(data, groups, true);
}

ClassData without_groups(const ClassData& data, std::span<const std::string> groups) {
  return choose_groups(data, groups, false);
}

ClassData with_rotations(const ClassData& data) {
  const Preprocess& p = data.images.preprocess();
  check(p.height == p.width, "images of {} x {} pixels can't be turned by 90 degrees, expected square ones", p.height,
        p.width);
  const int64_t end = p.height - 1;
  return with_copies(data, {{"@90", [=](int64_t y, int64_t x) { return std::pair(x, end - y); }},
                            {"@180", [=](int64_t y, int64_t x) { return std::pair(end - y, end - x); }},
                            {"@270", [=](int64_t y, int64_t x) { return std::pair(end - x, y); }}});
}

ClassData with_mirrors(const ClassData& data) {
  const int64_t end = data.images.preprocess().width - 1;
  return with_copies(data, {{"@mirror", [=](int64_t y, int64_t x) { return std::pair(y, end - x); }}});
}

}  // namespace lookalike

#include "engine/data/classes.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "engine/core/error.h"
#include "engine/core/options.h"
#include "engine/data/cifar.h"
#include "engine/data/idx.h"
#include "engine/data/image_files.h"
#include "kernels/parallel.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::vector<std::string> files_of(const std::string& folder, const ClassListing& listing) {
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

ClassData load_listed(const std::string& folder, ClassListing listing, const Preprocess& preprocess,
                      OnCorrupt on_corrupt, const std::string& csv = "") {
  for (const std::string& name : listing.names)
    check(csv.empty() || on_corrupt == OnCorrupt::skip || fs::exists(fs::path(folder) / name),
          "{}: no image '{}' in {} (--skip-corrupt leaves such ones out)", csv, name, folder);
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
  const bool prepared = is_prepared(raw, preprocess);
  std::vector<uint8_t> pixels(prepared ? 0 : count * preprocess.image_size());
  std::vector<uint64_t> hashes(count);
  cpu::parallel_for(count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const auto from = raw.pixels.begin() + i * raw.image_size();
      const Image image{raw.height, raw.width, raw.channels, {from, from + raw.image_size()}};
      hashes[i] = content_hash(image);
      if (!prepared)
        std::ranges::copy(prepare_image(image, preprocess).pixels, pixels.begin() + i * preprocess.image_size());
    }
  });
  ClassData data;
  data.images = ImageStore(std::move(prepared ? raw.pixels : pixels), std::move(hashes), preprocess);
  data.labels = std::move(raw.labels);
  data.classes = std::move(raw.classes);
  for (int64_t i = 0; i < count; i++) data.names.push_back(fmt::format("{}/{}", part, i));
  drop_empty_classes(data);
  return data;
}

RawImages read_raw(const std::string& folder, Layout layout, const std::string& part) {
  if (layout == Layout::idx) {
    const auto file = [&](const char* name) {
      const auto found = find_idx_file(folder, part, name);
      const std::string expected = idx_file_name(part, name);
      check(found.has_value(), "{}/{}: no such file, nor {}.gz, expected the {} part of the data set", folder, expected,
            expected, part);
      return *found;
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
  const std::set<std::string> wanted(groups.begin(), groups.end());
  std::vector<bool> keeps;
  for (const std::string& name : data.classes) keeps.push_back(wanted.contains(group_of(name)) == chosen);
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
  std::vector<uint64_t> hashes;
  for (size_t copy = 0; copy <= copies.size(); copy++)
    for (int64_t i = 0; i < count; i++) hashes.push_back(data.images.content_hash(i));
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
  result.images = ImageStore(std::move(pixels), std::move(hashes), p);
  return result;
}

}  // namespace

ClassData select(const ClassData& data, std::span<const int64_t> images) {
  const int64_t size = data.images.preprocess().image_size();
  ClassData result;
  result.classes = data.classes;
  result.skipped = data.skipped;
  result.passed_over = data.passed_over;
  std::vector<uint8_t> pixels(images.size() * size);
  std::vector<uint64_t> hashes;
  for (size_t i = 0; i < images.size(); i++) {
    hashes.push_back(data.images.content_hash(images[i]));
    std::copy_n(data.images.pixels(images[i]), size, pixels.begin() + static_cast<int64_t>(i) * size);
    result.labels.push_back(data.labels[images[i]]);
    result.names.push_back(data.names[images[i]]);
  }
  result.images = ImageStore(std::move(pixels), std::move(hashes), data.images.preprocess());
  drop_empty_classes(result);
  return result;
}

ClassData load_classes(const std::string& folder, const std::string& part, const Preprocess& preprocess,
                       OnCorrupt on_corrupt) {
  check(part == "train" || part == "val" || part == "test", "part '{}' of a data set, expected train, val or test",
        part);
  const Layout layout = layout_of(folder);
  check(layout != Layout::pairs, "{}: pairs of images, expected classes of them", folder);
  check(layout == Layout::folders || part != "val", "{}: has no val part, only train and test", folder);
  ClassData data;
  if (layout != Layout::folders) {
    data = prepare(read_raw(folder, layout, part), part, preprocess);
  } else {
    const Parts parts = parts_of(folder);
    const auto csv = parts.files.find(part);
    data = load_listed(folder, list_classes(folder, part), preprocess, on_corrupt,
                       csv == parts.files.end() ? "" : csv->second);
  }
  check(data.classes.size() >= 2, "{}: {} class{} in the {} part, expected at least two", folder, data.classes.size(),
        data.classes.size() == 1 ? "" : "es", part);
  return data;
}

ClassData load_named_classes(const std::string& folder, const std::string& csv, const Preprocess& preprocess,
                             OnCorrupt on_corrupt) {
  if (layout_of(folder) == Layout::folders)
    return load_listed(folder, list_named_classes(folder, csv), preprocess, on_corrupt, csv);
  const std::vector<std::string> names = read_image_names(csv);
  const ClassData part = load_classes(folder, names[0].starts_with("test/") ? "test" : "train", preprocess);
  std::map<std::string, int64_t> places;
  for (int64_t i = 0; i < std::ssize(part.names); i++) places[part.names[i]] = i;
  std::vector<int64_t> images;
  for (const std::string& name : names) {
    const auto found = places.find(name);
    check(found != places.end(), "{}: no image '{}' in {}", csv, name, folder);
    images.push_back(found->second);
  }
  return select(part, images);
}

std::string group_of(const std::string& class_name) {
  return parent_of(class_name);
}

std::vector<std::string> groups_of(const ClassData& data) {
  std::vector<std::string> groups;
  for (const std::string& name : data.classes) groups.push_back(group_of(name));
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
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

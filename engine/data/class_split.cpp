#include "engine/data/class_split.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "engine/core/random.h"
#include "engine/data/pairs.h"

namespace lookalike {
namespace {

constexpr const char* kPartNames[] = {"train", "validation", "test"};
constexpr int64_t kManyClasses = 10;

}  // namespace

const char* name_of(SplitBy by) {
  return by == SplitBy::classes ? "classes" : "images";
}

SplitBy parse_split_by(const std::string& name) {
  check(name == "classes" || name == "images", "by '{}', expected classes or images", name);
  return name == "classes" ? SplitBy::classes : SplitBy::images;
}

ClassSplit split_classes(std::span<const int32_t> labels, const std::array<double, 3>& ratios, uint64_t seed,
                         std::optional<SplitBy> by) {
  std::map<int32_t, std::vector<int64_t>> classes;
  for (int64_t i = 0; i < std::ssize(labels); i++) classes[labels[i]].push_back(i);
  const auto many = std::ranges::count_if(classes, [](const auto& entry) { return entry.second.size() >= 2; });
  ClassSplit split{by.value_or(many >= kManyClasses ? SplitBy::classes : SplitBy::images), {}};
  std::array<int64_t, 3> pairable{};  // classes of two images or more

  const auto give = [&](std::span<const int64_t> images, int part) {
    split.images[part].insert(split.images[part].end(), images.begin(), images.end());
    pairable[part] += images.size() >= 2;
  };
  if (split.by == SplitBy::classes) {
    std::vector<int32_t> order;
    for (const auto& [label, images] : classes) order.push_back(label);
    Random(seed, RandomUse::split).shuffle(std::span(order));
    const std::array<int64_t, 3> sizes = part_sizes(std::ssize(order), ratios);
    auto next = order.begin();
    for (int part = 0; part < 3; part++)
      for (int64_t i = 0; i < sizes[part]; i++) give(classes[*next++], part);
  } else {
    const auto parts = std::ranges::count_if(ratios, [](double ratio) { return ratio > 0; });
    for (auto& [label, images] : classes) {
      Random(seed, RandomUse::split, label).shuffle(std::span(images));
      const int64_t n = std::ssize(images);
      std::array<int64_t, 3> sizes = part_sizes(n, ratios);
      if (n < 2 * parts) {
        sizes = {n, 0, 0};
      } else {
        for (int part = 1; part < 3; part++)
          if (ratios[part] > 0) sizes[part] = std::max<int64_t>(sizes[part], 2);
        if (ratios[0] > 0) {
          // Room for two of train, too, out of the larger of the others.
          while (n - sizes[1] - sizes[2] < 2) sizes[sizes[1] >= sizes[2] ? 1 : 2]--;
        }
        sizes[0] = n - sizes[1] - sizes[2];
      }
      int64_t at = 0;
      for (int part = 0; part < 3; part++) {
        if (sizes[part] > 0) give(std::span(images).subspan(at, sizes[part]), part);
        at += sizes[part];
      }
    }
  }
  for (int part = 0; part < 3; part++) {
    check(pairable[part] >= 2 || ratios[part] == 0,
          "{} images of {} classes are too few to split {} by {}: {} would have {} classes of two images, expected two "
          "or more",
          labels.size(), classes.size(), fmt::join(ratios, ","), name_of(split.by), kPartNames[part], pairable[part]);
    std::ranges::sort(split.images[part]);
  }
  return split;
}

}  // namespace lookalike

// Images with labels: the layouts `classes`, IDX and CIFAR.
//
// `classes` is folders, nested as deep as they are: an image's class is the path of the folder that it lies in, and its
// group the path above the last component (Omniglot: alphabet and alphabet/character). Which files are images is told in
// image_files.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/data/class_layout.h"
#include "engine/data/loader.h"

namespace lookalike {

// Labels are places in `classes`; an image that could not be read is skipped, and in none of the lists.
struct ClassData : Dataset {
  std::vector<std::string> names;    // of each image: its path in the data folder, or "train/123"
  std::vector<std::string> classes;  // each has an image
};

// `part` is "train", "val" or "test" (class_layout.h); class folders without parts are all of it either. The order of images and classes is that
// of their sorted paths, or that of the files. Error on the pairs layout, and when fewer than two classes are left.
ClassData load_classes(const std::string& folder, const std::string& part, const Preprocess& preprocess,
                       OnCorrupt on_corrupt = OnCorrupt::stop);
// The images that a CSV file names as ClassData::names does.
ClassData load_named_classes(const std::string& folder, const std::string& csv, const Preprocess& preprocess,
                             OnCorrupt on_corrupt = OnCorrupt::stop);

// These images alone; classes without one are left out.
ClassData select(const ClassData& data, std::span<const int64_t> images);

// The path above the last component of a class, "" where it has one alone; and the groups of all classes, sorted.
std::string group_of(const std::string& class_name);
std::vector<std::string> groups_of(const ClassData& data);

// The images of these groups alone, or of all others. Error on a group that is not there, or when nothing is left.
ClassData only_groups(const ClassData& data, std::span<const std::string> groups);
ClassData without_groups(const ClassData& data, std::span<const std::string> groups);

// Every class and its pictures also turned by 90, 180 and 270 degrees to the left, as classes of their own:
// "class@90". Error unless images are square.
ClassData with_rotations(const ClassData& data);
// The same with their mirror images: "class@mirror".
ClassData with_mirrors(const ClassData& data);

}  // namespace lookalike

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

#include "engine/data/loader.h"

namespace lookalike {

// Labels are places in `classes`; an image that could not be read is skipped, and in none of the lists.
struct ClassData : Dataset {
  std::vector<std::string> names;    // of each image: its path in the data folder, or "train/123"
  std::vector<std::string> classes;  // each has an image
};

enum class Layout { pairs, folders, idx, cifar10, cifar100 };

// What lies in a data folder, by the names in it. Error when that is nothing known.
Layout layout_of(const std::string& folder);

// `part` is "train" or "test". A `classes` folder has parts when it has folders of both names, else all of it is either.
// The order of images and classes is that of their sorted paths, or that of the files. Error on the pairs layout, and
// when fewer than two classes are left.
ClassData load_classes(const std::string& folder, const std::string& part, const Preprocess& preprocess,
                       OnCorrupt on_corrupt = OnCorrupt::stop);

// Everything wrong with a folder of a layout other than pairs, a line each.
std::vector<std::string> check_classes(const std::string& folder);

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

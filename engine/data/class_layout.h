// What lies in a data folder, and the image files of its classes before any is read.
//
// Class folders have parts (train, val, test) in one of two ways: folders train/, val/ (or valid/, validation/) and test/ with the classes in
// them, or files train.csv, val.csv and test.csv, header `image`, which name images below the folder. Without either all of it is one part.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lookalike {

enum class Layout { pairs, folders, idx, cifar10, cifar100 };

// What lies in a data folder, by the names in it. Error when that is nothing known.
Layout layout_of(const std::string& folder);

// The files of IDX data, part "train" or "test": what one is called, and where it is, plain or compressed.
constexpr const char *kIdxImages = "images-idx3-ubyte", *kIdxLabels = "labels-idx1-ubyte";
std::string idx_file_name(const std::string& part, const char* name);
std::optional<std::string> find_idx_file(const std::string& folder, const std::string& part, const char* name);

struct Parts {
  std::map<std::string, std::string> folders,
      files;  // of "train", "val" and "test" those that are there; one of the two is empty
  bool any() const { return !folders.empty() || !files.empty(); }
  bool has(const std::string& part) const { return folders.contains(part) || files.contains(part); }
};

// The parts of class folders. Error when some names are those of parts and others are not, so that it can't be told what is a class.
Parts parts_of(const std::string& folder);
// Whether a data folder of classes has this part of its own: "train", "val" or "test".
bool has_part(const std::string& folder, const std::string& part);

// Names are paths below the data folder, labels places in `classes`, which are sorted.
struct ClassListing {
  std::vector<std::string> names, classes;
  std::vector<int32_t> labels;
  std::string passed_over;  // a line on what is no image, "" where nothing is
};
// Error when the folder has parts and not this one, or an image outside of any class.
ClassListing list_classes(const std::string& folder, const std::string& part);
// All of a folder without parts, or whose parts are files.
ClassListing list_all_classes(const std::string& folder);
// The images that a CSV file names.
ClassListing list_named_classes(const std::string& folder, const std::string& csv);

// The names in a CSV file with the header `image`, each once.
std::vector<std::string> read_image_names(const std::string& csv);

}  // namespace lookalike

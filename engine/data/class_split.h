// Class data cut into train, validation and test, with a seed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lookalike {

// Whole classes, so that what is measured is classes never seen; or images of each class, where there are too few classes.
enum class SplitBy { classes, images };
const char* name_of(SplitBy by);
SplitBy parse_split_by(const std::string& name);

struct ClassSplit {
  SplitBy by;
  std::array<std::vector<int64_t>, 3> images;  // train, validation, test; in their order
};

// `labels`: the class of each image. `ratios` as in split_pairs (pairs.h). Without `by`: by classes where ten or more have two images, else by
// images. A class that is cut gives every part that has a share at least two images, or all to train where it has too few. Error when a part with a share
// would have less than two classes of two images, which can be neither trained with nor ranked.
ClassSplit split_classes(std::span<const int32_t> labels, const std::array<double, 3>& ratios, uint64_t seed,
                         std::optional<SplitBy> by = {});

}  // namespace lookalike

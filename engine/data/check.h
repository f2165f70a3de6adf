// Everything that is wrong with a data folder, of everything in it that the programs read.
#pragma once

#include <string>
#include <vector>

namespace lookalike {

struct DataCheck {
  std::vector<std::string> problems;  // what stops a program or makes a figure wrong, a line each
  std::vector<std::string> notes;     // what is worth a look
};

// Pairs: every CSV file of pairs, candidates or truth, names without an image, images that can't be read. Classes: every part, classes of one
// image, images that can't be read. Both: what is in two parts, by name or as the same picture, and what looks nearly the same in two parts.
DataCheck check_data(const std::string& folder);

}  // namespace lookalike

// Labelled images as the readers of IDX and CIFAR files hand them over: all of one size, not yet of the network's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lookalike {

struct RawImages {
  int64_t height = 0, width = 0, channels = 0;  // 1 (grey) or 3 (red, green, blue)
  std::vector<uint8_t> pixels;                  // as in Image, one picture after another
  std::vector<int32_t> labels;
  std::vector<std::string> classes;  // the name of each label

  int64_t image_size() const { return height * width * channels; }
};

}  // namespace lookalike

// What happens to an image before a network sees it. It travels in the checkpoint, so that a model can't be used with
// another preparation than it was trained with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/core/options.h"
#include "engine/data/image.h"

namespace lookalike {

// Decode to `channels`, crop ("none", or "ink": see image.h), stretch to height x width with the filter `resize` ("triangle": antialiased, see image.h),
// then (value / 255 - mean) / std for each channel, in `color_order`: "rgb" or "bgr".
struct Preprocess {
  int64_t height = 64, width = 64, channels = 3;
  std::string color_order = "rgb";
  std::vector<float> mean{0, 0, 0}, std{1, 1, 1};
  std::string resize = "triangle", crop = "none";

  int64_t image_size() const { return height * width * channels; }
};

// The settings of a recipe's section, defaults as above (mean and std of `channels` zeros and ones).
Preprocess read_preprocess(Options& options);
nlohmann::json to_json(const Preprocess& preprocess);
// Error, beginning with `where`, when a key is missing, unknown or wrong.
Preprocess preprocess_from_json(const nlohmann::json& json, const std::string& where);

// The image with the network's size, channels and colour order, still 8 bits a value.
Image prepare_image(const std::string& path, const Preprocess& preprocess);
Image prepare_image(const Image& decoded, const Preprocess& preprocess);
// image_size() values, 8 bits to float.
void normalize(const Preprocess& preprocess, const uint8_t* pixels, float* out);

}  // namespace lookalike

#include "engine/data/preprocess.h"

#include "engine/core/error.h"

namespace lookalike {

Preprocess read_preprocess(Options& options) {
  Preprocess p;
  p.height = options.integer("height", p.height, 1, 4096);
  p.width = options.integer("width", p.width, 1, 4096);
  p.channels = options.integer("channels", p.channels, 1, 3);
  check(p.channels != 2, "{}: channels = 2, expected 1 (grey) or 3 (colour)", options.where());
  p.color_order = options.choice("color_order", p.color_order, {"rgb", "bgr"});
  const auto mean =
      options.numbers("mean", std::vector<double>(p.channels, 0.0), -kLargeNumber, kLargeNumber);
  const auto std = options.numbers("std", std::vector<double>(p.channels, 1.0), 0, kLargeNumber);
  check(std::ssize(mean) == p.channels && std::ssize(std) == p.channels,
        "{}: mean has {} numbers and std {}, expected {}, one for each channel", options.where(), mean.size(),
        std.size(), p.channels);
  for (const double x : std)
    check(x >= 1 / kLargeNumber, "{}: std holds {}, expected numbers from {} to {}", options.where(), x, 1 / kLargeNumber, kLargeNumber);
  p.mean.assign(mean.begin(), mean.end());
  p.std.assign(std.begin(), std.end());
  p.resize = options.choice("resize", p.resize, {"triangle"});
  p.crop = options.choice("crop", p.crop, {"none", "ink"});
  return p;
}

nlohmann::json to_json(const Preprocess& p) {
  nlohmann::json json{
      {"height", p.height}, {"width", p.width}, {"channels", p.channels}, {"color_order", p.color_order},
      {"mean", p.mean},     {"std", p.std},     {"resize", p.resize}};
  if (p.crop != "none") json["crop"] = p.crop;  // older checkpoints have no such key
  return json;
}

Preprocess preprocess_from_json(const nlohmann::json& json, const std::string& where) {
  Options options(json, where);
  const nlohmann::json expected = to_json(Preprocess{});
  for (const auto& [key, value] : expected.items())
    check(json.contains(key), "{}: the key '{}' is missing", where, key);
  const Preprocess result = read_preprocess(options);
  options.finish();
  return result;
}

Image prepare_image(const std::string& path, const Preprocess& preprocess) {
  return prepare_image(read_image(path, preprocess.channels), preprocess);
}

Image prepare_image(const Image& decoded, const Preprocess& preprocess) {
  Image image = with_channels(decoded, preprocess.channels);
  image = (preprocess.crop == "ink" ? resize_to_ink : resize)(image, preprocess.height, preprocess.width);
  if (preprocess.channels == 3 && preprocess.color_order == "bgr") {
    for (size_t i = 0; i < image.pixels.size(); i += 3) std::swap(image.pixels[i], image.pixels[i + 2]);
  }
  return image;
}

void normalize(const Preprocess& preprocess, const uint8_t* pixels, float* out) {
  const int64_t channels = preprocess.channels, size = preprocess.image_size();
  for (int64_t c = 0; c < channels; c++) {
    float table[256];
    for (int value = 0; value < 256; value++)
      table[value] = (static_cast<float>(value) / 255 - preprocess.mean[c]) / preprocess.std[c];
    for (int64_t i = c; i < size; i += channels) out[i] = table[pixels[i]];
  }
}

}  // namespace lookalike

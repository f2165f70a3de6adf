// Image files to pixels and back. Decoding trusts nothing that a file claims: JPEG and PNG only, the number of pixels
// capped, and a file that ends early or fails its own checksums is an Error, where decoders would return half a
// picture.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lookalike {

// Rows from the top, pixels from the left, channels interleaved: 1 (grey) or 3 (red, green, blue).
struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;
};

// A picture of more pixels than this is refused before it is decoded.
constexpr int64_t kMaxPixels = int64_t{1} << 26;

// `bytes` is the content of a JPEG or PNG file, `name` what messages call it. Transparency is laid on white, 16-bit
// samples keep their upper byte, colour becomes grey by its luma (and the other way round by repetition) where
// `channels` asks for it. Error naming the file and what was expected.
Image decode_image(std::string_view bytes, int64_t channels, const std::string& name);
Image read_image(const std::string& path, int64_t channels);

// What tells this picture from others: of its size and its colours, so that a file whose metadata or format alone differs has the same hash, and a
// grey picture that of its copy in colour.
uint64_t content_hash(const Image& image);

// Colour becomes grey by its luma, grey becomes colour by repetition.
Image with_channels(const Image& image, int64_t channels);

// The square around everything darker than half, white where it reaches out of the image: its side is 1.2 times the longer side of
// what is dark. The image itself where nothing is.
Image crop_to_ink(const Image& image);

// Stretches to height x width with an antialiased triangle filter: linear interpolation that, where it shrinks, widens
// to the pixels it must average.
Image resize(const Image& image, int64_t height, int64_t width);

// Red, green, blue and alpha, laid on white; `pixels` holds height * width * 4 values, premultiplied or not.
Image on_white(const uint8_t* pixels, int64_t height, int64_t width, bool premultiplied);

std::string encode_png(const Image& image);

}  // namespace lookalike

// Image files to pixels and back. A file is what its content says, whatever its name ends in: JPEG, PNG, WebP, GIF or
// BMP. Decoding trusts nothing that a file claims: the number of pixels is capped, and a file that ends early or fails
// its own checksums is an Error, where decoders would return half a picture.
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

// `bytes` is the content of an image file, `name` what messages call it. The first picture of an animation; upright, by
// the orientation in its Exif metadata. Transparency is laid on white, 16-bit samples keep their upper byte, colour
// becomes grey by its luma (and the other way round by repetition) where `channels` asks for it. The same bytes give the
// same pixels every time. Error naming the file and what was expected.
Image decode_image(std::string_view bytes, int64_t channels, const std::string& name);
Image read_image(const std::string& path, int64_t channels);

// What tells this picture from others: of its size and its colours, so that a file whose metadata or format alone differs has the same hash, and a
// grey picture that of its copy in colour.
uint64_t content_hash(const Image& image);

// By the first kSignatureBytes of a file: whether it is an image of a format that is read, and what other file of a
// known kind it is ("a HEIC picture"; empty where that is not known).
constexpr size_t kSignatureBytes = 512;
bool is_image(std::string_view bytes);
std::string kind_of_file(std::string_view bytes);

uint8_t luma(const uint8_t* rgb);
uint8_t over_white(int value, int alpha);

// Colour becomes grey by its luma, grey becomes colour by repetition.
Image with_channels(const Image& image, int64_t channels);

// The square around everything darker than half, white where it reaches out of the image: its side is 1.2 times the longer side of
// what is dark. The image itself where nothing is.
Image crop_to_ink(const Image& image);

// Stretches to height x width with an antialiased triangle filter: linear interpolation that, where it shrinks, widens
// to the pixels it must average.
Image resize(const Image& image, int64_t height, int64_t width);

// resize(crop_to_ink(image), height, width). The square around a long thin picture can have any
// multiple of its pixels; where it has more than four times as many it is never made, and the
// result may differ by a level.
Image resize_to_ink(const Image& image, int64_t height, int64_t width);

// Red, green, blue and alpha, laid on white; `pixels` holds height * width * 4 values, premultiplied or not.
Image on_white(const uint8_t* pixels, int64_t height, int64_t width, bool premultiplied);

std::string encode_png(const Image& image);
std::string encode_jpeg(const Image& image);

}  // namespace lookalike

// Pictures: each format through its decoder alone, and any file through what happens to a picture.
#include <zlib.h>

#include "engine/data/exif.h"
#include "engine/data/image_decode.h"
#include "engine/data/preprocess.h"
#include "tests/fuzz/target.h"

namespace lookalike {
namespace {

void require_whole(const Image& image, int64_t channels) {
  require(image.channels == channels && image.height >= 1 && image.width >= 1 &&
              image.height * image.width <= kMaxPixels &&
              std::ssize(image.pixels) == image.height * image.width * channels,
          "a whole picture");
}

// As colour, and then as grey of the same size.
void decode_both(std::string_view bytes, std::string_view signature) {
  if (!bytes.starts_with(signature)) return;
  const Image colour = decode_image(bytes, 3, "x");
  require_whole(colour, 3);
  const Image grey = decode_image(bytes, 1, "x");
  require_whole(grey, 1);
  require(grey.height == colour.height && grey.width == colour.width, "one size");
}

}  // namespace

FUZZ_TARGET(jpeg) {
  decode_both(bytes, "\xff\xd8\xff");
}

FUZZ_TARGET(webp) {
  decode_both(bytes, "RIFF");
}

FUZZ_TARGET(gif) {
  decode_both(bytes, "GIF8");
}

FUZZ_TARGET(bmp) {
  decode_both(bytes, "BM");
}

// With the right checksum in each chunk, which changes would not get past.
FUZZ_TARGET(png) {
  std::string png(bytes);
  for (size_t at = 8; png.size() >= at + 12;) {
    const uint32_t length = big_endian(png, at, 4);
    if (length > png.size() - at - 12) break;
    const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(&png[at + 4]), length + 4);
    for (int i = 0; i < 4; i++) png[at + 8 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
  decode_both(png, "\x89PNG\r\n\x1a\n");
}

FUZZ_TARGET(exif) {
  const int orientation = exif_orientation(bytes);
  require(orientation >= 1 && orientation <= 8, "an orientation from 1 to 8");
}

FUZZ_TARGET(image) {
  kind_of_file(bytes);
  const Image image = decode_image(bytes, 3, "x");
  require_whole(image, 3);
  require(content_hash(image) == content_hash(with_channels(image, 3)), "one hash");
  // What follows takes a large picture the way it takes a small one, in a second instead of a blink.
  if (image.height * image.width > int64_t{1} << 16) return;
  Preprocess preprocess{.height = 9, .width = 7, .channels = 1, .mean = {0}, .std = {1}, .crop = "ink"};
  require_whole(prepare_image(image, preprocess), 1);
  preprocess = {.height = 5, .width = 8, .color_order = "bgr"};
  const Image prepared = prepare_image(image, preprocess);
  require_whole(prepared, 3);
  require(prepared.height == 5 && prepared.width == 8, "the network's size");
}

}  // namespace lookalike

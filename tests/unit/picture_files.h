// The bytes of pictures in all formats that are read.
#pragma once

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <jpeglib.h>
#ifdef LOOKALIKE_HAS_WEBP
#include <webp/encode.h>
#endif

#include "tests/unit/data_files.h"

namespace lookalike {

inline std::string number_of(uint64_t value, int bytes, bool little = true) {
  std::string result;
  for (int i = 0; i < bytes; i++) result += static_cast<char>(value >> 8 * (little ? i : bytes - 1 - i));
  return result;
}

// Exif metadata that hold a tag, the orientation, and a tag more.
inline std::string exif_block(int orientation, bool little) {
  const auto n = [&](uint64_t value, int bytes) { return number_of(value, bytes, little); };
  const auto entry = [&](int tag, int value) { return n(tag, 2) + n(3, 2) + n(1, 4) + n(value, 2) + n(0, 2); };
  return (little ? "II" : "MM") + n(42, 2) + n(8, 4) + n(3, 2) + entry(0x0100, 7) + entry(0x0112, orientation) +
         entry(0x0128, 2) + n(0, 4);
}

struct JpegOptions {
  bool progressive = false, subsampled = false;
  int quality = 95, restart = 0;
};

inline std::string libjpeg_file(const Image& image, const JpegOptions& options = {}) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = static_cast<int>(image.channels);
  jpeg.in_color_space = image.channels == 3 ? JCS_RGB : image.channels == 1 ? JCS_GRAYSCALE : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, options.quality, TRUE);
  if (image.channels == 4) jpeg_set_colorspace(&jpeg, JCS_YCCK);
  if (!options.subsampled)
    for (int c = 0; c < jpeg.num_components; c++) jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
  if (options.progressive) jpeg_simple_progression(&jpeg);
  jpeg.restart_interval = options.restart;
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<uint8_t> pixels = image.pixels;
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = &pixels[jpeg.next_scanline * image.width * image.channels];
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string file(reinterpret_cast<char*>(data), size);
  jpeg_destroy_compress(&jpeg);
  std::free(data);
  return file;
}

// A segment put behind a JPEG file's first marker.
inline std::string with_segment(const std::string& jpeg, int marker, const std::string& data) {
  return jpeg.substr(0, 2) + "\xFF" + static_cast<char>(marker) + number_of(data.size() + 2, 2, false) + data +
         jpeg.substr(2);
}

inline std::string riff_chunk(const std::string& type, const std::string& data) {
  return type + number_of(data.size(), 4) + data + std::string(data.size() % 2, '\0');
}
inline std::string riff_file(const std::string& chunks) {
  return riff_chunk("RIFF", "WEBP" + chunks);
}

#ifdef LOOKALIKE_HAS_WEBP
// `rgba` holds four values a pixel; lossless unless a quality is given.
inline std::string webp_file(const std::vector<uint8_t>& rgba, int width, int height, float quality = -1) {
  uint8_t* data = nullptr;
  const size_t size = quality < 0 ? WebPEncodeLosslessRGBA(rgba.data(), width, height, 4 * width, &data)
                                  : WebPEncodeRGBA(rgba.data(), width, height, 4 * width, quality, &data);
  std::string file(reinterpret_cast<char*>(data), size);
  WebPFree(data);
  return file;
}

// The chunks of a file in the extended form: `flags` say what it has besides the picture.
inline std::string webp_extended(int flags, int width, int height, const std::string& chunks) {
  return riff_file(riff_chunk("VP8X", number_of(flags, 4) + number_of(width - 1, 3) + number_of(height - 1, 3)) +
                   chunks);
}
#endif

inline std::vector<uint8_t> with_alpha(const Image& image, uint8_t alpha = 255) {
  std::vector<uint8_t> rgba;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    rgba.insert(rgba.end(), &image.pixels[i], &image.pixels[i] + 3);
    rgba.push_back(alpha);
  }
  return rgba;
}

// LZW as GIF has it, with 8 bits an index and without a clear code other than the first, in blocks.
inline std::string gif_data(const std::vector<uint8_t>& indices) {
  std::map<std::pair<int, int>, int> codes;
  std::string bytes;
  uint32_t window = 0;
  int held = 0, bits = 9, known = 258;
  const auto put = [&](int code) {
    window |= static_cast<uint32_t>(code) << held;
    for (held += bits; held >= 8; held -= 8, window >>= 8) bytes += static_cast<char>(window);
  };
  put(256);
  int prefix = indices.at(0);
  for (size_t i = 1; i < indices.size(); i++) {
    const auto found = codes.find({prefix, indices[i]});
    if (found != codes.end()) {
      prefix = found->second;
      continue;
    }
    put(prefix);
    if (known < 4096) {
      if (known == 1 << bits) bits++;
      codes[{prefix, indices[i]}] = known++;
    }
    prefix = indices[i];
  }
  put(prefix);
  if (known == 1 << bits && bits < 12) bits++;
  put(257);
  if (held > 0) bytes += static_cast<char>(window);
  std::string blocks = "\x08";
  for (size_t at = 0; at < bytes.size(); at += 255) {
    const std::string block = bytes.substr(at, 255);
    blocks += static_cast<char>(block.size()) + block;
  }
  return blocks + '\0';
}

// A picture of indices into 256 colours (i, 255 - i, i / 2); in another place and size than the screen's where `left` and `top` say so.
struct GifOptions {
  int left = 0, top = 0, screen_width = 0, screen_height = 0, transparent = -1;
  bool interlaced = false;
};

inline std::string gif_file(const std::vector<uint8_t>& stored, int width, int height, const GifOptions& options = {}) {
  std::string file = "GIF89a" + number_of(options.screen_width ? options.screen_width : width, 2) +
                     number_of(options.screen_height ? options.screen_height : height, 2) + "\xF7" + number_of(0, 2);
  for (int i = 0; i < 256; i++) file += number_of(i, 1) + number_of(255 - i, 1) + number_of(i / 2, 1);
  if (options.transparent >= 0) file += "\x21\xF9\x04\x01" + number_of(0, 2) + number_of(options.transparent, 1) + '\0';
  file += "\x21\xFE\x02hi" + std::string(1, '\0');
  file += "," + number_of(options.left, 2) + number_of(options.top, 2) + number_of(width, 2) + number_of(height, 2) +
          number_of(options.interlaced ? 0x40 : 0, 1);
  return file + gif_data(stored) + ";";
}

// `rows` as BMP stores them, from the bottom and padded to four bytes; `colours` are the palette, or the masks, between the header (12,
// 40, 56, 108 or 124 bytes) and a gap before the rows.
inline std::string bmp_file(int header, int width, int height, int depth, int compression, const std::string& colours,
                            const std::string& rows, int gap = 0) {
  std::string info = number_of(header, 4);
  if (header == 12) {
    info += number_of(width, 2) + number_of(height, 2) + number_of(1, 2) + number_of(depth, 2);
  } else {
    info += number_of(width, 4) + number_of(height, 4) + number_of(1, 2) + number_of(depth, 2) +
            number_of(compression, 4) + std::string(20, '\0');
  }
  info += colours;
  if (header > 40) info.resize(std::max<size_t>(header, info.size()));
  info += std::string(gap, '\7');
  return "BM" + number_of(14 + info.size() + rows.size(), 4) + number_of(0, 4) + number_of(14 + info.size(), 4) + info +
         rows;
}

}  // namespace lookalike

// JPEG by libjpeg-turbo. It warns where it fills in for what is damaged or missing; such warnings are errors here.
#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <new>

#include <jerror.h>
#include <jpeglib.h>

#include "engine/core/error.h"
#include "engine/data/exif.h"
#include "engine/data/image_decode.h"

namespace lookalike {
namespace {

// A progressive file can have any number of scans, each of a few bytes and over all pixels.
constexpr int kMaxScans = 100;

// libjpeg's error handler, which leaves by longjmp: its C code is not built for exceptions to pass through.
struct Handler {
  jpeg_error_mgr base;
  jmp_buf back;
  int code;
  char message[JMSG_LENGTH_MAX];
};

Handler& handler_of(j_common_ptr jpeg) {
  return *reinterpret_cast<Handler*>(jpeg->err);
}

void leave(j_common_ptr jpeg) {
  Handler& handler = handler_of(jpeg);
  handler.code = handler.base.msg_code;
  handler.base.format_message(jpeg, handler.message);
  longjmp(handler.back, 1);
}

void limit_scans(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMaxScans) return;
  Handler& handler = handler_of(jpeg);
  std::snprintf(handler.message, sizeof handler.message, "more than %d scans", kMaxScans);
  longjmp(handler.back, 1);
}

void warn(j_common_ptr jpeg, int level) {
  if (level >= 0) return;  // what it reads, in words
  switch (jpeg->err->msg_code) {
    // What whole pictures of cameras and phones have: bytes before a marker (webcams pad so), the parameters of a
    // progressive scan in a sequential one, versions of markers that it doesn't know.
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
      return;
    default:
      leave(jpeg);
  }
}

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {
    jpeg_.err = jpeg_std_error(&handler_.base);
    handler_.base.error_exit = leave;
    handler_.base.emit_message = warn;
    progress_.progress_monitor = limit_scans;
  }
  ~Decoder() { jpeg_destroy_decompress(&jpeg_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Objects with a destructor must not live in these two, since longjmp passes over them. False on an error.
  bool read_header() {
    if (setjmp(handler_.back)) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }
  // `to` holds height * width * channels of the wanted color space.
  bool read_pixels(J_COLOR_SPACE wanted, uint8_t* to) {
    if (setjmp(handler_.back)) return false;
    jpeg_.out_color_space = wanted;
    jpeg_start_decompress(&jpeg_);
    const size_t row = size_t{jpeg_.output_width} * jpeg_.output_components;
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW rows[8];
      const JDIMENSION count = std::min<JDIMENSION>(std::size(rows), jpeg_.output_height - jpeg_.output_scanline);
      for (JDIMENSION i = 0; i < count; i++) rows[i] = to + (jpeg_.output_scanline + i) * row;
      jpeg_read_scanlines(&jpeg_, rows, count);
    }
    jpeg_finish_decompress(&jpeg_);  // which reads to the end-of-image marker
    return true;
  }

  const jpeg_decompress_struct& jpeg() const { return jpeg_; }
  [[noreturn]] void fail_with(const std::string& name) const {
    if (handler_.code == JERR_OUT_OF_MEMORY) throw std::bad_alloc();
    if (handler_.code == JWRN_JPEG_EOF || handler_.code == JERR_INPUT_EOF)
      fail("{}: truncated JPEG, it ends before its end-of-image marker", name);
    fail("{}: damaged JPEG ({})", name, handler_.message);
  }
  int orientation() const {
    for (auto* marker = jpeg_.marker_list; marker; marker = marker->next) {
      const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
      if (data.starts_with(std::string_view("Exif\0\0", 6))) return exif_orientation(data);
    }
    return 1;
  }

 private:
  std::string_view bytes_;
  Handler handler_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct jpeg_{};
};

// Adobe stores the four inks inverted, so that what is left of the light is a product.
Image from_inks(const std::vector<uint8_t>& inks, int64_t height, int64_t width, int64_t channels) {
  std::vector<uint8_t> rgb(height * width * 3);
  for (int64_t i = 0; i < height * width; i++)
    for (int c = 0; c < 3; c++) rgb[3 * i + c] = (inks[4 * i + c] * inks[4 * i + 3] + 127) / 255;
  return with_channels({height, width, 3, std::move(rgb)}, channels);
}

}  // namespace

Image decode_jpeg(std::string_view bytes, int64_t channels, const std::string& name) {
  Decoder decoder(bytes);
  if (!decoder.read_header()) decoder.fail_with(name);
  const jpeg_decompress_struct& jpeg = decoder.jpeg();
  const int64_t height = jpeg.image_height, width = jpeg.image_width;
  check_size(width, height, name);
  check(!jpeg.arith_code, "{}: a JPEG with arithmetic coding, which is not read; expected Huffman coding", name);
  // Each block of 8 x 8 pixels takes a bit at least.
  check(width * height / 512 <= std::ssize(bytes), "{}: truncated JPEG, {} bytes for {} x {} pixels", name,
        bytes.size(), width, height);
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  check(!inks || jpeg.saw_Adobe_marker,
        "{}: JPEG of four channels without the Adobe marker that says which, expected grey, RGB or Adobe CMYK", name);
  check(inks || jpeg.jpeg_color_space != JCS_UNKNOWN, "{}: JPEG of {} channels, expected grey, RGB or Adobe CMYK", name,
        jpeg.num_components);

  const int orientation = decoder.orientation();  // libjpeg drops the markers when it is done
  Image image{height, width, channels, std::vector<uint8_t>(height * width * (inks ? 4 : channels))};
  if (!decoder.read_pixels(inks ? JCS_CMYK : channels == 3 ? JCS_RGB : JCS_GRAYSCALE, image.pixels.data()))
    decoder.fail_with(name);
  if (inks) image = from_inks(image.pixels, height, width, channels);
  return upright(std::move(image), orientation);
}

}  // namespace lookalike

// WebP by libwebp.
#include "engine/core/error.h"
#include "engine/data/image_decode.h"

#ifdef LOOKALIKE_HAS_WEBP
#include <cerrno>
#include <memory>
#include <new>

#include <webp/decode.h>
#include <webp/demux.h>

#include "engine/data/exif.h"
#endif

namespace lookalike {

#ifdef LOOKALIKE_HAS_WEBP
Image decode_webp(std::string_view bytes, int64_t channels, const std::string& name) {
  constexpr size_t kHeader = 12;
  check(bytes.size() >= kHeader && bytes.size() - 8 >= little_endian(bytes, 4, 4),
        "{}: truncated WebP, it ends before the size that it begins with", name);
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  // For the library damage and want of memory are one; malloc tells them apart.
  errno = 0;
  const auto expect = [&](bool good, const char* wrong) {
    if (!good && errno == ENOMEM) throw std::bad_alloc();
    check(good, "{}: damaged WebP, {}", name, wrong);
  };
  WebPBitstreamFeatures features;
  expect(WebPGetFeatures(data, bytes.size(), &features) == VP8_STATUS_OK, "its header is wrong");
  const int64_t height = features.height, width = features.width;
  check_size(width, height, name);

  const WebPData file{data, bytes.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> parts(WebPDemux(&file), WebPDemuxDelete);
  expect(parts != nullptr, "its parts do not fit together");
  int orientation = 1;
  WebPChunkIterator exif;
  if (WebPDemuxGetChunk(parts.get(), "EXIF", 1, &exif))
    orientation = exif_orientation({reinterpret_cast<const char*>(exif.chunk.bytes), exif.chunk.size});
  WebPDemuxReleaseChunkIterator(&exif);

  Image image;
  if (features.has_animation) {
    const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> animation(WebPAnimDecoderNew(&file, nullptr),
                                                                                 WebPAnimDecoderDelete);
    uint8_t* pixels;
    int time;
    expect(animation != nullptr && WebPAnimDecoderGetNext(animation.get(), &pixels, &time),
           "its first picture can't be read");
    image = flattened(pixels, height, width, 4, channels);
  } else {
    const int64_t found = features.has_alpha ? 4 : 3;
    std::vector<uint8_t> pixels(height * width * found);
    const auto decode = features.has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    expect(decode(data, bytes.size(), pixels.data(), pixels.size(),
                  static_cast<int>(width * found)) != nullptr,
           "its picture can't be read");
    image = found == 3 ? with_channels({height, width, 3, std::move(pixels)}, channels)
                       : flattened(pixels.data(), height, width, found, channels);
  }
  return upright(std::move(image), orientation);
}
#else
Image decode_webp(std::string_view, int64_t, const std::string& name) {
  fail("{}: a WebP picture, which this build does not read for want of libwebp; expected a JPEG, PNG, GIF or BMP file",
       name);
}
#endif

}  // namespace lookalike

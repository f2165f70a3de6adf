// WebP by libwebp.
#include "engine/core/error.h"
#include "engine/data/image_decode.h"

#ifdef LOOKALIKE_HAS_WEBP
#include <memory>

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
  WebPBitstreamFeatures features;
  check(WebPGetFeatures(data, bytes.size(), &features) == VP8_STATUS_OK, "{}: damaged WebP, its header is wrong", name);
  const int64_t height = features.height, width = features.width;
  check_size(width, height, name);

  const WebPData file{data, bytes.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> parts(WebPDemux(&file), WebPDemuxDelete);
  check(parts != nullptr, "{}: damaged WebP, its parts do not fit together", name);
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
    check(animation != nullptr && WebPAnimDecoderGetNext(animation.get(), &pixels, &time),
          "{}: damaged WebP, its first picture can't be read", name);
    image = flattened(pixels, height, width, 4, channels);
  } else {
    const int64_t found = features.has_alpha ? 4 : 3;
    std::vector<uint8_t> pixels(height * width * found);
    const auto decode = features.has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    check(decode(data, bytes.size(), pixels.data(), pixels.size(), static_cast<int>(width * found)) != nullptr,
          "{}: damaged WebP, its picture can't be read", name);
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

// Draws emoji from a colour font of bitmaps (CBDT, such as Noto Color Emoji) with FreeType.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/image.h"

struct FT_FaceRec_;
struct FT_LibraryRec_;

namespace lookalike {

class EmojiFont {
 public:
  // Error when `path` is no font, or one without colour bitmaps.
  explicit EmojiFont(const std::string& path);

  // The one glyph that these code points make, on white, centred in size x size pixels; nothing when the font has no
  // such glyph. Several code points make one glyph when the font lists them, as they are, as a ligature: keycaps do.
  std::optional<Image> draw(const std::vector<uint32_t>& code_points, int64_t size) const;

 private:
  std::string path_;
  std::shared_ptr<FT_LibraryRec_> library_;
  std::shared_ptr<FT_FaceRec_> face_;
  std::vector<uint8_t> substitutions_;  // the font's GSUB table; empty without one
};

}  // namespace lookalike

#include "engine/data/emoji_font.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_TRUETYPE_TABLES_H
#include FT_TRUETYPE_TAGS_H

#include "engine/core/error.h"
#include "engine/data/ligature.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

// FreeType's PNG reader takes want of memory for a damaged picture; malloc tells them apart.
bool works(FT_Error error) {
  if (error == FT_Err_Out_Of_Memory || (error != 0 && errno == ENOMEM)) throw std::bad_alloc();
  return error == 0;
}

}  // namespace

EmojiFont::EmojiFont(const std::string& path) : path_(path) {
  InputFile{path};  // or FreeType would wait for what a pipe brings
  FT_Library library = nullptr;
  errno = 0;
  check(works(FT_Init_FreeType(&library)), "FreeType does not start");
  library_ = {library, FT_Done_FreeType};
  FT_Face face = nullptr;
  check(works(FT_New_Face(library, path.c_str(), 0, &face)), "{}: cannot be read as a font", path);
  // The face goes before its library.
  face_ = {face, [library = library_](FT_Face f) { FT_Done_Face(f); }};
  check(FT_HAS_COLOR(face) && face->num_fixed_sizes > 0 && works(FT_Select_Size(face, 0)),
        "{}: expected a font of colour bitmaps", path);
  FT_ULong bytes = 0;
  const FT_Error error = FT_Load_Sfnt_Table(face, TTAG_GSUB, 0, nullptr, &bytes);
  if (error == FT_Err_Table_Missing) return;
  check(works(error), "{}: damaged GSUB table", path);
  substitutions_.resize(bytes);
  check(works(FT_Load_Sfnt_Table(face, TTAG_GSUB, 0, substitutions_.data(), &bytes)),
        "{}: damaged GSUB table", path);
}

std::optional<Image> EmojiFont::draw(const std::vector<uint32_t>& code_points, int64_t size) const {
  std::vector<uint32_t> glyphs;
  for (const uint32_t code_point : code_points) glyphs.push_back(FT_Get_Char_Index(face_.get(), code_point));
  if (glyphs.empty() || std::find(glyphs.begin(), glyphs.end(), 0) != glyphs.end()) return {};
  const uint32_t glyph = glyphs.size() == 1 ? glyphs[0] : find_ligature(substitutions_, glyphs, path_);
  if (glyph == 0) return {};
  errno = 0;
  const FT_Error error = FT_Load_Glyph(face_.get(), glyph, FT_LOAD_COLOR);
  if (error == FT_Err_Missing_Bitmap) return {};
  check(works(error), "{}: glyph {} is damaged (FreeType's error {})", path_, glyph, error);
  const FT_Bitmap& bitmap = face_->glyph->bitmap;
  if (bitmap.pixel_mode != FT_PIXEL_MODE_BGRA || bitmap.rows == 0 || bitmap.width == 0) return {};

  const int64_t height = bitmap.rows, width = bitmap.width;
  std::vector<uint8_t> rgba(height * width * 4);
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++) {
      const uint8_t* bgra = bitmap.buffer + y * bitmap.pitch + x * 4;
      const uint8_t pixel[4] = {bgra[2], bgra[1], bgra[0], bgra[3]};
      std::copy_n(pixel, 4, &rgba[(y * width + x) * 4]);
    }
  const double scale = static_cast<double>(size) / std::max(height, width);
  const Image drawn = resize(on_white(rgba.data(), height, width, true), std::max<int64_t>(1, height * scale + 0.5),
                             std::max<int64_t>(1, width * scale + 0.5));
  Image image{size, size, 3, std::vector<uint8_t>(size * size * 3, 255)};
  const int64_t top = (size - drawn.height) / 2, left = (size - drawn.width) / 2;
  for (int64_t y = 0; y < drawn.height; y++)
    std::copy_n(&drawn.pixels[y * drawn.width * 3], drawn.width * 3, &image.pixels[((top + y) * size + left) * 3]);
  return image;
}

}  // namespace lookalike

// The ligatures of a font: glyphs that stand for a sequence of others.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace lookalike {

// The glyph that `glyphs`, one or more, make by a font's GSUB table; 0 where they make none or the table
// is empty. Error that names the font, `path`, on a damaged table.
uint32_t find_ligature(std::span<const uint8_t> table, std::span<const uint32_t> glyphs, const std::string& path);

}  // namespace lookalike

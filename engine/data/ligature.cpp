#include "engine/data/ligature.h"

#include "engine/core/error.h"

namespace lookalike {

// OpenType specification, GSUB: lookups of type 4 hold, for each first glyph that a coverage table lists, the ligatures
// that begin with it.
uint32_t find_ligature(std::span<const uint8_t> table, std::span<const uint32_t> glyphs, const std::string& path) {
  constexpr uint32_t kLigatures = 4;
  if (table.empty()) return 0;
  // Offsets of a hostile table can lead to the same bytes without end.
  auto left = static_cast<int64_t>(16 * table.size());
  const auto u16 = [&](size_t at) -> uint32_t {
    check(left-- > 0 && at + 2 <= table.size(), "{}: damaged GSUB table", path);
    return table[at] << 8 | table[at + 1];
  };
  // The place of the first glyph in a coverage table, or -1.
  const auto place_in = [&](size_t coverage) -> int64_t {
    const bool ranges = u16(coverage) == 2;
    for (uint32_t i = 0; i < u16(coverage + 2); i++) {
      if (!ranges && u16(coverage + 4 + 2 * i) == glyphs[0]) return i;
      const size_t range = coverage + 4 + 6 * i;
      if (ranges && u16(range) <= glyphs[0] && glyphs[0] <= u16(range + 2))
        return u16(range + 4) + glyphs[0] - u16(range);
    }
    return -1;
  };
  const size_t lookups = u16(8);
  for (uint32_t i = 0; i < u16(lookups); i++) {
    const size_t lookup = lookups + u16(lookups + 2 + 2 * i);
    if (u16(lookup) != kLigatures) continue;
    for (uint32_t j = 0; j < u16(lookup + 4); j++) {
      const size_t subtable = lookup + u16(lookup + 6 + 2 * j);
      const int64_t place = place_in(subtable + u16(subtable + 2));
      if (place < 0) continue;
      const size_t set = subtable + u16(subtable + 6 + 2 * place);
      for (uint32_t k = 0; k < u16(set); k++) {
        const size_t entry = set + u16(set + 2 + 2 * k);
        bool fits = u16(entry + 2) == glyphs.size();
        for (size_t g = 1; fits && g < glyphs.size(); g++) fits = u16(entry + 2 + 2 * g) == glyphs[g];
        if (fits) return u16(entry);
      }
    }
  }
  return 0;
}

}  // namespace lookalike

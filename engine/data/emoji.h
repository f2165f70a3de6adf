// The emoji pairs: two artists drew the same thing. Left is Noto Color Emoji from Debian's fonts-noto-color-emoji,
// right the EmojiOne pictures of Debian's ruby-gemojione, paired by code point: a small, freely licensed stand-in for
// Totally-Looks-Like that anybody can install. Up to 64 pixels the latter are its PNG files, larger ones librsvg draws.
#pragma once

#include <cstdint>
#include <string>

namespace lookalike {

struct EmojiOptions {
  std::string out;
  int64_t size = 64;      // pixels, both ways
  std::string font;       // where Debian has it, if empty
  std::string gemojione;  // folder with its pictures in png/ (64 pixels) and svg/; where Debian has it, if empty
};

// Writes `out` in the pairs layout, every emoji that both have as one glyph, without skin tones and flags, named by
// code point; returns how many. `out` appears whole or not at all. Error when it exists, or naming the package that is
// missing.
int64_t make_emoji_pairs(const EmojiOptions& options);

}  // namespace lookalike

#include "engine/data/emoji.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include <unistd.h>

#include "engine/core/error.h"
#include "engine/data/emoji_font.h"
#include "engine/data/image.h"
#include "engine/data/pairs.h"
#include "engine/io/atomic_file.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFont = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
constexpr const char* kGems = "/usr/share/rubygems-integration/all/gems";
constexpr const char* kAttribution =
    "left/: Noto Color Emoji, Google, SIL Open Font License 1.1 (images also Apache License 2.0)\n"
    "right/: EmojiOne, https://www.emojione.com, CC BY-SA 4.0, as packaged in ruby-gemojione\n"
    "Both were laid on white and scaled.\n";

fs::path gemojione_folder() {
  std::vector<fs::path> found;
  if (fs::is_directory(kGems))
    for (const auto& gem : fs::directory_iterator(kGems))
      if (gem.path().filename().string().starts_with("gemojione-") && fs::is_directory(gem.path() / "assets/png"))
        found.push_back(gem.path() / "assets/png");
  check(!found.empty(), "the EmojiOne pictures are not installed, expected {}/gemojione-*/assets/png: {}", kGems,
        "apt-get install ruby-gemojione");
  return *std::max_element(found.begin(), found.end());
}

// "0023-20E3" to {0x23, 0x20E3}; nothing for another kind of name.
std::optional<std::vector<uint32_t>> code_points_of(const std::string& name) {
  std::vector<uint32_t> result;
  for (const char *at = name.data(), *end = at + name.size();;) {
    uint32_t value = 0;
    const auto [stop, error] = std::from_chars(at, end, value, 16);
    if (error != std::errc() || value > 0x10FFFF) return {};
    result.push_back(value);
    if (stop == end) return result;
    if (*stop != '-') return {};
    at = stop + 1;
  }
}

bool is_flag_or_skin_tone(uint32_t code_point) {
  return (code_point >= 0x1F1E6 && code_point <= 0x1F1FF) || (code_point >= 0x1F3FB && code_point <= 0x1F3FF);
}

}  // namespace

int64_t make_emoji_pairs(const EmojiOptions& options) {
  check(options.size >= 1 && options.size <= 1024, "size {}, expected from 1 to 1024 pixels", options.size);
  fs::path out = fs::path(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();  // "DIR/" is "DIR"
  check(!fs::exists(out), "{}: already exists, expected a new folder", options.out);
  const std::string font_path = options.font.empty() ? kFont : options.font;
  check(fs::exists(font_path), "{}: no such font: apt-get install fonts-noto-color-emoji", font_path);
  const EmojiFont font(font_path);
  const fs::path pictures = options.gemojione.empty() ? gemojione_folder() : fs::path(options.gemojione);

  // Made beside its place and renamed, so that a reader never sees half of it.
  const fs::path temporary = fmt::format("{}.{}.tmp", out.string(), getpid());
  const struct Cleanup {
    fs::path path;
    ~Cleanup() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } cleanup{temporary};
  fs::create_directories(temporary / "left");
  fs::create_directories(temporary / "right");

  std::vector<Pair> pairs;
  for (const std::string& file : ImageFolder(pictures).files()) {
    const auto code_points = code_points_of(fs::path(file).stem());
    if (!code_points || std::any_of(code_points->begin(), code_points->end(), is_flag_or_skin_tone)) continue;
    const auto drawn = font.draw(*code_points, options.size);
    if (!drawn) continue;
    std::string name = fs::path(file).stem();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    write_file_atomically(temporary / "left" / (name + ".png"), encode_png(*drawn));
    write_file_atomically(temporary / "right" / (name + ".png"),
                          encode_png(resize(read_image(pictures / file, 3), options.size, options.size)));
    pairs.push_back({name, name});
  }
  check(!pairs.empty(), "{} and the pictures share no emoji", font_path);
  write_pairs(temporary / "pairs.csv", pairs);
  write_file_atomically(temporary / "ATTRIBUTION.txt", kAttribution);
  fs::rename(temporary, out);
  return std::ssize(pairs);
}

}  // namespace lookalike

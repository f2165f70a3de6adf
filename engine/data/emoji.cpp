#include "engine/data/emoji.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include <unistd.h>

#include "engine/core/error.h"
#include "engine/core/progress.h"
#include "engine/data/emoji_font.h"
#include "engine/data/image.h"
#include "engine/data/image_files.h"
#include "engine/data/pairs.h"
#include "engine/io/atomic_file.h"
#include "engine/io/child_process.h"
#include "engine/io/input_file.h"
#include "engine/io/scratch_folder.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFont = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
constexpr const char* kGems = "/usr/share/rubygems-integration/all/gems";
constexpr int64_t kPngSize = 64;  // of gemojione's PNG files
constexpr const char* kAttribution =
    "left/: Noto Color Emoji, Google, SIL Open Font License 1.1 (images also Apache License 2.0)\n"
    "right/: EmojiOne, https://www.emojione.com, CC BY-SA 4.0, as packaged in ruby-gemojione\n"
    "Both were laid on white and scaled.\n";

fs::path gemojione_folder() {
  std::vector<fs::path> found;
  if (fs::is_directory(kGems))
    for (const auto& gem : fs::directory_iterator(kGems))
      if (gem.path().filename().string().starts_with("gemojione-") && fs::is_directory(gem.path() / "assets/png"))
        found.push_back(gem.path() / "assets");
  check(!found.empty(), "the EmojiOne pictures are not installed, expected {}/gemojione-*/assets/png: {}", kGems,
        "apt-get install ruby-gemojione");
  return *std::max_element(found.begin(), found.end());
}

// Has librsvg's program draw an SVG file into a PNG file of `scratch`. The drawing is a copy without
// neighbours, so that it can't have other files read, pipes among them.
fs::path draw_svg(const fs::path& svg, int64_t size, const ScratchFolder& scratch) {
  constexpr int kMostSeconds = 20;  // some take hours
  const fs::path copy = scratch / "drawing.svg", png = scratch / "drawing.png";
  write_file_atomically(copy, read_file(svg));
  const std::string side = std::to_string(size),
                    missing = fmt::format("rsvg-convert is not installed, which draws emoji larger "
                                          "than {} pixels: apt-get install librsvg2-bin",
                                          kPngSize);
  check(run_program({"rsvg-convert", "--width", side, "--height", side, "--output", png, copy},
                    "/dev/null", missing, kMostSeconds),
        "{}: rsvg-convert cannot draw it", svg.string());
  return png;
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

int64_t make_emoji_pairs(const EmojiOptions& options) try {
  check(options.size >= 1 && options.size <= 1024, "size {}, expected from 1 to 1024 pixels", options.size);
  fs::path out = fs::path(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();  // "DIR/" is "DIR"
  check(!fs::exists(out), "{}: already exists, expected a new folder", options.out);
  check_can_write_folder(out);
  const std::string font_path = options.font.empty() ? kFont : options.font;
  check(fs::exists(font_path), "{}: no such font: apt-get install fonts-noto-color-emoji", font_path);
  const EmojiFont font(font_path);
  const fs::path assets = options.gemojione.empty() ? gemojione_folder() : fs::path(options.gemojione);
  const fs::path pictures = assets / "png";
  const std::vector<std::string> files = ImageFolder(pictures).files();

  // Made beside its place and renamed, so that a reader never sees half of it.
  if (out.has_parent_path()) make_folders(out.parent_path());
  const Claim claim(out, options.out);
  const ScratchFolder scratch(hidden_beside(out, "folder"));
  const fs::path temporary = scratch / "pairs";
  make_folders(temporary / "left");
  make_folders(temporary / "right");

  std::vector<Pair> pairs;
  ProgressCount progress("drawing", "pictures", std::ssize(files));
  for (const std::string& file : files) {
    progress.add();
    const auto code_points = code_points_of(fs::path(file).stem());
    if (!code_points || std::any_of(code_points->begin(), code_points->end(), is_flag_or_skin_tone)) continue;
    const auto drawn = font.draw(*code_points, options.size);
    if (!drawn) continue;
    std::string name = fs::path(file).stem();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    write_file_atomically(temporary / "left" / (name + ".png"), encode_png(*drawn));
    const fs::path picture =
        options.size <= kPngSize
            ? pictures / file
            : draw_svg(assets / "svg" / fs::path(file).replace_extension("svg"), options.size, scratch);
    write_file_atomically(temporary / "right" / (name + ".png"),
                          encode_png(resize(read_image(picture, 3), options.size, options.size)));
    pairs.push_back({name, name});
  }
  check(!pairs.empty(), "{} and the pictures share no emoji", font_path);
  write_pairs(temporary / "pairs.csv", pairs);
  write_file_atomically(temporary / "ATTRIBUTION.txt", kAttribution);
  check(!fs::exists(out), "{}: was made by another process meanwhile", options.out);
  fs::rename(temporary, out);
  return std::ssize(pairs);
} catch (const fs::filesystem_error& error) {
  fail("{}: {}", error.path1().string(), error.code().message());
}

}  // namespace lookalike

#include "engine/report/page.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/data/image.h"

namespace lookalike {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --line: #d0d7de; --muted: #57606a; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --muted: #9198a1; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; overflow-wrap: anywhere; }
p { margin: 0.25rem 0 1rem; color: var(--muted); overflow-wrap: anywhere; }
.row { display: flex; gap: 1rem; padding: 1rem 0; border-top: 1px solid var(--line); }
.others { display: flex; flex-wrap: wrap; gap: 0.75rem; }
figure { margin: 0; width: 7.5rem; break-inside: avoid; }
figure img, figure .gone { width: 7.5rem; height: 7.5rem; object-fit: contain; display: block;
  border: 1px solid var(--line); border-radius: 4px; box-sizing: border-box; background: #fff; }
figure .gone { display: grid; place-items: center; color: #57606a; text-align: center; }
.first img { border: 2px solid #0969da; }
figcaption { font-size: 0.8rem; line-height: 1.3; overflow-wrap: anywhere; white-space: pre-line; }
@media (max-width: 30rem) { .row { flex-direction: column; } }
)";

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t j = 0; j < 3; j++)
      three = three << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; j++)
      text += i + j <= bytes.size() ? kDigits[three >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

std::string figure(const GalleryTile& tile, std::vector<std::string>& skipped) {
  constexpr int64_t kSide = 160;
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n",
                     thumbnail(tile.path, kSide, skipped), escaped(tile.caption));
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : printable(text, true)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string page(const std::string& title, const std::string& body) {
  return fmt::format(
      "{}<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n{}</body>\n</html>\n",
      kPageBeginning, escaped(title), kStyle, escaped(title), body);
}

std::string thumbnail(const std::string& path, int64_t side, std::vector<std::string>& skipped) {
  try {
    const Image image = read_image(path, 3);
    const double scale = std::min(
        1.0, static_cast<double>(side) / static_cast<double>(std::max(image.height, image.width)));
    const auto scaled = [&](int64_t length) {
      return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(length) * scale));
    };
    const Image small = resize(image, scaled(image.height), scaled(image.width));
    return fmt::format("<img loading=\"lazy\" alt=\"{}\" src=\"data:image/jpeg;base64,{}\">",
                       escaped(path), base64(encode_jpeg(small)));
  } catch (const Error& error) {
    skipped.push_back(error.what());
    return "<div class=\"gone\">cannot be read</div>";
  }
}

std::string gallery_page(const std::string& title, const std::string& about,
                         const std::vector<GalleryRow>& rows, std::vector<std::string>& skipped) {
  std::string body;
  int64_t left = kMostTiles, missing = 0;
  for (const GalleryRow& row : rows) {
    const int64_t shown = std::clamp<int64_t>(left - 1, 0, std::ssize(row.others));
    missing += std::ssize(row.others) - shown + (left < 1);
    if (left < 1) continue;
    left -= 1 + shown;
    body += "<section class=\"row\">\n<div class=\"first\">" + figure(row.first, skipped) +
            "</div>\n<div class=\"others\">\n";
    for (const GalleryTile& tile : std::span(row.others).first(shown))
      body += figure(tile, skipped);
    body += "</div>\n</section>\n";
  }
  const std::string note =
      missing > 0 ? fmt::format(" {} more pictures have no room on this page.", missing) : "";
  return page(title, fmt::format("<p>{}{}</p>\n", escaped(about), note) + body);
}

}  // namespace lookalike

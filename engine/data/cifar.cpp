#include "engine/data/cifar.h"

#include <filesystem>
#include <sstream>

#include "engine/core/error.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

constexpr int64_t kSide = 32, kPlane = kSide * kSide;

std::vector<std::string> read_names(const std::string& path, int64_t classes) {
  std::vector<std::string> names;
  if (!is_there(path)) {
    for (int64_t i = 0; i < classes; i++) names.push_back(fmt::format("{}", i));
    return names;
  }
  std::istringstream lines(read_file(path));
  lines.exceptions(std::ios::badbit);  // else a lack of memory would end the list early
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  check(std::ssize(names) == classes, "{}: {} names, expected {}, one a line", path, names.size(), classes);
  return names;
}

}  // namespace

RawImages read_cifar(std::span<const std::string> files, const std::string& names, int64_t labels, int64_t classes) {
  RawImages raw{.height = kSide, .width = kSide, .channels = 3, .classes = read_names(names, classes)};
  const int64_t record_size = labels + 3 * kPlane;
  std::vector<uint8_t> record(record_size);
  for (const std::string& path : files) {
    const InputFile file(path);
    check(file.size() > 0 && file.size() % record_size == 0, "{}: {} bytes, expected records of {}", path, file.size(),
          record_size);
    const int64_t count = file.size() / record_size, begin = std::ssize(raw.labels);
    raw.pixels.resize((begin + count) * raw.image_size());
    for (int64_t i = 0; i < count; i++) {
      file.read(i * record_size, record.data(), record_size);
      const int64_t label = record[labels - 1];
      check(label < classes, "{}: record {} has label {}, expected less than {}", path, i, label, classes);
      raw.labels.push_back(static_cast<int32_t>(label));
      uint8_t* to = &raw.pixels[(begin + i) * raw.image_size()];
      for (int64_t pixel = 0; pixel < kPlane; pixel++)
        for (int c = 0; c < 3; c++) to[3 * pixel + c] = record[labels + c * kPlane + pixel];
    }
  }
  return raw;
}

}  // namespace lookalike

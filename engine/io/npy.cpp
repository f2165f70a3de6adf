#include "engine/io/npy.h"

#include <bit>
#include <limits>
#include <regex>
#include <string>

#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"

namespace lookalike {
namespace {

static_assert(std::endian::native == std::endian::little, "'<f4' is little-endian");

// Magic, version 1.0; then two bytes of header length and the header, a Python dictionary that ends in a newline.
constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr int64_t kPrefix = 10;

// (), (3,), (3, 4): as Python writes a tuple.
std::string tuple_of(const Shape& shape) {
  std::string text = "(";
  for (int axis = 0; axis < shape.rank(); axis++) text += fmt::format("{}{}", axis ? ", " : "", shape[axis]);
  return text + (shape.rank() == 1 ? ",)" : ")");
}

}  // namespace

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  check(tensor.dtype() == DType::f32, "'{}': array of {}, expected f32", path.string(), name_of(tensor.dtype()));
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}", tuple_of(tensor.shape()));
  // The format asks for elements that start at a multiple of 64.
  header.resize((kPrefix + header.size() + 1 + 63) / 64 * 64 - kPrefix - 1, ' ');
  header += '\n';
  AtomicFile file(path);
  file.write(kMagic);
  const uint16_t length = static_cast<uint16_t>(header.size());
  file.write(&length, sizeof length);
  file.write(header);
  file.write(tensor.raw(), tensor.bytes());
  file.commit();
}

Tensor read_npy(const std::filesystem::path& path) {
  const InputFile file(path);
  const std::string name = path.string();
  std::string prefix(kPrefix, '\0');
  check(file.size() >= kPrefix, "'{}': {} bytes are too few for a .npy file", name, file.size());
  file.read(0, prefix.data(), kPrefix);
  check(prefix.starts_with(kMagic), "'{}': not a .npy file of version 1.0", name);
  const int64_t length = static_cast<uint8_t>(prefix[8]) | static_cast<uint8_t>(prefix[9]) << 8;
  check(length <= file.size() - kPrefix, "'{}': header of {} bytes in a file of {}", name, length, file.size());
  std::string header(length, '\0');
  file.read(kPrefix, header.data(), length);

  // NumPy writes the keys in this order, in every version so far.
  static const std::regex pattern(
      R"(\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,18}), (\d{1,18})\), \}\s*)");
  std::smatch match;
  // std::regex recurses over its input, so its length is capped.
  check(header.size() <= 1024 && std::regex_match(header, match, pattern),
        "'{}': expected a two-dimensional float32 array in row-major order", name);
  const Shape shape{std::stoll(match[1]), std::stoll(match[2])};
  const int64_t data = file.size() - kPrefix - length;
  check(data % 4 == 0 && data / 4 == shape.size(), "'{}': {} bytes of data for shape {} of f32", name, data, shape);
  Tensor tensor(shape);
  file.read(kPrefix + length, tensor.raw(), tensor.bytes());
  return tensor;
}

}  // namespace lookalike

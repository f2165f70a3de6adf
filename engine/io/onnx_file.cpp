#include "engine/io/onnx_file.h"

#include <string_view>
#include <vector>

#include "engine/io/input_file.h"
#include "engine/io/weight_file.h"

namespace lookalike {
namespace {

// Numbers of the fields (onnx.proto).
constexpr uint64_t kModelGraph = 7, kGraphInitializer = 5;
enum TensorField : uint64_t {
  kDims = 1,
  kDataType = 2,
  kFloatData = 4,
  kInt32Data = 5,
  kInt64Data = 7,
  kName = 8,
  kRawData = 9,
  kDoubleData = 10,
  kExternalData = 13,
  kDataLocation = 14,
};

// One message; next() takes its fields in turn.
class Message {
 public:
  Message(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  uint64_t field = 0;
  bool is_bytes = false, is_number = false;  // what the wire holds: bytes, or a number of variable length
  uint64_t value = 0;
  std::string_view content;  // of bytes, and of a number of four or eight bytes

  bool next() {
    if (bytes_.empty()) return false;
    const uint64_t tag = take_number();
    field = tag >> 3;
    is_bytes = is_number = false;
    switch (tag & 7) {
      case 0:
        is_number = true;
        value = take_number();
        break;
      case 1:
        content = take(8);
        break;
      case 2:
        is_bytes = true;
        content = take(take_number());
        break;
      case 5:
        content = take(4);
        break;
      default:
        fail("'{}': not an ONNX file, or damaged", path_);
    }
    return true;
  }

  uint64_t take_number() {
    uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      result |= uint64_t{byte & 127u} << shift;
      if (byte < 128) return result;
    }
    fail("'{}': not an ONNX file, or damaged", path_);
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view take(uint64_t count) {
    check(count <= bytes_.size(), "'{}': not an ONNX file, or cut off", path_);
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }

  std::string_view bytes_;
  const std::string& path_;
};

const FileType* find_type(uint64_t data_type) {
  static const std::map<uint64_t, FileType> types{{1, kF32}, {2, kU8},   {6, kI32},  {7, kI64},
                                                  {9, kU8},  {10, kF16}, {11, kF64}, {16, kBF16}};
  const auto it = types.find(data_type);
  return it == types.end() ? nullptr : &it->second;
}

// Calls use(number) for each number of a field, which stand one by one, or packed into bytes.
template <class Use>
void for_each_number(const Message& message, const std::string& path, const Use& use) {
  if (message.is_number) use(message.value);
  if (!message.is_bytes) return;
  for (Message packed(message.content, path); !packed.empty();) use(packed.take_number());
}

void read_initializer(std::string_view bytes, const std::string& path, TensorBudget& budget, TensorFile& result) {
  std::string name;
  std::vector<int64_t> extents;
  uint64_t data_type = 0;
  bool external = false;
  for (Message tensor(bytes, path); tensor.next();) {
    if (tensor.field == kDims)
      for_each_number(tensor, path, [&](uint64_t extent) {
        // One more than there may be says that there are too many.
        if (std::ssize(extents) <= Shape::kMaxRank) extents.push_back(static_cast<int64_t>(extent));
      });
    if (tensor.field == kDataType) data_type = tensor.value;
    if (tensor.field == kName) name = tensor.content;
    external |= tensor.field == kExternalData || (tensor.field == kDataLocation && tensor.value != 0);
  }
  const std::string shown = show_name(name);
  check(!external, "'{}': the elements of {} are in another file; expected a model in one file", path, shown);
  const FileType* type = find_type(data_type);
  check(type, "'{}': {} has elements of type {}, which can't be read", path, shown, data_type);
  Shape shape;
  try {
    shape = Shape(extents);
  } catch (const Error& error) {
    fail("'{}': {}: {}", path, shown, error.what());
  }
  budget.take(shape, type->dtype, fmt::format("'{}': {}", path, shown));

  // The elements, now that it is known how many bytes they take.
  std::string elements;
  int64_t bytes_there = 0;
  const int64_t expected = shape.size() * type->size;
  const auto append = [&](std::string_view part) {
    bytes_there += std::ssize(part);
    if (bytes_there <= expected) elements += part;
  };
  elements.reserve(expected);
  for (Message tensor(bytes, path); tensor.next();) {
    if (tensor.field == kFloatData || tensor.field == kDoubleData || tensor.field == kRawData) append(tensor.content);
    if (tensor.field == kInt32Data || tensor.field == kInt64Data)
      for_each_number(tensor, path, [&](uint64_t value) {
        append({reinterpret_cast<const char*>(&value), static_cast<size_t>(type->size)});
      });
  }
  check(bytes_there == expected, "'{}': {}: {} bytes for shape {}", path, shown, bytes_there, shape);
  check(result.tensors.emplace(name, tensor_from_file(elements.data(), shape, *type)).second,
        "'{}': the model has {} twice", path, shown);
}

}  // namespace

TensorFile read_onnx(const std::filesystem::path& path) {
  const std::string bytes = read_file(path), name = path.string();
  TensorFile result;
  TensorBudget budget(std::ssize(bytes));
  for (Message model(bytes, name); model.next();) {
    if (model.field != kModelGraph || !model.is_bytes) continue;
    for (Message graph(model.content, name); graph.next();) {
      if (graph.field == kGraphInitializer && graph.is_bytes) read_initializer(graph.content, name, budget, result);
    }
  }
  check(!result.tensors.empty(), "'{}': not an ONNX model, or one without weights", name);
  return result;
}

}  // namespace lookalike

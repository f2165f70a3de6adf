#include "engine/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "engine/io/input_file.h"
#include "engine/io/weight_file.h"

namespace lookalike {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

constexpr const char* kMetadata = "__metadata__";
// The format's own cap on the header.
constexpr int64_t kMaxHeaderBytes = 100'000'000;

// Element types of the format; those with a `dtype` can be read, and the first one of each dtype is written.
struct ElementType {
  const char* name;
  int64_t size;
  std::optional<DType> dtype;
};
constexpr ElementType kElementTypes[] = {
    {"F64", 8, DType::f64},  {"F32", 4, DType::f32}, {"F16", 2, DType::f32}, {"BF16", 2, DType::f32},
    {"I64", 8, DType::i64},  {"I32", 4, DType::i32}, {"U8", 1, DType::u8},   {"I16", 2, std::nullopt},
    {"I8", 1, std::nullopt}, {"U64", 8, {}},         {"U32", 4, {}},         {"U16", 2, {}},
    {"BOOL", 1, {}},         {"F8_E4M3", 1, {}},     {"F8_E5M2", 1, {}},
};

const ElementType* find_element_type(const std::string& name) {
  const auto* found = std::ranges::find(kElementTypes, name, &ElementType::name);
  return found == std::end(kElementTypes) ? nullptr : found;
}

const char* format_name(DType dtype) {
  return std::ranges::find(kElementTypes, std::optional(dtype), &ElementType::dtype)->name;
}

// A name from a file, fit for one line of a message.
std::string in_quotes(const std::string& name) {
  return json(name).dump();
}

// The JSON of the header. The library keeps the last of two equal keys and nests as deep as the text does; here both
// are errors.
json parse_json(const std::string& text, const std::string& path) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    check(depth <= 3, "'{}': header is nested too deeply", path);
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key)
      check(keys.back().insert(parsed.get<std::string>()).second, "'{}': header has {} twice", path, parsed.dump());
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& error) {
    fail("'{}': header is not valid JSON (at its byte {})", path, error.byte);
  } catch (const json::exception&) {
    fail("'{}': header holds a number out of range", path);
  }
}

int64_t parse_count(const json& value, const std::string& path, const std::string& name, const char* what) {
  check(value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()},
        "'{}': tensor {}: {} is not a list of whole numbers", path, in_quotes(name), what);
  return value.get<int64_t>();
}

TensorEntry parse_entry(const json& value, const std::string& path, const std::string& name) {
  const auto wrong = [&](const char* what) { fail("'{}': tensor {}: {}", path, in_quotes(name), what); };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets"))
    wrong("entry is not an object of dtype, shape and data_offsets");
  if (!value["dtype"].is_string()) wrong("dtype is not a string");
  if (!value["shape"].is_array()) wrong("shape is not a list of whole numbers");
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) wrong("data_offsets is not a list of two whole numbers");

  TensorEntry entry;
  entry.dtype = value["dtype"].get<std::string>();
  std::vector<int64_t> extents;
  for (const json& extent : value["shape"]) extents.push_back(parse_count(extent, path, name, "shape"));
  try {
    entry.shape = Shape(extents);
  } catch (const Error& error) {
    wrong(error.what());
  }
  entry.begin = parse_count(offsets[0], path, name, "data_offsets");
  entry.end = parse_count(offsets[1], path, name, "data_offsets");

  const ElementType* type = find_element_type(entry.dtype);
  check(type, "'{}': tensor {}: element type {} is unknown", path, in_quotes(name), in_quotes(entry.dtype));
  check(entry.begin <= entry.end, "'{}': tensor {}: data_offsets [{}, {}] run backwards", path, in_quotes(name),
        entry.begin, entry.end);
  const int64_t bytes = entry.end - entry.begin;
  check(bytes % type->size == 0 && bytes / type->size == entry.shape.size(),
        "'{}': tensor {}: {} bytes of data for shape {} of {}", path, in_quotes(name), bytes, entry.shape, entry.dtype);
  return entry;
}

SafetensorsHeader read_header(const InputFile& file) {
  const std::string path = file.path().string();
  check(file.size() >= 8, "'{}': {} bytes are too few for a safetensors file", path, file.size());
  uint64_t length;
  file.read(0, &length, sizeof length);
  check(length <= kMaxHeaderBytes && static_cast<int64_t>(length) <= file.size() - 8,
        "'{}': header length {} does not fit a safetensors file of {} bytes", path, length, file.size());
  std::string text(length, '\0');
  file.read(8, text.data(), static_cast<int64_t>(length));
  const json root = parse_json(text, path);
  check(root.is_object(), "'{}': header is not a JSON object", path);

  SafetensorsHeader header;
  header.data_begin = 8 + static_cast<int64_t>(length);
  for (const auto& [name, value] : root.items()) {
    if (name != kMetadata) {
      header.tensors.emplace(name, parse_entry(value, path, name));
      continue;
    }
    check(value.is_object(), "'{}': {} is not an object", path, kMetadata);
    for (const auto& [key, text] : value.items()) {
      check(text.is_string(), "'{}': {} {} is not a string", path, kMetadata, in_quotes(key));
      header.metadata.emplace(key, text.get<std::string>());
    }
  }

  std::vector<std::tuple<int64_t, int64_t, std::string>> ranges;
  for (const auto& [name, entry] : header.tensors) ranges.emplace_back(entry.begin, entry.end, name);
  std::ranges::sort(ranges);
  int64_t filled = 0;
  for (const auto& [begin, end, name] : ranges) {
    check(begin == filled, "'{}': tensor {}: data starts at byte {}, {} the data before it ends at {}", path,
          in_quotes(name), begin, begin < filled ? "but" : "leaving a gap:", filled);
    filled = end;
    check(filled <= file.size() - header.data_begin, "'{}': tensor {}: data ends at byte {}, but the file holds {}",
          path, in_quotes(name), filled, file.size() - header.data_begin);
  }
  check(filled == file.size() - header.data_begin, "'{}': {} bytes of data, but its tensors have {}", path,
        file.size() - header.data_begin, filled);
  return header;
}

Tensor read_tensor(const InputFile& file, const SafetensorsHeader& header, const std::string& name,
                   const TensorEntry& entry) {
  const ElementType& type = *find_element_type(entry.dtype);
  check(type.dtype.has_value(), "'{}': tensor {}: element type {} can't be read", file.path().string(), in_quotes(name),
        entry.dtype);
  Tensor tensor(entry.shape, *type.dtype);
  if (type.size == size_of(*type.dtype)) {
    file.read(header.data_begin + entry.begin, tensor.raw(), tensor.bytes());
    return tensor;
  }
  std::vector<uint16_t> halves(tensor.size());
  file.read(header.data_begin + entry.begin, halves.data(), entry.end - entry.begin);
  std::ranges::transform(halves, tensor.data<float>(), entry.dtype == "F16" ? float_from_f16 : float_from_bf16);
  return tensor;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
  // Wide elements first, so that each tensor is aligned in the file.
  std::vector<std::pair<std::string, const Tensor*>> order;
  for (const auto& [name, tensor] : file.tensors) {
    check(tensor.defined(), "'{}': tensor {} is undefined", path.string(), name);
    check(name != kMetadata, "'{}': a tensor can't be called {}", path.string(), kMetadata);
    order.emplace_back(name, &tensor);
  }
  std::ranges::stable_sort(order, std::greater{}, [](const auto& item) { return size_of(item.second->dtype()); });

  nlohmann::ordered_json root = nlohmann::ordered_json::object();
  if (!file.metadata.empty()) root[kMetadata] = file.metadata;
  int64_t offset = 0;
  for (const auto& [name, tensor] : order) {
    root[name] = {{"dtype", format_name(tensor->dtype())},
                  {"shape", tensor->shape().extents()},
                  {"data_offsets", {offset, offset + tensor->bytes()}}};
    offset += tensor->bytes();
  }
  std::string header;
  try {
    header = root.dump();
  } catch (const json::type_error&) {
    fail("'{}': tensor names and metadata must be UTF-8", path.string());
  }
  header.resize((header.size() + 7) / 8 * 8, ' ');
  check(static_cast<int64_t>(header.size()) <= kMaxHeaderBytes, "'{}': header of {} bytes, at most {} can be read",
        path.string(), header.size(), +kMaxHeaderBytes);

  AtomicFile out(path);
  const uint64_t length = header.size();
  out.write(&length, sizeof length);
  out.write(header);
  for (const auto& [name, tensor] : order) out.write(tensor->raw(), tensor->bytes());
  out.commit();
}

TensorFile read_safetensors(const std::filesystem::path& path) {
  const InputFile file(path);
  SafetensorsHeader header = read_header(file);
  TensorFile result;
  for (const auto& [name, entry] : header.tensors) result.tensors.emplace(name, read_tensor(file, header, name, entry));
  result.metadata = std::move(header.metadata);
  return result;
}

bool is_safetensors(const std::filesystem::path& path) {
  const InputFile file(path);
  char head[9] = {};
  if (file.size() >= static_cast<int64_t>(sizeof head)) file.read(0, head, sizeof head);
  return head[8] == '{';
}

SafetensorsHeader read_safetensors_header(const std::filesystem::path& path) {
  return read_header(InputFile(path));
}

}  // namespace lookalike

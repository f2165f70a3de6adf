#include "engine/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
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

// Element types of the format. Those with a `dtype` can be read as that; those with a `stored` one
// are written of it, and read as it is on request.
struct ElementType {
  const char* name;
  int64_t size;
  std::optional<DType> dtype, stored = dtype;
};
constexpr ElementType kElementTypes[] = {
    {"F64", 8, DType::f64},  {"F32", 4, DType::f32}, {"F16", 2, DType::f32, DType::f16},
    {"BF16", 2, DType::f32, DType::bf16},
    {"I64", 8, DType::i64},  {"I32", 4, DType::i32}, {"U8", 1, DType::u8},   {"I16", 2, std::nullopt},
    {"I8", 1, std::nullopt}, {"U64", 8, {}},         {"U32", 4, {}},         {"U16", 2, {}},
    {"BOOL", 1, {}},         {"F8_E4M3", 1, {}},     {"F8_E5M2", 1, {}},
};

const ElementType* find_element_type(const std::string& name) {
  const auto* found = std::ranges::find(kElementTypes, name, &ElementType::name);
  return found == std::end(kElementTypes) ? nullptr : found;
}

const char* format_name(DType dtype) {
  return std::ranges::find(kElementTypes, std::optional(dtype), &ElementType::stored)->name;
}

// A name from a file, fit for one line of a message.
std::string in_quotes(const std::string& name) {
  return json(name).dump();
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

  SafetensorsHeader header;
  header.data_begin = 8 + static_cast<int64_t>(length);
  bool has_metadata = false;
  const auto check_fresh = [&](bool fresh, const std::string& name) {
    check(fresh, "'{}': header has {} twice", path, in_quotes(name));
  };
  visit_json_members(text, "'" + path + "': header", [&](const std::string& name, const json& value) {
    if (name != kMetadata) {
      check_fresh(header.tensors.emplace(name, parse_entry(value, path, name)).second, name);
      return;
    }
    check_fresh(!std::exchange(has_metadata, true), name);
    check(value.is_object(), "'{}': {} is not an object", path, kMetadata);
    for (const auto& [key, text] : value.items()) {
      check(text.is_string(), "'{}': {} {} is not a string", path, kMetadata, in_quotes(key));
      header.metadata.emplace(key, text.get<std::string>());
    }
  });

  std::vector<const std::pair<const std::string, TensorEntry>*> order;
  for (const auto& tensor : header.tensors) order.push_back(&tensor);
  std::ranges::sort(order, {}, [](const auto* tensor) {
    return std::tuple(tensor->second.begin, tensor->second.end, std::string_view(tensor->first));
  });
  int64_t filled = 0;
  for (const auto* tensor : order) {
    const auto& [name, entry] = *tensor;
    check(entry.begin == filled, "'{}': tensor {}: data starts at byte {}, {} the data before it ends at {}", path,
          in_quotes(name), entry.begin, entry.begin < filled ? "but" : "leaving a gap:", filled);
    filled = entry.end;
    check(filled <= file.size() - header.data_begin, "'{}': tensor {}: data ends at byte {}, but the file holds {}",
          path, in_quotes(name), filled, file.size() - header.data_begin);
  }
  check(filled == file.size() - header.data_begin, "'{}': {} bytes of data, but its tensors have {}", path,
        file.size() - header.data_begin, filled);
  return header;
}

Tensor read_tensor(const InputFile& file, const SafetensorsHeader& header, const std::string& name,
                   const TensorEntry& entry, bool as_stored = false) {
  const ElementType& type = *find_element_type(entry.dtype);
  check(type.dtype.has_value(), "'{}': tensor {}: element type {} can't be read", file.path().string(), in_quotes(name),
        entry.dtype);
  Tensor tensor(entry.shape, as_stored ? *type.stored : *type.dtype);
  if (type.size == size_of(tensor.dtype())) {
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
  std::map<std::string, TensorParts> tensors;
  for (const auto& [name, tensor] : file.tensors) {
    check(tensor.defined(), "'{}': tensor {} is undefined", path.string(), name);
    tensors.emplace(name, parts_of(tensor));
  }
  AtomicFile out(path);
  write_safetensors(out, tensors, file.metadata);
}

TensorParts parts_of(const Tensor& tensor) {
  return {tensor.dtype(), tensor.shape(), {{tensor.raw(), tensor.bytes()}}};
}

void write_safetensors(AtomicFile& out, const std::map<std::string, TensorParts>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::filesystem::path& path = out.path();
  // Wide elements first, so that each tensor is aligned in the file.
  std::vector<std::pair<std::string, const TensorParts*>> order;
  for (const auto& [name, tensor] : tensors) {
    check(name != kMetadata, "'{}': a tensor can't be called {}", path.string(), kMetadata);
    order.emplace_back(name, &tensor);
  }
  std::ranges::stable_sort(order, std::greater{},
                           [](const auto& item) { return size_of(item.second->dtype); });

  // Member by member, since an ordered object of the library looks for each new key among all
  // before it.
  std::string header;
  const auto add = [&](const std::string& name, const nlohmann::ordered_json& value) {
    header += (header.empty() ? "{" : ",") + json(name).dump() + ":" + value.dump();
  };
  try {
    if (!metadata.empty()) add(kMetadata, metadata);
    int64_t offset = 0;
    for (const auto& [name, tensor] : order) {
      const int64_t end = offset + tensor->shape.size() * size_of(tensor->dtype);
      add(name, {{"dtype", format_name(tensor->dtype)},
                 {"shape", tensor->shape.extents()},
                 {"data_offsets", {offset, end}}});
      offset = end;
    }
  } catch (const json::type_error&) {
    fail("'{}': tensor names and metadata must be UTF-8", path.string());
  }
  header += header.empty() ? "{}" : "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  check(static_cast<int64_t>(header.size()) <= kMaxHeaderBytes, "'{}': header of {} bytes, at most {} can be read",
        path.string(), header.size(), +kMaxHeaderBytes);

  const uint64_t length = header.size();
  out.write(&length, sizeof length);
  out.write(header);
  for (const auto& [name, tensor] : order)
    for (const TensorParts::Part& part : tensor->parts) {
      if (part.file)
        out.copy(*part.file, part.offset, part.bytes);
      else
        out.write(part.data, part.bytes);
    }
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

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(read_header(file_)) {}

const TensorEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = header_.tensors.find(name);
  check(found != header_.tensors.end(), "'{}': tensor {} is missing", file_.path().string(),
        in_quotes(name));
  return found->second;
}

Tensor SafetensorsFile::read(const std::string& name, bool as_stored) const {
  return read_tensor(file_, header_, name, entry(name), as_stored);
}

TensorParts::Part SafetensorsFile::rows(const std::string& name, int64_t begin, int64_t end) const {
  const TensorEntry& of = entry(name);
  const int64_t row = of.shape[0] ? (of.end - of.begin) / of.shape[0] : 0;
  return {nullptr, (end - begin) * row, &file_, header_.data_begin + of.begin + begin * row};
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

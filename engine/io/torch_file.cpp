#include "engine/io/torch_file.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>

#include "engine/core/names.h"
#include "engine/io/pickle.h"
#include "engine/io/weight_file.h"
#include "engine/io/zip.h"

namespace lookalike {
namespace {

using Kind = PickleValue::Kind;

// 0x1950a86a20f9469cfc6c, the number in the first pickle of the older form.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kLegacyProtocol = 1001;
constexpr size_t kMaxUnder = 40;  // characters of wrappers' names: a pickle may hold itself

// Classes of storages, with the element type of those that become tensors.
const std::map<std::string, std::optional<FileType>>& storage_classes() {
  static const std::map<std::string, std::optional<FileType>> classes{
      {"torch.FloatStorage", kF32},
      {"torch.HalfStorage", kF16},
      {"torch.BFloat16Storage", kBF16},
      {"torch.DoubleStorage", kF64},
      {"torch.LongStorage", kI64},
      {"torch.IntStorage", kI32},
      {"torch.ByteStorage", kU8},
      {"torch.BoolStorage", kU8},
      {"torch.ShortStorage", std::nullopt},
      {"torch.CharStorage", std::nullopt},
      {"torch.storage.UntypedStorage", std::nullopt},
      {"torch.storage.TypedStorage", std::nullopt},
  };
  return classes;
}

constexpr const char* kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr const char* kOldRebuildTensor = "torch._utils._rebuild_tensor";  // before 0.4
constexpr const char* kRebuildParameter = "torch._utils._rebuild_parameter";

std::set<std::string> known_globals() {
  std::set<std::string> names{kRebuildTensor, kOldRebuildTensor, kRebuildParameter};
  for (const auto& [name, type] : storage_classes()) names.insert(name);
  return names;
}

struct StorageInfo {
  FileType type;
  int64_t elements = 0;
};

// A tensor as the pickle describes it.
struct TensorInfo {
  std::string name;
  Shape shape;
  std::vector<int64_t> strides;
  int64_t offset = 0;  // in elements of its storage
};

// What the pickle says: the storages by key, and the tensors of each.
struct StateDict {
  std::map<std::string, StorageInfo> storages;
  std::map<std::string, std::vector<TensorInfo>> tensors;
  std::string under, left_out;  // in a checkpoint: keys
};

class StateDictReader {
 public:
  StateDictReader(std::string path, int64_t file_size) : path_(std::move(path)), budget_(file_size) {}

  StateDict read(const PickleValue* root) {
    check(root->kind == Kind::dict, "'{}': holds a {}, expected a state dict", path_, name_of(root->kind));
    while (const PickleValue* inner = find_inner(root)) root = inner;
    std::set<std::string> names;
    for (size_t i = 0; i < root->items.size(); i += 2) {
      const PickleValue& key = *root->items[i];
      check(key.kind == Kind::string, "'{}': a key of the state dict is a {}, expected a string", path_,
            name_of(key.kind));
      check(names.insert(key.text).second, "'{}': the state dict has {} twice", path_, show_name(key.text));
      add(key.text, root->items[i + 1]);
    }
    check(!names.empty(), "'{}': the state dict is empty", path_);
    return std::move(result_);
  }

 private:
  // What a checkpoint wraps up; notes where, and what stands beside it.
  const PickleValue* find_inner(const PickleValue* root) {
    for (const char* wrapper : {"state_dict", "model_state_dict", "model"}) {
      const PickleValue* inner = root->find(wrapper);
      if (!inner || inner->kind != Kind::dict || inner == root || result_.under.size() > kMaxUnder) continue;
      result_.under += (result_.under.empty() ? "" : ".") + std::string(wrapper);
      std::vector<std::string> others;
      for (size_t i = 0; i < root->items.size(); i += 2)
        if (root->items[i]->kind == Kind::string && root->items[i]->text != wrapper)
          others.push_back(show_name(root->items[i]->text));
      if (!others.empty()) result_.left_out += (result_.left_out.empty() ? "" : ", ") + some_of(others);
      return inner;
    }
    return nullptr;
  }
  // The arguments of a call of one of `functions`; Error where `value` is anything else.
  const std::vector<const PickleValue*>& arguments(const PickleValue* value, const std::set<std::string>& functions,
                                                   size_t at_least) {
    check(value->kind == Kind::call && functions.count(value->text) && value->items[0]->items.size() >= at_least,
          "'{}': {} is a {}, expected a tensor", path_, show_name(name_), name_of(value->kind));
    return value->items[0]->items;
  }
  int64_t count(const PickleValue* value, const char* what) {
    check(value->kind == Kind::integer && value->integer >= 0, "'{}': tensor {}: its {} is damaged", path_,
          show_name(name_), what);
    return value->integer;
  }
  std::vector<int64_t> counts(const PickleValue* value, const char* what) {
    check(value->kind == Kind::tuple, "'{}': tensor {}: its {} is damaged", path_, show_name(name_), what);
    std::vector<int64_t> numbers;
    for (const PickleValue* item : value->items) numbers.push_back(count(item, what));
    return numbers;
  }

  // ('storage', class, key, device, elements), and in the older form a view, which nobody has written for years.
  const std::string& add_storage(const PickleValue* value) {
    check(value->kind == Kind::persistent && value->items[0]->kind == Kind::tuple && value->items[0]->items.size() >= 5,
          "'{}': tensor {}: its storage is damaged", path_, show_name(name_));
    const auto& id = value->items[0]->items;
    check(id[0]->kind == Kind::string && id[0]->text == "storage" && id[1]->kind == Kind::global &&
              id[2]->kind == Kind::string && (id.size() == 5 || id[5]->kind == Kind::none),
          "'{}': tensor {}: its storage is damaged", path_, show_name(name_));
    const auto known = storage_classes().find(id[1]->text);
    check(known != storage_classes().end() && known->second, "'{}': tensor {}: elements of a {} can't be read", path_,
          show_name(name_), id[1]->text);
    const StorageInfo info{*known->second, count(id[4], "storage's size")};
    const auto [it, added] = result_.storages.emplace(id[2]->text, info);
    check(added || (it->second.elements == info.elements && it->second.type == info.type),
          "'{}': tensor {}: another tensor knows its storage with another size or type", path_, show_name(name_));
    return it->first;
  }

  // (storage, offset, shape, strides), and what is of no use here
  void add(const std::string& name, const PickleValue* value) {
    name_ = name;
    if (value->kind == Kind::call && value->text == kRebuildParameter)
      value = arguments(value, {kRebuildParameter}, 1)[0];
    const auto& parts = arguments(value, {kRebuildTensor, kOldRebuildTensor}, 4);
    const std::string& key = add_storage(parts[0]);
    const StorageInfo& storage = result_.storages.at(key);

    TensorInfo tensor{.name = name};
    tensor.offset = count(parts[1], "offset");
    const auto extents = counts(parts[2], "shape");
    try {
      tensor.shape = Shape(extents);
    } catch (const Error& error) {
      fail("'{}': tensor {}: {}", path_, show_name(name), error.what());
    }
    tensor.strides = counts(parts[3], "strides");
    check(tensor.strides.size() == extents.size(), "'{}': tensor {}: {} strides for shape {}", path_, show_name(name),
          tensor.strides.size(), tensor.shape);
    bool inside = tensor.shape.size() == 0 || tensor.offset < storage.elements;
    int64_t last = tensor.offset;
    for (size_t axis = 0; axis < extents.size() && inside && tensor.shape.size() > 0; axis++) {
      const int64_t steps = extents[axis] - 1, stride = tensor.strides[axis];
      inside = stride == 0 || steps <= (storage.elements - 1 - last) / stride;
      if (inside) last += steps * stride;
    }
    check(inside, "'{}': tensor {}: shape {} passes the end of its storage of {} elements", path_, show_name(name),
          tensor.shape, storage.elements);
    budget_.take(tensor.shape, storage.type.dtype, fmt::format("'{}': tensor {}", path_, show_name(name)));
    result_.tensors[key].push_back(std::move(tensor));
  }

  std::string path_;
  TensorBudget budget_;
  std::string name_;
  StateDict result_;
};

// The elements of a tensor in row-major order.
Tensor gather(const std::string& storage, const TensorInfo& tensor, const FileType& type) {
  std::string elements(tensor.shape.size() * type.size, '\0');
  std::vector<int64_t> index(tensor.shape.rank(), 0);
  int64_t at = tensor.offset;
  for (size_t to = 0; to < elements.size(); to += type.size) {
    std::memcpy(elements.data() + to, storage.data() + at * type.size, type.size);
    for (int axis = tensor.shape.rank(); axis-- > 0;) {
      at += tensor.strides[axis];
      if (++index[axis] < tensor.shape[axis]) break;
      at -= tensor.strides[axis] * index[axis];
      index[axis] = 0;
    }
  }
  return tensor_from_file(elements.data(), tensor.shape, type);
}

void add_notes(TensorFile& result, const StateDict& state) {
  if (!state.under.empty()) result.metadata["under"] = state.under;
  if (!state.left_out.empty()) result.metadata["left_out"] = state.left_out;
}

void add_tensors(TensorFile& result, const StateDict& state, const std::string& key, const std::string& storage) {
  const auto found = state.tensors.find(key);
  if (found == state.tensors.end()) return;
  for (const TensorInfo& tensor : found->second)
    result.tensors.emplace(tensor.name, gather(storage, tensor, state.storages.at(key).type));
}

TensorFile read_zip_form(const std::filesystem::path& path) {
  const std::string name = path.string();
  const ZipFile zip(path);
  std::string folder;
  for (const auto& [entry, info] : zip.entries()) {
    if (entry.ends_with("/data.pkl") && std::ranges::count(entry, '/') == 1)
      folder = entry.substr(0, entry.find('/') + 1);
  }
  const auto has = [&](const std::string& entry) { return zip.entries().count(entry) > 0; };
  check(!has("model.weights.h5"),
        "'{}': a Keras archive (.keras), expected HDF5: in Keras, load it and model.save('FILE.h5')", name);
  check(!std::ranges::any_of(zip.entries(), [](const auto& entry) { return entry.first.ends_with(".npy"); }),
        "'{}': NumPy arrays (.npz), expected .pth, .safetensors, .h5 or .onnx: safetensors.numpy.save_file writes them",
        name);
  check(folder.empty() || !has(folder + "constants.pkl"),
        "'{}': a TorchScript archive, expected a state dict: torch.save(torch.jit.load(FILE).state_dict(), 'FILE.pth')",
        name);
  check(!folder.empty(), "'{}': a zip archive without data.pkl, expected one that torch.save wrote", name);
  if (zip.entries().count(folder + "byteorder")) {
    const std::string order = zip.read(folder + "byteorder", 16);
    check(order == "little", "'{}': its byte order is {}, expected little", name, show_name(order));
  }
  const std::string bytes = zip.read(folder + "data.pkl", std::min(kMaxPickleBytes, kMaxInflation * zip.file().size()));
  const Pickle pickle = read_pickle(bytes, 0, known_globals(), "'" + name + "'");
  const StateDict state = StateDictReader(name, zip.file().size()).read(pickle.root);

  TensorFile result;
  add_notes(result, state);
  int64_t left = kMaxInflation * zip.file().size();  // of what may be unpacked
  for (const auto& [key, storage] : state.storages) {
    const std::string entry = folder + "data/" + key;
    const auto found = zip.entries().find(entry);
    check(found != zip.entries().end(), "'{}': the archive has no {}", name, show_name(entry));
    const int64_t bytes = found->second.size;
    check(bytes % storage.type.size == 0 && bytes / storage.type.size == storage.elements,
          "'{}': {} has {} bytes, but its tensors take it for {} elements of {}", name, show_name(entry), bytes,
          storage.elements, storage.type.size);
    add_tensors(result, state, key, zip.read(entry, left));
    left -= bytes;
  }
  return result;
}

TensorFile read_legacy_form(const InputFile& file) {
  const std::string name = file.path().string(), where = "'" + name + "'";
  std::string head(std::min(file.size(), kMaxPickleBytes), '\0');
  file.read(0, head.data(), static_cast<int64_t>(head.size()));
  // Magic number, version of the form, system, state dict, keys of the storages.
  const Pickle magic = read_pickle(head, 0, {}, where);
  check(magic.root->kind == Kind::long_integer && magic.root->text == kLegacyMagic,
        "'{}': not a file that torch.save wrote", name);
  const Pickle version = read_pickle(head, magic.end, {}, where);
  check(version.root->kind == Kind::integer && version.root->integer == kLegacyProtocol,
        "'{}': a form of torch.save that is not known", name);
  const Pickle system = read_pickle(head, version.end, {}, where);
  const PickleValue* little = system.root->find("little_endian");
  check(little && little->kind == Kind::boolean && little->integer, "'{}': its byte order is not little", name);
  const Pickle pickle = read_pickle(head, system.end, known_globals(), where);
  const StateDict state = StateDictReader(name, file.size()).read(pickle.root);
  const Pickle keys = read_pickle(head, pickle.end, {}, where);
  check(keys.root->kind == Kind::list && keys.root->items.size() == state.storages.size(),
        "'{}': the list of storages does not fit its tensors", name);

  TensorFile result;
  add_notes(result, state);
  std::set<std::string> seen;
  int64_t at = keys.end;
  for (const PickleValue* key : keys.root->items) {
    const auto found = state.storages.find(key->text);
    check(key->kind == Kind::string && found != state.storages.end() && seen.insert(key->text).second,
          "'{}': the list of storages does not fit its tensors", name);
    const StorageInfo& storage = found->second;
    int64_t elements;
    file.read(at, &elements, sizeof elements);
    at += static_cast<int64_t>(sizeof elements);
    check(elements == storage.elements, "'{}': a storage of {} elements, but its tensors take it for {}", name,
          elements, storage.elements);
    check(elements <= (file.size() - at) / storage.type.size,
          "'{}' ends at byte {}, expected a storage of {} elements at byte {}", name, file.size(), elements, at);
    std::string bytes(elements * storage.type.size, '\0');
    file.read(at, bytes.data(), static_cast<int64_t>(bytes.size()));
    at += static_cast<int64_t>(bytes.size());
    add_tensors(result, state, key->text, bytes);
  }
  check(at == file.size(), "'{}': {} bytes behind its last storage", name, file.size() - at);
  return result;
}

}  // namespace

bool is_legacy_torch(std::string_view head) {
  return head.size() >= 2 && head[0] == '\x80' && head.substr(0, 32).find(kLegacyMagic) != std::string_view::npos;
}

TensorFile read_torch(const std::filesystem::path& path) {
  const InputFile file(path);
  std::string head(std::min<int64_t>(file.size(), 4), '\0');
  file.read(0, head.data(), static_cast<int64_t>(head.size()));
  return head.starts_with("PK") ? read_zip_form(path) : read_legacy_form(file);
}

}  // namespace lookalike

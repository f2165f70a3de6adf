#include "tests/fuzz/target.h"

#include <cstring>
#include <stdexcept>

#include "engine/io/weight_file.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

const TemporaryFolder& folder() {
  static const TemporaryFolder folder;
  return folder;
}

}  // namespace

std::map<std::string, FuzzTarget>& fuzz_targets() {
  static std::map<std::string, FuzzTarget> targets;
  return targets;
}

void require(bool ok, const std::string& what) {
  if (!ok) throw std::logic_error(what);
}

void require_short_line(const Error& error) {
  const std::string message = error.what();
  require(!message.empty() && one_line(message) == message, "a message of one short line: " + message);
}

std::string fuzz_file(std::string_view bytes, const std::string& name) {
  write_bytes(folder() / name, bytes);
  return folder() / name;
}

std::string fuzz_folder() {
  const std::filesystem::path path = folder() / "folder";
  std::filesystem::remove_all(path);
  std::filesystem::create_directory(path);
  return path;
}

std::string_view take_part(std::string_view& bytes, char separator) {
  const size_t end = bytes.find(separator);
  const std::string_view part = bytes.substr(0, end);
  bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
  return part;
}

void require_bounded(const TensorFile& file, size_t bytes) {
  int64_t total = 0;
  for (const auto& [name, tensor] : file.tensors) total += tensor.bytes();
  require(total <= kMaxInflation * static_cast<int64_t>(bytes),
          fmt::format("tensors of {} bytes from a file of {}", total, bytes));
}

bool equal(const TensorFile& a, const TensorFile& b) {
  if (a.metadata != b.metadata || a.tensors.size() != b.tensors.size()) return false;
  for (const auto& [name, tensor] : a.tensors) {
    const auto found = b.tensors.find(name);
    if (found == b.tensors.end()) return false;
    const Tensor& other = found->second;
    if (!(other.shape() == tensor.shape()) || other.dtype() != tensor.dtype()) return false;
    if (tensor.bytes() > 0 && std::memcmp(other.raw(), tensor.raw(), tensor.bytes()) != 0) return false;
  }
  return true;
}

}  // namespace lookalike

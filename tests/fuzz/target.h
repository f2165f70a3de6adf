// Fuzz targets (docs/fuzzing.md): each takes any bytes and hands them to the readers of one kind of
// input. These may refuse them with an Error of one short line; whatever else they do is a fault,
// and so is a promise of their headers that does not hold.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "engine/core/error.h"
#include "engine/io/safetensors.h"

namespace lookalike {

using FuzzTarget = void (*)(std::string_view bytes);

// All of them, by name.
std::map<std::string, FuzzTarget>& fuzz_targets();

// FUZZ_TARGET(gif) { ... bytes ... } adds one.
#define FUZZ_TARGET(name)                                                                          \
  static void fuzz_##name(std::string_view bytes);                                                 \
  [[maybe_unused]] static const bool name##_is_fuzzed = fuzz_targets().emplace(#name, fuzz_##name).second; \
  static void fuzz_##name(std::string_view bytes)

// Ends the target as failed unless `ok`.
void require(bool ok, const std::string& what);
// Error is a refusal, of which this looks at the message.
void require_short_line(const Error& error);

// Whether `body` ends without an Error.
template <class Body>
bool accepts(const Body& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    require_short_line(error);
    return false;
  }
}

// The path of a file of these bytes, which takes the place of the one before of that name. All are
// in one folder, which is in memory where TMPDIR is (tests/fuzz.sh).
std::string fuzz_file(std::string_view bytes, const std::string& name = "input");
// The path of an empty folder, which takes the place of the one before.
std::string fuzz_folder();

// The bytes up to the first `separator`, which are taken off `bytes` with it.
std::string_view take_part(std::string_view& bytes, char separator);

// What tensors read from a file may hold, against the size of the file.
void require_bounded(const TensorFile& file, size_t bytes);
// The same names, shapes, types, bits and metadata.
bool equal(const TensorFile& a, const TensorFile& b);

}  // namespace lookalike

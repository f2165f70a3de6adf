// Python's pickle format (the standard library's pickletools has every opcode), as far as a state dict needs it. Nothing is ever called:
// a callable is a name from a list, and what it was applied to stays data. The one exception is collections.OrderedDict, which becomes a
// dict.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace lookalike {

struct PickleValue {
  enum class Kind { none, boolean, integer, long_integer, real, string, list, tuple, dict, global, call, persistent };
  Kind kind = Kind::none;
  int64_t integer = 0;  // of a boolean and an integer
  double real = 0;
  std::string text;  // of a string; the bytes of a long_integer; "module.name" of a global and of a call's callable
  // Elements; key, value, key, value of a dict; the tuple of arguments of a call; the id of a persistent object.
  std::vector<const PickleValue*> items;

  // The value at a string key of a dict; null where it has none.
  const PickleValue* find(std::string_view key) const;
};

const char* name_of(PickleValue::Kind kind);

struct Pickle {
  std::deque<PickleValue> values;  // owns them: containers may contain themselves
  const PickleValue* root = nullptr;
  int64_t end = 0;  // the byte behind it
};

// No pickle may be larger, or hold more values: state dicts of thousands of tensors stay far below.
inline constexpr int64_t kMaxPickleBytes = 16 << 20, kMaxPickleValues = 1 << 20;

// The pickle that begins at byte `begin` of `bytes`. A global that is not in `globals`, an unknown opcode and damage are Errors that begin
// with `where`.
Pickle read_pickle(std::string_view bytes, int64_t begin, const std::set<std::string>& globals,
                   const std::string& where);

}  // namespace lookalike

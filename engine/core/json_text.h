// JSON from files that nobody vouches for. The library's own parser returns values nested as deep
// as the text, which its destructor then follows until the stack ends, and keeps the last of two
// equal keys. Here both are errors.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

namespace lookalike {

// How deep lists and objects may be nested. What recurses over a value relies on it.
inline constexpr int kMaxJsonDepth = 32;
// How many numbers a text may hold; a string, a list or an object counts as 16 of them, which is
// about its share of memory: a value takes at most 512 MiB, and at most 48 times its text.
inline constexpr int64_t kMaxJsonNumbers = int64_t{1} << 24;

// The value of `text`. Every error begins with `where`, names the file and the place in it, and
// goes on as a sentence: "is not valid JSON (at its byte 12)".
nlohmann::json parse_json(const std::string& text, const std::string& where);

// For a long object: calls visit(key, value) for each member in the order of the text and keeps
// none of them. A key that occurs twice is the visitor's affair.
void visit_json_members(const std::string& text, const std::string& where,
                        const std::function<void(const std::string& key, nlohmann::json value)>& visit);

}  // namespace lookalike

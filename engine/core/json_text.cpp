#include "engine/core/json_text.h"

#include <vector>

#include "engine/core/error.h"

// For all files that are compiled with precompiled.h.
template class nlohmann::basic_json<>;

namespace lookalike {
namespace {

using nlohmann::json;
using Visit = std::function<void(const std::string& key, json value)>;

// Puts a value together from the parser's events, which come without recursion.
class JsonBuilder final : public json::json_sax_t {
 public:
  JsonBuilder(const std::string& where, const Visit* visit) : where_(where), visit_(visit) {}
  json take() { return std::move(root_); }

  bool null() override { return add(nullptr, kNumber); }
  bool boolean(bool value) override { return add(value, kNumber); }
  bool number_integer(int64_t value) override { return add(value, kNumber); }
  bool number_unsigned(uint64_t value) override { return add(value, kNumber); }
  bool number_float(double value, const std::string&) override { return add(value, kNumber); }
  bool string(std::string& value) override { return add(std::move(value), kContainer); }
  bool binary(json::binary_t&) override { return false; }  // not of JSON texts
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    if (visits_members()) {
      key_ = std::move(key);
      return true;
    }
    const auto [member, fresh] = open_.back()->emplace(key, nullptr);
    check(fresh, "{} has {} twice", where_, json(key).dump(-1, ' ', false, json::error_handler_t::replace));
    slot_ = &*member;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    constexpr int kOutOfRange = 406;
    check(error.id != kOutOfRange, "{} holds a number out of range (at its byte {})", where_, position);
    fail("{} is not valid JSON (at its byte {})", where_, position);
  }

 private:
  static constexpr int64_t kNumber = 1, kContainer = 16;

  // Whether what comes next is a member that is handed over.
  bool visits_members() const { return visit_ && open_.size() == 1; }

  json& put(json value, int64_t cost) {
    check(visit_ == nullptr || !open_.empty() || value.is_object(), "{} is not a JSON object", where_);
    left_ -= cost;
    check(left_ >= 0, "{} holds more than {} numbers, or as much of strings, lists and objects", where_,
          +kMaxJsonNumbers);
    if (!open_.empty() && open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return open_.back()->back();
    }
    json& to = open_.empty() ? root_ : visits_members() ? member_ : *slot_;
    to = std::move(value);
    return to;
  }
  bool add(json value, int64_t cost) {
    put(std::move(value), cost);
    hand_over();
    return true;
  }
  bool open(json value) {
    check(open_.size() < kMaxJsonDepth, "{} is nested too deeply, in more than {} levels", where_, +kMaxJsonDepth);
    json& opened = put(std::move(value), kContainer);
    open_.push_back(&opened);
    return true;
  }
  bool close() {
    open_.pop_back();
    hand_over();
    return true;
  }
  void hand_over() {
    if (!visits_members()) return;
    (*visit_)(key_, std::move(member_));
    left_ = kMaxJsonNumbers;
  }

  const std::string& where_;
  const Visit* visit_;
  json root_, member_;
  std::string key_;          // of member_
  std::vector<json*> open_;  // the lists and objects around what comes next
  json* slot_ = nullptr;     // where the next member's value goes
  int64_t left_ = kMaxJsonNumbers;
};

}  // namespace

json parse_json(const std::string& text, const std::string& where) {
  JsonBuilder builder(where, nullptr);
  json::sax_parse(text, &builder);
  return builder.take();
}

void visit_json_members(const std::string& text, const std::string& where, const Visit& visit) {
  JsonBuilder builder(where, &visit);
  json::sax_parse(text, &builder);
}

}  // namespace lookalike

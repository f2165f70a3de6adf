#include "engine/io/pickle.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <unordered_map>

#include "engine/core/error.h"
#include "engine/io/weight_file.h"

namespace lookalike {
namespace {

using Kind = PickleValue::Kind;

constexpr const char* kOrderedDict = "collections.OrderedDict";

// The machine that runs the opcodes: a stack of values, marks on it, and a memo.
class Unpickler {
 public:
  Unpickler(std::string_view bytes, int64_t begin, const std::set<std::string>& globals, const std::string& where)
      : bytes_(bytes), at_(begin), globals_(globals), where_(where) {}

  Pickle run() {
    while (!done_) step();
    Pickle result;
    result.root = pop();
    result.values = std::move(values_);
    result.end = at_;
    return result;
  }

 private:
  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: pickle at byte {}: {}", where_, at_, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) wrong("it ends too early");
    const std::string_view part = bytes_.substr(at_, count);
    at_ += static_cast<int64_t>(count);
    return part;
  }
  // A little-endian number of `size` bytes.
  uint64_t number(int size) {
    const std::string_view part = take(size);
    uint64_t value = 0;
    for (int i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(part[i]);
    return value;
  }
  std::string line() {
    const size_t newline = bytes_.find('\n', at_);
    if (newline == std::string_view::npos) wrong("it ends too early");
    const std::string text(take(newline - at_));
    at_++;
    return text;
  }

  PickleValue& push(Kind kind) {
    if (values_.size() >= kMaxPickleValues) wrong("more than {} values", +kMaxPickleValues);
    PickleValue& value = values_.emplace_back();
    value.kind = kind;
    stack_.push_back(&value);
    return value;
  }
  void push_integer(int64_t integer, Kind kind = Kind::integer) { push(kind).integer = integer; }
  void push_string(std::string_view text) { push(Kind::string).text = text; }
  PickleValue* pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) wrong("the stack is empty");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() {
    PickleValue* value = pop();
    stack_.push_back(value);
    return value;
  }
  // What was pushed since the last mark.
  std::vector<const PickleValue*> pop_marked() {
    if (marks_.empty()) wrong("a mark is missing");
    const std::vector<const PickleValue*> items(stack_.begin() + static_cast<int64_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  void append(PickleValue* to, Kind kind, const std::vector<const PickleValue*>& items) {
    if (to->kind != kind) wrong("elements for a {}, expected a {}", name_of(to->kind), name_of(kind));
    if (kind == Kind::dict && items.size() % 2) wrong("a key without a value");
    // Through the memo few bytes could fill containers again and again.
    items_ += static_cast<int64_t>(items.size());
    if (items_ > 4 * kMaxPickleValues) wrong("more than {} elements of containers", 4 * kMaxPickleValues);
    to->items.insert(to->items.end(), items.begin(), items.end());
  }
  void push_tuple(int count) {
    std::vector<const PickleValue*> items(count);
    for (int i = count; i-- > 0;) items[i] = pop();
    push(Kind::tuple).items = std::move(items);
  }

  void remember(uint64_t key) {
    if (memo_.size() >= kMaxPickleValues) wrong("more than {} remembered values", +kMaxPickleValues);
    memo_[key] = top();
  }
  void recall(uint64_t key) {
    const auto it = memo_.find(key);
    if (it == memo_.end()) wrong("value {} was never remembered", key);
    stack_.push_back(it->second);
  }

  void push_global(const std::string& module, const std::string& name) {
    const std::string full = module + "." + name;
    check(full == kOrderedDict || globals_.count(full),
          "{}: refused, its pickle names {}; a state dict holds tensors and containers alone", where_, show_name(full));
    push(Kind::global).text = full;
  }
  void call() {
    const PickleValue* arguments = pop();
    const PickleValue* callable = pop();
    if (callable->kind != Kind::global || arguments->kind != Kind::tuple) wrong("a call of no function");
    if (callable->text != kOrderedDict) {
      PickleValue& value = push(Kind::call);
      value.text = callable->text;
      value.items = {arguments};
      return;
    }
    // Python 2 passes a list of [key, value].
    PickleValue& dict = push(Kind::dict);
    if (arguments->items.empty()) return;
    if (arguments->items.size() != 1 || arguments->items[0]->kind != Kind::list) wrong("arguments of an OrderedDict");
    for (const PickleValue* pair : arguments->items[0]->items) {
      if ((pair->kind != Kind::list && pair->kind != Kind::tuple) || pair->items.size() != 2)
        wrong("arguments of an OrderedDict");
      append(&dict, Kind::dict, pair->items);
    }
  }

  void step();

  std::string_view bytes_;
  int64_t at_;
  const std::set<std::string>& globals_;
  const std::string& where_;
  bool done_ = false;
  int64_t items_ = 0;  // in containers
  std::deque<PickleValue> values_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

void Unpickler::step() {
  const auto opcode = static_cast<unsigned char>(take(1)[0]);
  switch (opcode) {
    case 0x80: {  // PROTO
      const uint64_t version = number(1);
      if (version < 2 || version > 5) wrong("protocol {}, expected 2 to 5", version);
      return;
    }
    case 0x95:  // FRAME: how far to read ahead
      number(8);
      return;
    case '.':
      done_ = true;
      return;
    case '(':
      marks_.push_back(stack_.size());
      return;
    case '0':
      pop();
      return;
    case '1':
      pop_marked();
      return;

    case 'N':
      push(Kind::none);
      return;
    case 0x88:
    case 0x89:
      return push_integer(opcode == 0x88, Kind::boolean);
    case 'K':
      return push_integer(static_cast<int64_t>(number(1)));
    case 'M':
      return push_integer(static_cast<int64_t>(number(2)));
    case 'J':
      return push_integer(static_cast<int32_t>(number(4)));
    case 'I': {
      const std::string text = line();
      if (text == "00" || text == "01") return push_integer(text == "01", Kind::boolean);
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size()) wrong("a number is damaged");
      return push_integer(value);
    }
    case 0x8a: {  // LONG1: two's complement
      const std::string_view digits = take(number(1));
      if (digits.size() > 8) {
        push(Kind::long_integer).text = digits;
        return;
      }
      uint64_t value = digits.empty() || !(digits.back() & 0x80) ? 0 : ~uint64_t{0};
      for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(digits[i]);
      return push_integer(static_cast<int64_t>(value));
    }
    case 'G': {  // big-endian
      const std::string_view part = take(8);
      uint64_t bits = 0;
      for (char c : part) bits = bits << 8 | static_cast<unsigned char>(c);
      push(Kind::real).real = std::bit_cast<double>(bits);
      return;
    }
    case 'X':
    case 'T':
      return push_string(take(number(4)));
    case 0x8c:
    case 'U':
      return push_string(take(number(1)));
    case 0x8d:
      return push_string(take(number(8)));

    case ']':
      push(Kind::list);
      return;
    case '}':
      push(Kind::dict);
      return;
    case ')':
      return push_tuple(0);
    case 0x85:
    case 0x86:
    case 0x87:
      return push_tuple(opcode - 0x84);
    case 't':
    case 'l':
    case 'd': {
      const auto items = pop_marked();
      const Kind kind = opcode == 't' ? Kind::tuple : opcode == 'l' ? Kind::list : Kind::dict;
      return append(&push(kind), kind, items);
    }
    case 'a': {
      const PickleValue* item = pop();
      return append(top(), Kind::list, {item});
    }
    case 'e': {
      const auto items = pop_marked();
      return append(top(), Kind::list, items);
    }
    case 's': {
      const PickleValue* value = pop();
      const PickleValue* key = pop();
      return append(top(), Kind::dict, {key, value});
    }
    case 'u': {
      const auto items = pop_marked();
      return append(top(), Kind::dict, items);
    }

    case 'q':
      return remember(number(1));
    case 'r':
      return remember(number(4));
    case 0x94:  // MEMOIZE
      return remember(memo_.size());
    case 'h':
      return recall(number(1));
    case 'j':
      return recall(number(4));

    case 'c': {
      const std::string module = line();
      return push_global(module, line());
    }
    case 0x93: {  // STACK_GLOBAL
      const PickleValue* name = pop();
      const PickleValue* module = pop();
      if (name->kind != Kind::string || module->kind != Kind::string) wrong("a global without a name");
      return push_global(module->text, name->text);
    }
    case 'R':
      return call();
    case 'b': {  // BUILD: the attributes of an OrderedDict, such as _metadata, say nothing about tensors
      pop();
      if (top()->kind != Kind::dict) wrong("attributes for a {}", name_of(top()->kind));
      return;
    }
    case 'Q': {
      const PickleValue* id = pop();
      push(Kind::persistent).items = {id};
      return;
    }
    default:
      at_--;
      wrong("opcode 0x{:02x}, which no state dict needs", opcode);
  }
}

}  // namespace

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::dict) return nullptr;
  for (size_t i = 0; i < items.size(); i += 2) {
    if (items[i]->kind == Kind::string && items[i]->text == key) return items[i + 1];
  }
  return nullptr;
}

const char* name_of(Kind kind) {
  constexpr const char* names[] = {"None", "bool",  "int",  "long int", "float", "string",
                                   "list", "tuple", "dict", "global",   "call",  "persistent object"};
  return names[static_cast<int>(kind)];
}

Pickle read_pickle(std::string_view bytes, int64_t begin, const std::set<std::string>& globals,
                   const std::string& where) {
  return Unpickler(bytes, begin, globals, where).run();
}

}  // namespace lookalike

#include "engine/io/pickle.h"

#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

using Kind = PickleValue::Kind;

// A pickle of protocol 2 with these opcodes.
Pickle unpickle(const std::string& opcodes) {
  return read_pickle("\x80\x02" + opcodes, 0, {"torch.FloatStorage"}, "f");
}

std::string pickle_error(const std::string& opcodes) {
  return error_of([&] { unpickle(opcodes); });
}

TEST_CASE("numbers of a pickle") {
  CHECK(unpickle("K\xff.").root->integer == 255);
  CHECK(unpickle(std::string("M\x01\x02.")).root->integer == 513);
  CHECK(unpickle("J\xfe\xff\xff\xff.").root->integer == -2);
  CHECK(unpickle("I-12\n.").root->integer == -12);
  CHECK(unpickle("I01\n.").root->kind == Kind::boolean);
  CHECK(unpickle(std::string("\x8a\x00.", 3)).root->integer == 0);
  CHECK(unpickle("\x8a\x01\xff.").root->integer == -1);
  CHECK(unpickle("\x8a\x02\xff\x7f.").root->integer == 32767);
  CHECK(unpickle("\x8a\x09xxxxxxxxx.").root->kind == Kind::long_integer);
  CHECK(unpickle(std::string("G\xbf\xf8\0\0\0\0\0\0.", 10)).root->real == -1.5);
}

TEST_CASE("containers of a pickle, the memo among them") {
  const Pickle list = unpickle(
      "]q\x01(K\x01\x88Nh\x01"
      "e.");
  REQUIRE(list.root->items.size() == 4);
  CHECK(list.root->items[0]->integer == 1);
  CHECK(list.root->items[1]->kind == Kind::boolean);
  CHECK(list.root->items[2]->kind == Kind::none);
  CHECK(list.root->items[3] == list.root);
  // Python 2: an OrderedDict from a list of pairs, short strings.
  const Pickle dict = unpickle(
      "ccollections\nOrderedDict\n(](](U\x01"
      "aK\x05"
      "eetR.");
  REQUIRE(dict.root->find("a"));
  CHECK(dict.root->find("a")->integer == 5);
  CHECK(!dict.root->find("b"));
}

TEST_CASE("what is wrong with a pickle is said in one line") {
  const auto says = [](const std::string& opcodes, const char* part) {
    const std::string message = pickle_error(opcodes);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.starts_with("f: "));
  };
  says("cos\nsystem\n(X\x04\0\0\0trueR.", "its pickle names 'os.system'");
  says("U\x02osU\x06system\x93.", "its pickle names 'os.system'");
  says("ccollections\nOrderedDict\n)R", "it ends too early");
  says("", "it ends too early");
  says(".", "the stack is empty");
  says("K\x01(0.", "the stack is empty");
  says("K\x01t.", "a mark is missing");
  says("h\x07.", "value 7 was never remembered");
  says(
      "X\xff\xff\xff\x7f"
      "a.",
      "it ends too early");
  says(
      "K\x01K\x02"
      "a.",
      "elements for a int, expected a list");
  says("}(K\x01u.", "a key without a value");
  says("K\x01)R.", "a call of no function");
  says("]}b.", "attributes for a list");
  says("]\x81.", "opcode 0x81");
  says("i", "opcode 0x69");
  says("\x80\x06.", "protocol 6");
  says("I1x\n.", "a number is damaged");
}

TEST_CASE("a pickle that grows through its memo is refused") {
  // Tuples of tuples of eight cost nothing. Lists that are filled from the memo again and again do.
  std::string opcodes = "]q\x01(";
  for (int i = 0; i < 1024; i++) opcodes += 'N';
  opcodes += "eccollections\nOrderedDict\nq\x02";
  opcodes += "](";
  for (int i = 0; i < 1024; i++) opcodes += "NN\x86";
  opcodes += "e\x85q\x03";
  std::string grown = opcodes;
  for (int i = 0; i < 4096; i++) grown += "h\x02h\x03R";
  CHECK(pickle_error(grown + ".").find("more than 4194304 elements") != std::string::npos);
  CHECK(pickle_error(std::string(kMaxPickleValues + 1, 'N') + ".").find("more than 1048576 values") !=
        std::string::npos);
}

}  // namespace
}  // namespace lookalike

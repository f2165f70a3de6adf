#include "engine/io/safetensors.h"

#include <cmath>
#include <cstring>

#include <doctest/doctest.h>

#include "engine/io/atomic_file.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

// A file with this header and `data_bytes` zero bytes of data.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

TEST_CASE("tensors and metadata come back as they were written") {
  TemporaryFolder folder;
  TensorFile file;
  file.tensors["layer.weight"] = Tensor::from<float>({2, 3}, std::vector<float>{1, -2, 3.5f, 0, 1e-40f, -0.0f});
  file.tensors["double"] = Tensor::from<double>({1}, std::vector<double>{0.1});
  file.tensors["bytes"] = Tensor::from<uint8_t>({3}, std::vector<uint8_t>{0, 127, 255});
  file.tensors["big"] = Tensor::from<int64_t>({1, 1}, std::vector<int64_t>{-(int64_t{1} << 40)});
  file.tensors["int"] = Tensor::from<int32_t>(Shape{}, std::vector<int32_t>{-7});
  file.tensors["nothing"] = Tensor(Shape{0, 4});
  file.metadata = {{"step", "12"}, {"note", "line\n\"quoted\" \xC3\xA9"}};
  write_safetensors(folder / "a.safetensors", file);

  const TensorFile back = read_safetensors(folder / "a.safetensors");
  CHECK(back.metadata == file.metadata);
  REQUIRE(back.tensors.size() == file.tensors.size());
  for (const auto& [name, tensor] : file.tensors) {
    CAPTURE(name);
    const Tensor& read = back.tensors.at(name);
    CHECK(read.dtype() == tensor.dtype());
    REQUIRE(read.shape() == tensor.shape());
    CHECK(std::memcmp(read.raw(), tensor.raw(), tensor.bytes()) == 0);
  }
  CHECK(folder.count() == 1);
  CHECK(read_safetensors_header(folder / "a.safetensors").data_begin % 8 == 0);
}

TEST_CASE("the bytes are those of the safetensors format") {
  TemporaryFolder folder;
  TensorFile file;
  file.tensors["a"] = Tensor::from<uint8_t>({2}, std::vector<uint8_t>{7, 9});
  file.tensors["b"] = Tensor::from<float>({1, 2}, std::vector<float>{1, -2});
  file.metadata["k"] = "v";
  write_safetensors(folder / "a.safetensors", file);
  const std::string header = R"({"__metadata__":{"k":"v"},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                             R"("a":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected = file_of(padded, 0);
  expected.append("\0\0\x80\x3F\0\0\0\xC0\x07\x09", 10);
  CHECK(read_bytes(folder / "a.safetensors") == expected);
}

TEST_CASE("half precision is read as f32") {
  TemporaryFolder folder;
  const uint16_t halves[] = {0x3C00, 0xC500, 0x0001, 0x7BFF, 0xFC00, 0x8000, 0x3F80, 0xC000};
  std::string bytes = file_of(
      R"({"h":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]}})",
      0);
  bytes.append(reinterpret_cast<const char*>(halves), sizeof halves);
  write_bytes(folder / "half", bytes);
  const TensorFile file = read_safetensors(folder / "half");
  const float* h = file.tensors.at("h").data<float>();
  CHECK(h[0] == 1);
  CHECK(h[1] == -5);
  CHECK(h[2] == 0x1p-24f);
  CHECK(h[3] == 65504);
  CHECK(h[4] == -INFINITY);
  CHECK((h[5] == 0 && std::signbit(h[5])));
  CHECK(file.tensors.at("b").data<float>()[0] == 1);
  CHECK(file.tensors.at("b").data<float>()[1] == -2);
}

TEST_CASE("a wrong file is refused with one line that names what is wrong") {
  TemporaryFolder folder;
  const auto message = [&](const std::string& bytes) {
    write_bytes(folder / "bad", bytes);
    const std::string text = error_of([&] { read_safetensors(folder / "bad"); });
    CHECK(text.find((folder / "bad").string()) != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
    return text;
  };
  const auto has = [&](const std::string& header, size_t data_bytes, const char* part) {
    const std::string text = message(file_of(header, data_bytes));
    CAPTURE(header);
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return std::string(R"({"dtype":")") + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const std::string four = entry("F32", "[1]", "[0,4]");

  CHECK(message("").find("too few") != std::string::npos);
  CHECK(message(std::string("\0\0\0\0\0\0\0\x80", 8)).find("header length 9223372036854775808") != std::string::npos);
  CHECK(message(std::string("\x09\0\0\0\0\0\0\0{}", 10)).find("header length 9") != std::string::npos);
  has("", 0, "not valid JSON");
  has("[]", 0, "not a JSON object");
  has(R"({"a":{"dtype":"F32")", 0, "not valid JSON");
  has(R"({"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}})", 4, "out of range");
  has(R"({"a":[[[[[[1]]]]]]})", 0, "nested");
  has(R"({"a":1})", 0, "tensor \"a\"");
  has(R"({"a\nb":1})", 0, "tensor \"a\\nb\"");
  has(R"({"a":)" + four + R"(,"a":)" + four + "}", 4, "\"a\" twice");
  has(R"({"a":)" + entry("F31", "[1]", "[0,4]") + "}", 4, "element type \"F31\"");
  has(R"({"a":)" + entry("I16", "[2]", "[0,4]") + "}", 4, "tensor \"a\": element type I16 can't be read");
  has(R"({"a":)" + entry("F32", "[2]", "[0,4]") + "}", 4, "4 bytes of data for shape [2]");
  has(R"({"a":)" + entry("F32", "[1]", "[0,5]") + "}", 5, "5 bytes of data for shape [1]");
  has(R"({"a":)" + entry("F32", "[-1]", "[0,4]") + "}", 4, "shape");
  has(R"({"a":)" + entry("F32", "[1.0]", "[0,4]") + "}", 4, "shape");
  has(R"({"a":)" + entry("F32", "[1,1,1,1,1,1,1]", "[0,4]") + "}", 4, "tensor \"a\": shape has 7 axes");
  has(R"({"a":)" + entry("F32", "[4611686018427387904,4]", "[0,4]") + "}", 4, "2^62");
  has(R"({"a":)" + entry("F64", "[2305843009213693952]", "[0,0]") + "}", 0, "0 bytes of data");
  has(R"({"a":)" + entry("F32", "[1]", "[4,0]") + "}", 4, "backwards");
  has(R"({"a":)" + entry("F32", "[1]", "[0]") + "}", 4, "data_offsets");
  has(R"({"a":)" + entry("F32", "[1]", "[18446744073709551612,18446744073709551615]") + "}", 4, "data_offsets");
  has(R"({"a":)" + four + R"(,"b":)" + four + "}", 8, "tensor \"b\": data starts at byte 0");
  has(R"({"a":)" + four + R"(,"b":)" + entry("F32", "[1]", "[8,12]") + "}", 12, "gap");
  has(R"({"a":)" + four + "}", 3, "tensor \"a\": data ends at byte 4");
  has(R"({"a":)" + four + "}", 5, "5 bytes of data");
  has(R"({"__metadata__":{"k":1}})", 0, "not a string");
  has(R"({"__metadata__":"k"})", 0, "not an object");
  CHECK(error_of([&] { read_safetensors(folder / "missing"); }).find("missing") != std::string::npos);
  CHECK(error_of([&] { read_safetensors(folder.path()); }).find("not a regular file") != std::string::npos);
}

TEST_CASE("tensors that can't be written leave nothing behind and the old file in place") {
  TemporaryFolder folder;
  write_bytes(folder / "a", "old");
  TensorFile bad;
  bad.tensors["x"] = Tensor({2});
  bad.metadata["k"] = "\xFF";
  CHECK(error_of([&] { write_safetensors(folder / "a", bad); }).find("UTF-8") != std::string::npos);
  bad.metadata.clear();
  bad.tensors["undefined"] = Tensor();
  CHECK(error_of([&] { write_safetensors(folder / "a", bad); }).find("undefined") != std::string::npos);
  CHECK(read_bytes(folder / "a") == "old");
  CHECK(folder.count() == 1);
}

}  // namespace
}  // namespace lookalike

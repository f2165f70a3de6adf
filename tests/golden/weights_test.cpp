// Files of weights as PyTorch, h5py and onnx wrote them (make_weights.py): what is in them, and those that must be refused.
#include "engine/io/weights.h"

#include <cstring>

#include <doctest/doctest.h>

#include "engine/io/hdf5_file.h"
#include "engine/io/onnx_file.h"
#include "engine/io/torch_file.h"
#include "tests/golden/golden.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

const std::string kFolder = LOOKALIKE_SOURCE_DIR "/tests/golden/weights/";

void check_same(const TensorFile& got, const TensorFile& want) {
  REQUIRE(got.tensors.size() == want.tensors.size());
  for (const auto& [name, tensor] : want.tensors) {
    CAPTURE(name);
    REQUIRE(got.tensors.count(name) == 1);
    const Tensor& read = got.tensors.at(name);
    CHECK(read.dtype() == tensor.dtype());
    REQUIRE(read.shape() == tensor.shape());
    CHECK(std::memcmp(read.raw(), tensor.raw(), tensor.bytes()) == 0);
  }
}

std::string torch_error(const std::string& path) {
  const std::string message = error_of([&] { read_torch(path); });
  CHECK(message.find('\n') == std::string::npos);
  return message;
}

bool contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
  return true;
}

TEST_CASE("state dicts of PyTorch: every element type, shared, strided and repeated storages, both forms") {
  for (const char* name : {"zip.pth", "zip_protocol4.pth", "deflated.pth", "legacy.pth"}) {
    CAPTURE(name);
    check_same(read_torch(kFolder + name), testing::read_golden("weights/expected"));
  }
}

TEST_CASE("a state dict that PyTorch wrote before 0.4") {
  TemporaryFolder folder;
  std::string bytes = read_bytes(kFolder + "checkpoint_legacy.pth");
  bytes.replace(bytes.find("_rebuild_tensor_v2"), 18, "_rebuild_tensor");
  write_bytes(folder / "old.pth", bytes);
  check_same(read_torch(folder / "old.pth"), testing::read_golden("weights/checkpoint"));
}

TEST_CASE("a state dict inside a checkpoint of PyTorch, with the attributes of a module") {
  check_same(read_torch(kFolder + "checkpoint.pth"), testing::read_golden("weights/checkpoint"));
  check_same(read_torch(kFolder + "checkpoint_legacy.pth"), testing::read_golden("weights/checkpoint"));
}

TEST_CASE("files of PyTorch that are no state dict, or lie, are refused") {
  const auto refused = [](const std::string& name, const std::string& part) {
    CHECK(contains(torch_error(kFolder + name), part));
  };
  refused("calls_system.pth", "its pickle names 'posix.system'");
  refused("calls_system_legacy.pth", "its pickle names 'posix.system'");
  refused("whole_module.pth", "its pickle names 'torch.nn.modules.linear.Linear'");
  refused("complex.pth", "its pickle names 'torch.ComplexFloatStorage'");
  refused("short.pth", "tensor 'weight': elements of a torch.ShortStorage can't be read");
  refused("repeated_bomb.pth", "tensor 'weight': shape [1099511627776]: the tensors claim more than 16 times");
  refused("bomb.pth", "more than 16 times the file's size");
  refused("short_storage.pth", "has 20 bytes, but its tensors take it for 6 elements of 4");
  refused("long_storage_legacy.pth", "a storage of 7 elements, but its tensors take it for 6");
  refused("big_endian.pth", "byte order is 'big', expected little");
  refused("checkpoint.safetensors", "checkpoint.safetensors");
}

TEST_CASE("a file of PyTorch cut at any byte is refused") {
  TemporaryFolder folder;
  for (const char* name : {"deflated.pth", "zip.pth", "legacy.pth"}) {
    const std::string whole = read_bytes(kFolder + name);
    for (size_t length = 0; length < whole.size(); length++) {
      write_bytes(folder / "cut", whole.substr(0, length));
      CAPTURE(length);
      CHECK(!torch_error(folder / "cut").empty());
    }
  }
}

// The six numbers -2 to 3.
template <class T>
void check_six(const Tensor& tensor) {
  REQUIRE(tensor.shape() == Shape{2, 3});
  for (int i = 0; i < 6; i++) CHECK(tensor.data<T>()[i] == i - 2);
}

TEST_CASE("initialisers of ONNX, as raw bytes and as lists of numbers") {
  const TensorFile file = read_onnx(kFolder + "tensors.onnx");
  CHECK(file.tensors.size() == 7);
  for (const char* name : {"raw", "listed", "half"}) check_six<float>(file.tensors.at(name));
  check_six<double>(file.tensors.at("double"));
  CHECK(file.tensors.at("listed_double").item() == 0.1);
  CHECK(file.tensors.at("scalar").shape() == Shape{});
  CHECK(file.tensors.at("scalar").data<int64_t>()[0] == -5);
  CHECK(file.tensors.at("listed_int64").data<int64_t>()[1] == -1);
  CHECK(file.tensors.at("listed_int64").data<int64_t>()[2] == int64_t{1} << 40);
}

TEST_CASE("ONNX files that can't be read are refused") {
  const auto refused = [](const std::string& path, const std::string& part) {
    CHECK(contains(error_of([&] { read_onnx(path); }), part));
  };
  refused(kFolder + "text.onnx", "'words' has elements of type 8, which can't be read");
  refused(kFolder + "external.onnx", "the elements of 'outside' are in another file");
  TemporaryFolder folder;
  write_bytes(folder / "empty", "");
  refused(folder / "empty", "not an ONNX model, or one without weights");
  const std::string whole = read_bytes(kFolder + "tensors.onnx");
  // What stands behind the graph, the operators' version, may be lost unseen.
  int read = 0;
  for (size_t length = 0; length < whole.size(); length++) {
    write_bytes(folder / "cut", whole.substr(0, length));
    read += error_of([&] { read_onnx(folder / "cut"); }).empty();
  }
  CHECK(read <= 1);
}

TEST_CASE("datasets of HDF5, nested, packed, of other float types") {
  if (!has_hdf5()) {
    CHECK(contains(error_of([] { read_hdf5(kFolder + "keras.h5"); }), "without the HDF5 library"));
    return;
  }
  const TensorFile file = read_hdf5(kFolder + "keras.h5");
  CHECK(file.tensors.size() == 4);
  for (const char* name : {"conv1_conv/conv1_conv/kernel:0", "packed/half:0"}) {
    const Tensor& kernel = file.tensors.at(name);
    REQUIRE(kernel.shape() == Shape{2, 3, 4});
    for (int i = 0; i < 24; i++) CHECK(kernel.data<float>()[i] == i);
  }
  CHECK(file.tensors.at("conv1_conv/conv1_conv/bias:0").data<float>()[1] == -1);
  CHECK(file.tensors.at("bn/scalar:0").item() == 2);

  const auto refused = [](const std::string& path, const std::string& part) {
    CHECK(contains(error_of([&] { read_hdf5(path); }), part));
  };
  refused(kFolder + "integers.h5", "holds no floating-point numbers");
  refused(kFolder + "bomb.h5", "'zeros': shape [1099511627776]: the tensors claim more than 16 times");
  refused(kFolder + "external.h5", "'w' has its values in another file");
  refused(kFolder + "zip.pth", "not an HDF5 file, or damaged");
  TemporaryFolder folder;
  const std::string whole = read_bytes(kFolder + "keras.h5");
  write_bytes(folder / "cut", whole.substr(0, whole.size() / 2));
  refused(folder / "cut", "not an HDF5 file, or damaged");
}

TEST_CASE("formats of weights are told apart by their content") {
  CHECK(read_weights(kFolder + "zip.pth").format == "PyTorch");
  CHECK(read_weights(kFolder + "legacy.pth").format == "PyTorch");
  CHECK(read_weights(kFolder + "expected.safetensors").format == "safetensors");
  CHECK(read_weights(kFolder + "tensors.onnx").format == "ONNX");
  if (has_hdf5()) CHECK(read_weights(kFolder + "keras.h5").format == "HDF5");
  CHECK(contains(error_of([] { read_weights(LOOKALIKE_SOURCE_DIR "/LICENSE"); }), "expected weights as PyTorch"));
}

}  // namespace
}  // namespace lookalike

#include "engine/io/npy.h"

#include <cstring>

#include <doctest/doctest.h>

#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

TEST_CASE("a .npy file is what numpy.save writes") {
  TemporaryFolder folder;
  write_npy(folder / "a.npy", Tensor::from<float>({2, 1}, std::vector<float>{1, -2}));
  // Of numpy.save(f, numpy.array([[1], [-2]], 'f4')).
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }";
  expected.resize(127, ' ');
  expected.append("\n\0\0\x80\x3F\0\0\0\xC0", 9);
  CHECK(read_bytes(folder / "a.npy") == expected);
  const Tensor back = read_npy(folder / "a.npy");
  CHECK(back.shape() == Shape{2, 1});
  CHECK(back.data<float>()[1] == -2);

  write_npy(folder / "empty.npy", Tensor(Shape{0, 5}));
  CHECK(read_npy(folder / "empty.npy").shape() == Shape{0, 5});
}

TEST_CASE("a wrong .npy file is refused") {
  TemporaryFolder folder;
  write_npy(folder / "whole", Tensor::zeros({3, 2}));
  const std::string whole = read_bytes(folder / "whole");
  for (size_t length = 0; length < whole.size(); length++) {
    write_bytes(folder / "cut", whole.substr(0, length));
    CAPTURE(length);
    CHECK_THROWS_AS(read_npy(folder / "cut"), Error);
  }
  for (const char* shape : {"(9999999999999, 2)", "(3)", "(3, 2, 1)", "(-3, 2)", "(99999999999999999999, 1)",
                            "(999999999999999999, 999999999999999999)"}) {
    std::string bytes = whole;
    const size_t at = bytes.find("(3, 2)"), old = bytes.size();
    bytes.replace(at, 6, shape);
    bytes.erase(120, bytes.size() - old);
    write_bytes(folder / "bad", bytes);
    CAPTURE(shape);
    CHECK_THROWS_AS(read_npy(folder / "bad"), Error);
  }
  write_npy(folder / "scalar", Tensor::zeros(Shape{}));
  CHECK(error_of([&] { read_npy(folder / "scalar"); }).find("two-dimensional") != std::string::npos);
  CHECK(error_of([&] { write_npy(folder / "f64", Tensor::zeros({1}, DType::f64)); }).find("f64") != std::string::npos);
}

}  // namespace
}  // namespace lookalike

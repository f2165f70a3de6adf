#include <cmath>
#include <set>

#include <doctest/doctest.h>

#include "engine/autograd/variable.h"
#include "engine/core/dispatch.h"
#include "engine/core/random.h"
#include "engine/ops/activation.h"
#include "engine/ops/add.h"

namespace lookalike {

TEST_CASE("shapes know their sizes and refuse nonsense") {
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{2, 0, 3}.size() == 0);
  CHECK(Shape{2, 3, 4}.row_size() == 12);
  CHECK(Shape{2, 3, 4}[-1] == 4);
  CHECK(Shape{2, 3}.to_string() == "[2, 3]");
  CHECK_THROWS_AS((Shape{2, -1}), Error);
  CHECK_THROWS_AS((Shape{int64_t{1} << 40, int64_t{1} << 40}), Error);
}

TEST_CASE("what the GPU cannot count is refused there") {
  const Shape large{2, 1 << 15, 1 << 15};
  CHECK_THROWS_AS(check_gpu_size("op", large, Device::cuda), Error);
  CHECK_NOTHROW(check_gpu_size("op", large, Device::cpu));
  CHECK_NOTHROW(check_gpu_size("op", {(1 << 15) - 1, 1 << 16}, Device::cuda));
}

TEST_CASE("tensors share memory until cloned") {
  Tensor a = Tensor::from<float>({2, 2}, std::vector<float>{1, 2, 3, 4});
  Tensor b = a, c = a.clone(), second = a.rows(1, 2);
  a.data<float>()[3] = 9;
  CHECK(b.data<float>()[3] == 9);
  CHECK(c.data<float>()[3] == 4);
  CHECK(second.data<float>()[1] == 9);
  CHECK_THROWS_AS(a.data<double>(), Error);
  CHECK_THROWS_AS(a.rows(1, 3), Error);
  CHECK_THROWS_AS(a.reshape({3}), Error);
}

TEST_CASE("freed memory is used again") {
  const void* first = Tensor({1000, 1000}).raw();
  CHECK(Tensor({1000, 1000}).raw() == first);
}

TEST_CASE("tests see NaN where nobody wrote") {
  const Tensor unwritten({300});
  for (const float x : unwritten.span<float>()) CHECK(std::isnan(x));
}

TEST_CASE("Philox gives the published numbers") {
  // Known-answer vectors of Random123.
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("random streams differ by everything that names them") {
  std::set<uint32_t> first;
  for (uint64_t seed : {0, 1})
    for (auto use : {RandomUse::weights, RandomUse::augment})
      for (uint64_t a : {0, 1})
        for (uint64_t b : {0, 1}) first.insert(Random(seed, use, a, b).next_u32());
  CHECK(first.size() == 16);
  CHECK(Random(3, RandomUse::split, 4, 5).next_u32() == Random(3, RandomUse::split, 4, 5).next_u32());
}

TEST_CASE("the tape adds up the gradients of a variable used twice") {
  Variable x(Tensor::from<double>({2}, std::vector<double>{1, -2}), true);
  const auto twice = [](const Variable& a, const Variable& b) {
    Tensor y = a.value().clone();
    for (int i = 0; i < 2; i++) y.data<double>()[i] += b.value().data<double>()[i];
    return Variable::from_op(y, {a, b}, [](const Tensor& dy) { return std::vector<Tensor>{dy, dy}; });
  };
  Variable y = twice(twice(x, relu(x)), x);
  y.backward(Tensor::from<double>({2}, std::vector<double>{1, 10}));
  CHECK(x.grad().data<double>()[0] == 3);
  CHECK(x.grad().data<double>()[1] == 20);
  // A second pass adds.
  twice(x, x).backward(Tensor::from<double>({2}, std::vector<double>{1, 1}));
  CHECK(x.grad().data<double>()[0] == 5);
}

TEST_CASE("a gradient that an op gives to two inputs is not changed for one of them") {
  Tensor one({1});
  one.fill(1);
  Variable a(one, true), b(one.clone(), true);
  const Variable x = relu(a), y = add(x, b, {ActivationKind::relu});
  add(relu(x), y).backward();  // goes down y first, then adds to x's gradient
  CHECK(a.grad().item() == 2);
  CHECK(b.grad().item() == 1);
}

TEST_CASE("a chain of 100,000 ops runs backward and is freed without recursion") {
  Variable x(Tensor::from<float>({1}, std::vector<float>{2}), true), y = x;
  for (int i = 0; i < 100000; i++) y = relu(y);
  y.backward();
  CHECK(x.grad().item() == 1);
  for (int i = 0; i < 100000; i++) y = relu(y);
}

TEST_CASE("the graph keeps no value that no backward wants") {
  const Variable x(Tensor::zeros({1000}), true);
  const auto op = [](const Variable& from, const Tensor& wanted) {
    return Variable::from_op(from.value().clone(), {from}, [wanted](const Tensor& dy) { return std::vector{dy}; });
  };
  for (const bool wants : {false, true}) {
    Variable y = op(x, {});
    const std::byte* const place = y.value().raw();
    Variable z = op(y, wants ? y.value() : Tensor());
    y = Variable();
    CHECK((Tensor({1000}).raw() == place) == !wants);
    z.backward(Tensor::zeros({1000}));
  }
}

TEST_CASE("nothing is recorded under NoGrad") {
  Variable x(Tensor::zeros({1}), true);
  NoGrad no_grad;
  CHECK(!relu(x).requires_grad());
}

}  // namespace lookalike

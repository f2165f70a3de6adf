#include "models/verify.h"

#include <cmath>

#include <doctest/doctest.h>

#include "engine/nn/layers.h"
#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

// Two layers of one number each, the second one for training alone: z = x, then y = 2 z + 1.
struct Net {
  Network network;
  TensorFile reference;

  Net() {
    Initializer init(0);
    network.layers.add<Flatten>("flat");
    network.training_head = std::make_unique<Sequential>();
    network.training_head->add<Linear>("dense", init, 1, 1);
    NetworkState state = state_of(network);
    state.parameters[0].variable.value().fill(2);
    state.parameters[1].variable.value().fill(1);
    reference.tensors["input"] = Tensor::from<float>({2, 1, 1, 1}, std::vector<float>{1, 3});
    reference.tensors["stage.flat"] = Tensor::from<float>({2, 1}, std::vector<float>{1, 3});
    reference.tensors["stage.dense"] = Tensor::from<float>({2, 1}, std::vector<float>{3, 8});
  }
  std::string error() {
    return error_of([&] { stage_errors(network, reference, "f"); });
  }
};

TEST_CASE("stages are compared one by one, by the largest difference") {
  Net net;
  auto errors = stage_errors(net.network, net.reference, "f");
  REQUIRE(errors.size() == 2);
  CHECK(errors[0].name == "flat");
  CHECK(errors[0].error == 0);
  CHECK(errors[1].name == "dense");
  CHECK(errors[1].error == doctest::Approx(1.0 / 8));
  net.reference.tensors["stage.dense"] = Tensor::from<float>({2, 1}, std::vector<float>{NAN, 7});
  errors = stage_errors(net.network, net.reference, "f");
  CHECK(std::isnan(errors[1].error));
}

TEST_CASE("a reference that does not fit the network is refused") {
  Net net;
  net.reference.tensors["stage.other"] = Tensor::zeros({2, 1});
  CHECK(net.error() == "f: the network has no layer for stage.other, only flat dense");
  net.reference.tensors.erase("stage.other");
  net.reference.tensors["stage.dense"] = Tensor::zeros({2, 2});
  CHECK(net.error() == "f: stage.dense is [2, 2], the network's is [2, 1]");
  net.reference.tensors["stage.dense"] = Tensor::zeros({2, 1}, DType::f64);
  CHECK(net.error() == "f: stage.dense is f64, expected f32");
  net.reference.tensors.erase("stage.dense");
  net.reference.tensors.erase("stage.flat");
  CHECK(net.error() == "f: has no tensor 'stage.NAME' for any layer NAME");
  net.reference.tensors.erase("input");
  CHECK(net.error() == "f: has no tensor 'input' of f32 [N,H,W,C]");
}

}  // namespace
}  // namespace lookalike

// resnet50_check VARIANT FILE: ResNet50 at full size against a safetensors file with the weights, `images` and what another
// implementation makes of them: `layer1` to `layer4` [N,H,W,C] and `logits`. Ends with status 1 where one differs by more than 1e-4.
#include "engine/io/safetensors.h"
#include "models/model.h"
#include "tests/op_case.h"

namespace lookalike::testing {
namespace {

// The network of `config` with the file's weights.
Variable run(const nlohmann::json& config, const TensorFile& file) {
  Preprocess preprocess;
  preprocess.height = preprocess.width = 224;
  const Model model = build_model(config, preprocess, 0, "resnet50_check");
  const NetworkState state = state_of(*model.network);
  for (Parameter p : state.parameters) p.variable.value() = file.tensors.at(p.name);
  for (Buffer b : state.buffers) b.variable.value() = file.tensors.at(b.name);
  const NoGrad no_grad;
  return model.network->training_output(model.network->forward_frozen(Variable(file.tensors.at("images"))), {});
}

int check_stages(const std::string& variant, const std::string& path) {
  const TensorFile file = read_safetensors(path);
  bool good = true;
  const auto compare = [&](const std::string& name, const Variable& got) {
    const double error = relative_error(got.value(), file.tensors.at(name));
    fmt::print("{} {}: relative error {:.1e}\n", variant, name, error);
    good &= error <= 1e-4;
  };
  nlohmann::json config{{"name", "resnet50"}, {"variant", variant}, {"pool", "flatten"}};
  std::vector<int64_t> blocks;
  for (const int64_t count : {3, 4, 6, 3}) {
    blocks.push_back(count);
    config["blocks"] = blocks;
    compare(fmt::format("layer{}", blocks.size()), run(config, file));
  }
  compare("logits", run({{"name", "resnet50"}, {"variant", variant}, {"classes", 1000}}, file));
  return good ? 0 : 1;
}

}  // namespace
}  // namespace lookalike::testing

int main(int, char** argv) {
  return lookalike::testing::check_stages(argv[1], argv[2]);
}

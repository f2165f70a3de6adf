#include "models/verify.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "engine/core/names.h"
namespace lookalike {
namespace {

constexpr const char* kStage = "stage.";

}  // namespace

std::vector<StageError> stage_errors(Network& network, const TensorFile& reference, const std::string& path) {
  const auto input = reference.tensors.find("input");
  check(input != reference.tensors.end() && input->second.dtype() == DType::f32 && input->second.shape().rank() == 4,
        "{}: has no tensor 'input' of f32 [N,H,W,C]", path);
  auto names = network.layers.names();
  const size_t count = names.size();
  if (network.training_head) std::ranges::copy(network.training_head->names(), std::back_inserter(names));
  size_t stages = 0;
  for (const auto& [name, tensor] : reference.tensors) {
    if (!name.starts_with(kStage)) continue;
    stages++;
    check(std::ranges::count(names, name.substr(std::string(kStage).size())) > 0,
          "{}: the network has no layer for {}, only {}", path, name, some_of(names, " "));
    check(tensor.dtype() == DType::f32, "{}: {} is {}, expected f32", path, name, name_of(tensor.dtype()));
  }
  check(stages > 0, "{}: has no tensor 'stage.NAME' for any layer NAME", path);

  const NoGrad no_grad;
  std::vector<StageError> result;
  Variable x(input->second);
  for (size_t i = 0; i < names.size(); i++) {
    x = i < count ? network.layers.forward_range(x, {}, i, i + 1)
                  : network.training_head->forward_range(x, {}, i - count, i - count + 1);
    const auto found = reference.tensors.find(kStage + names[i]);
    if (found == reference.tensors.end()) continue;
    check(found->second.shape() == x.shape(), "{}: {} is {}, the network's is {}", path, found->first,
          found->second.shape(), x.shape());
    const auto got = std::as_const(x.value()).span<float>(), want = found->second.span<float>();
    double difference = 0, magnitude = 0;
    for (size_t j = 0; j < got.size(); j++) {
      const double distance = std::abs(double{got[j]} - want[j]);
      if (!(std::isnan(difference) || distance <= difference)) difference = distance;  // NaN stays
      magnitude = std::max(magnitude, std::abs(double{want[j]}));
    }
    result.push_back({names[i], difference == 0 ? 0 : difference / magnitude});
  }
  return result;
}

}  // namespace lookalike

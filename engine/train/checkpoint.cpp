#include "engine/train/checkpoint.h"

#include <algorithm>

#include "engine/core/finite.h"
#include "engine/core/json_text.h"
#include "engine/core/names.h"
#include "engine/io/safetensors.h"

namespace lookalike {

using nlohmann::json;

namespace {
constexpr const char* kFormat = "lookalike-1";
}

TensorFile file_of(const Checkpoint& checkpoint) {
  TensorFile file;
  for (const auto& [name, tensor] : checkpoint.tensors) file.tensors[name] = tensor.to(Device::cpu);
  file.metadata = {
      {"format", kFormat}, {"model", checkpoint.model.dump()}, {"preprocess", to_json(checkpoint.preprocess).dump()}};
  if (!checkpoint.recipe.is_null()) file.metadata["recipe"] = checkpoint.recipe.dump();
  if (!checkpoint.progress.is_null()) file.metadata["progress"] = checkpoint.progress.dump();
  write_seen(checkpoint.seen, file.tensors);
  file.metadata["seen"] = checkpoint.seen.complete ? "all" : "some";
  if (checkpoint.calibration) file.metadata["calibration"] = to_json(*checkpoint.calibration).dump();
  return file;
}

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  AtomicFile out(path);
  write_checkpoint(out, checkpoint);
}

void write_checkpoint(AtomicFile& out, const Checkpoint& checkpoint) {
  const TensorFile file = file_of(checkpoint);
  std::map<std::string, TensorParts> tensors;
  for (const auto& [name, tensor] : file.tensors) tensors.emplace(name, parts_of(tensor));
  write_safetensors(out, tensors, file.metadata);
}

Checkpoint read_checkpoint(const std::string& path) {
  TensorFile file = read_safetensors(path);
  check(file.metadata.count("format") && file.metadata["format"] == kFormat,
        "{}: a safetensors file, but not a model of this program (metadata 'format' is not '{}')", path, kFormat);
  return checkpoint_of(std::move(file), path);
}

Checkpoint checkpoint_of(TensorFile file, const std::string& path) {
  const auto parse = [&](const char* key, bool required) {
    const auto it = file.metadata.find(key);
    check(it != file.metadata.end() || !required, "{}: metadata '{}' is missing", path, key);
    if (it == file.metadata.end()) return json();
    const std::string where = fmt::format("{}: metadata '{}'", path, key);
    json value = parse_json(it->second, where);
    check(value.is_object(), "{} is not a JSON object", where);
    return value;
  };
  SeenImages seen = take_seen(file.tensors, path);
  const json recipe = parse("recipe", false);
  // Files from before models remembered have no such key; those with a recipe were trained on something.
  const auto memory = file.metadata.find("seen");
  check(memory == file.metadata.end() || memory->second == "all" || memory->second == "some",
        "{}: metadata 'seen' is '{}', expected all or some", path, memory->second);
  seen.complete = memory == file.metadata.end() ? recipe.is_null() : memory->second == "all";
  const json calibration = parse("calibration", false);
  return {
      .model = parse("model", true),
      .recipe = recipe,
      .progress = parse("progress", false),
      .preprocess =
          preprocess_from_json(parse("preprocess", true), path + ": metadata 'preprocess'"),
      .tensors = std::move(file.tensors),
      .seen = std::move(seen),
      .calibration = calibration.is_null()
                         ? std::nullopt
                         : std::optional(calibration_from_json(
                               calibration, path + ": metadata 'calibration'"))};
}

std::map<std::string, Tensor> tensors_of(const NetworkState& state) {
  std::map<std::string, Tensor> tensors;
  for (const Parameter& parameter : state.parameters) tensors[parameter.name] = parameter.variable.value();
  for (const Buffer& buffer : state.buffers) tensors[buffer.name] = buffer.variable.value();
  return tensors;
}

void check_values(const std::string& name, const Tensor& tensor, const std::string& path) {
  // Zero times a number is zero, times anything else a NaN, which stays in the sum.
  const auto sum_of_zeros = [](const auto& values) {
    double sum = 0;
    const auto* at = values.data();
    const auto count = static_cast<int64_t>(values.size());
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += at[i] * 0;
    return sum;
  };
  const double sum = tensor.dtype() == DType::f32   ? sum_of_zeros(tensor.span<float>())
                     : tensor.dtype() == DType::f64 ? sum_of_zeros(tensor.span<double>())
                                                    : 0;
  check(sum == 0, "{}: tensor {} holds NaN or infinity, expected finite weights", path, name);
  check(!name.ends_with("running_var") || least_value(tensor) >= 0,
        "{}: tensor {} holds a number below 0, expected variances", path, name);
}

void restore(const Checkpoint& checkpoint, const NetworkState& state, const std::string& path) {
  auto wanted = tensors_of(state);
  std::vector<std::string> problems, left_over;
  for (auto& [name, tensor] : wanted) {
    const auto it = checkpoint.tensors.find(name);
    if (it == checkpoint.tensors.end()) {
      problems.push_back("missing " + name);
    } else if (!(it->second.shape() == tensor.shape()) || it->second.dtype() != tensor.dtype()) {
      problems.push_back(fmt::format("{} is {} {}, expected {} {}", name, name_of(it->second.dtype()),
                                     it->second.shape(), name_of(tensor.dtype()), tensor.shape()));
    }
  }
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (!wanted.count(name) && !name.starts_with("optimizer/")) left_over.push_back("left over " + name);
  }
  const bool many = problems.size() + left_over.size() > 10;  // then some of both
  const std::string separator = problems.empty() || left_over.empty() ? "" : "; ";
  check(problems.empty() && left_over.empty(), "{}: the tensors do not fit the network: {}{}{}", path,
        some_of(problems, "; ", many ? 5 : 10), separator, some_of(left_over, "; ", many ? 5 : 10));
  for (auto& [name, tensor] : wanted) check_values(name, checkpoint.tensors.at(name), path);
  for (auto& [name, tensor] : wanted) tensor.copy_from(checkpoint.tensors.at(name));
}

}  // namespace lookalike

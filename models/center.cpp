#include "models/center.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "engine/data/image_files.h"
#include "engine/data/pairs.h"
#include "engine/eval/embed.h"
#include "engine/eval/retrieval.h"
#include "engine/train/checkpoint.h"
#include "models/published_weights.h"

namespace lookalike {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMean = "center.mean";

}  // namespace

ImageFiles image_files_of(const std::string& images, std::vector<std::string>* skipped) {
  ImageFiles result;
  std::set<std::string> is_there;  // an image counts once, in however many pairs it is
  const auto add = [&](const std::string& file, PairSide side) {
    if (!is_there.insert(file).second) return;
    result.files.push_back(file);
    result.sides.push_back(side);
  };
  if (std::error_code none; fs::is_directory(images, none)) {
    const ImageListing listing = list_images(images);
    require_images(images, listing);
    result.passed_over = describe_passed_over(images, listing.passed_over);
    for (const std::string& path : listing.images) add(fs::path(images) / path, PairSide::any);
  } else if (images.ends_with(".csv")) {
    const fs::path folder = fs::path(images).parent_path();
    const ImageFolder left(folder / "left"), right(folder / "right");
    const auto find = [&](const ImageFolder& folder_of_side, const std::string& name, PairSide side) {
      try {
        add(folder_of_side.find(name, images), side);
      } catch (const Error& error) {
        if (!skipped) throw;
        skipped->push_back(error.what());
      }
    };
    for (const Pair& pair : read_pairs(images)) {
      find(left, pair.left, PairSide::left);
      find(right, pair.right, PairSide::right);
    }
  } else {
    add(images, PairSide::any);
  }
  return result;
}

EmbeddedImages embed_images_of(const Model& model, const std::string& images, const Compute& compute,
                               std::vector<std::string>* skipped) {
  prepare_network(*model.network, compute);
  const ImageFiles files = image_files_of(images, skipped);
  check(!files.files.empty(), "{}: none of its images is there", images);
  std::map<int64_t, std::string> unread;
  EmbeddedImages result{embed_files(*model.network, files.files, model.preprocess, compute, nullptr, PairSide::any,
                                    skipped ? &unread : nullptr),
                        files.sides};
  if (unread.empty()) return result;
  std::vector<int64_t> read;
  result.sides.clear();
  for (int64_t i = 0; i < std::ssize(files.files); i++) {
    if (const auto why = unread.find(i); why != unread.end()) {
      skipped->push_back(why->second);
      continue;
    }
    read.push_back(i);
    result.sides.push_back(files.sides[i]);
  }
  check(!read.empty(), "{}: none of its images can be read", images);
  result.rows = rows_of(result.rows, read);
  return result;
}

Tensor center_of(const Model& model, const std::string& images, const Compute& compute,
                 std::vector<std::string>* skipped) {
  return mean_row(embed_images_of(model, images, compute, skipped).rows);
}

void set_center(Model& model, const Tensor& center, const std::string& path) {
  check(!model.config.value("center", false), "{}: subtracts a mean already", path);
  model.network->layers.add<Center>("center", center);
  model.config["center"] = true;
}

void use_center(Model& model, const std::string& path, const std::string& source, const Compute& compute,
                std::vector<std::string>* skipped) {
  if (!source.ends_with(".safetensors")) return set_center(model, center_of(model, source, compute, skipped), path);
  const Checkpoint stored = read_checkpoint(source), own = read_checkpoint(weights_file(path));
  const auto found = stored.tensors.find(kMean);
  check(found != stored.tensors.end(), "{}: a model without a stored mean, expected one of `lookalike weights center`",
        source);
  const bool same = std::ranges::all_of(own.tensors, [&](const auto& entry) {
    const auto& [name, tensor] = entry;
    const auto other = stored.tensors.find(name);
    return name.starts_with("optimizer/") ||
           (other != stored.tensors.end() && other->second.bytes() == tensor.bytes() &&
            std::equal(tensor.raw(), tensor.raw() + tensor.bytes(), other->second.raw()));
  });
  const int64_t width = embedding_width(
      *model.network, {own.preprocess.height, own.preprocess.width, own.preprocess.channels}, path);
  check(found->second.dtype() == DType::f32 && found->second.shape() == Shape{width},
        "{}: tensor {} is {} {}, expected f32 [{}]", source, kMean, name_of(found->second.dtype()),
        found->second.shape(), width);
  check_values(kMean, found->second, source);
  check(same && to_json(stored.preprocess) == to_json(own.preprocess), "{}: its mean is that of another model than {}",
        source, path);
  set_center(model, found->second, path);
}

}  // namespace lookalike

#include "tools/image_inputs.h"

#include <filesystem>
#include <map>

#include "engine/core/output.h"
#include "engine/data/image_files.h"

namespace lookalike {

namespace fs = std::filesystem;

std::vector<std::string> image_inputs(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    if (std::error_code none; !fs::is_directory(input, none)) {
      files.push_back(input);
      continue;
    }
    const ImageListing listing = list_images(input);
    require_images(input, listing);
    if (!listing.passed_over.empty()) say_line(describe_passed_over(input, listing.passed_over));
    for (const std::string& path : listing.images) files.push_back(fs::path(input) / path);
  }
  return files;
}

IndexedImages embed_inputs(const Model& model, const std::vector<std::string>& files,
                           const Compute& compute, bool skip_corrupt, PairSide side,
                           EmbedTimes* times) {
  if (!skip_corrupt) check_images(files);
  std::map<int64_t, std::string> unread;
  IndexedImages images{.names = files};
  images.embeddings = comparable_rows(
      *model.network, embed_files(*model.network, files, model.preprocess, compute, times, side,
                                  skip_corrupt ? &unread : nullptr, &images.hashes));
  if (!unread.empty()) {
    for (const auto& [file, why] : unread) say("skipped: {}", why);
    std::vector<int64_t> read;
    for (int64_t i = 0; i < images.count(); i++)
      if (!unread.contains(i)) read.push_back(i);
    check(!read.empty(), "none of the {} images can be read", files.size());
    images.embeddings = rows_of(images.embeddings, read);
    for (size_t i = 0; i < read.size(); i++) {
      images.names[i] = images.names[read[i]];
      images.hashes[i] = images.hashes[read[i]];
    }
    images.names.resize(read.size());
    images.hashes.resize(read.size());
  }
  check_finite(images.embeddings, images.names);
  return images;
}

void prepare_model(Model& model, const Compute& compute) {
  model.network->fold();
  prepare_network(*model.network, compute);
}

}  // namespace lookalike

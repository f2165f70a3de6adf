#include "engine/data/seen_images.h"

#include <algorithm>
#include <iterator>

namespace lookalike {
namespace {

std::vector<uint64_t> united(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  std::vector<uint64_t> both;
  std::ranges::set_union(a, b, std::back_inserter(both));
  return both;
}

}  // namespace

bool SeenImages::trained_on(uint64_t hash) const {
  return std::ranges::binary_search(training, hash);
}

bool SeenImages::validated_on(uint64_t hash) const {
  return std::ranges::binary_search(validation, hash);
}

void SeenImages::add(const SeenImages& other) {
  training = united(training, other.training);
  validation = united(validation, other.validation);
  complete = complete && other.complete;
}

std::vector<uint64_t> hashes_of(const ImageStore& images) {
  std::vector<uint64_t> hashes;
  for (int64_t i = 0; i < images.size(); i++)
    if (images.error(i).empty()) hashes.push_back(images.content_hash(i));
  std::ranges::sort(hashes);
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

void write_seen(const SeenImages& seen, std::map<std::string, Tensor>& tensors) {
  const auto write = [&](const char* name, const std::vector<uint64_t>& hashes) {
    if (hashes.empty()) return;
    const std::vector<int64_t> values(hashes.begin(), hashes.end());
    tensors[std::string(kSeenPrefix) + name] = Tensor::from({std::ssize(values)}, values);
  };
  write("training", seen.training);
  write("validation", seen.validation);
}

SeenImages take_seen(std::map<std::string, Tensor>& tensors, const std::string& path) {
  const auto take = [&](const char* name) {
    const auto found = tensors.find(std::string(kSeenPrefix) + name);
    std::vector<uint64_t> hashes;
    if (found == tensors.end()) return hashes;
    const Tensor& tensor = found->second;
    check(tensor.dtype() == DType::i64 && tensor.shape().rank() == 1, "{}: {} is {} {}, expected i64 [images]", path,
          found->first, name_of(tensor.dtype()), tensor.shape());
    const auto values = tensor.span<int64_t>();
    hashes.assign(values.begin(), values.end());
    check(std::ranges::adjacent_find(hashes, std::ranges::greater_equal()) == hashes.end(), "{}: {} is not sorted",
          path, found->first);
    tensors.erase(found);
    return hashes;
  };
  return {take("training"), take("validation")};
}

}  // namespace lookalike

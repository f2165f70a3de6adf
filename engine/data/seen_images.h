// What a model has seen: content hashes of the images that trained it and of those that chose its epoch. They travel in its checkpoint, eight bytes
// an image, so that no figure is taken on them unawares.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/data/loader.h"

namespace lookalike {

struct SeenImages {
  std::vector<uint64_t> training, validation;  // sorted, each once
  // Whether that is all: not of a model that was trained before models remembered, nor of one that started from such weights.
  bool complete = true;

  bool empty() const { return training.empty() && validation.empty(); }
  bool trained_on(uint64_t hash) const;
  bool validated_on(uint64_t hash) const;
  void add(const SeenImages& other);
};

// The content hashes of the images that could be read, sorted, each once.
std::vector<uint64_t> hashes_of(const ImageStore& images);

// As tensors i64 of a checkpoint, "seen/training" and "seen/validation", none where nothing was seen.
constexpr const char* kSeenPrefix = "seen/";
void write_seen(const SeenImages& seen, std::map<std::string, Tensor>& tensors);
// Takes them out of `tensors`. Error, beginning with `path`, when they are no such list.
SeenImages take_seen(std::map<std::string, Tensor>& tensors, const std::string& path);

}  // namespace lookalike

// A network as training and use see it: layers from images to embeddings, of which the first may be frozen, and what stands on the
// embeddings: a head that only training needs (a decoder, a projector, classes), or one that judges pairs of them.
#pragma once

#include "engine/nn/matcher.h"
#include "engine/nn/module.h"

namespace lookalike {

// How two embeddings are compared: on unit vectors cosine and distance rank alike.
enum class Similarity : uint8_t { cosine, negative_distance };
// "cosine" and "distance"; Error on anything else.
const char* name_of(Similarity similarity);
Similarity parse_similarity(const std::string& name);

class Network : public Module {
 public:
  Sequential layers;                          // images [N,H,W,C] -> embeddings [N,D]
  std::unique_ptr<Sequential> training_head;  // embeddings -> what the loss sees; null: the embeddings themselves
  std::unique_ptr<Matcher> matcher;           // pairs of embeddings -> logits; null: they are compared by `similarity`
  Similarity similarity = Similarity::cosine;

  // Freezes all layers up to the one of that name, or to the last whose name begins with it and a dot ("layer3" is
  // "layer3.5"): no gradients, batch norm in evaluation mode, nothing kept for backward. Error that lists the layers when there is none.
  void freeze(const std::string& through);
  // What freeze() left to train. Layers whose names begin alike, up to a dot, are a stage; each stage's share of the learning rate is
  // `stage_decay` times that of the next one, the last one's is 1.
  std::vector<Parameter> trainable(double stage_decay = 1) const;

  // Embeddings are float in any precision.
  Variable forward(const Variable& images, const Mode& mode) override;
  // forward() in two parts, so that what the frozen layers make can be kept.
  Variable forward_frozen(const Variable& images);
  Variable forward_trained(const Variable& features, const Mode& mode);
  // From the features of the frozen layers to what the loss sees.
  Variable training_output(const Variable& features, const Mode& mode);
  void collect(const std::string& prefix, NetworkState& state) const override;
  void fold() override { layers.fold(); }
  // What the layers that are not frozen, and the training head, make of one image [H,W,C], in bytes
  // of f32: the least that training keeps of it until backward. Computes shapes alone; Error where
  // the layers can't take such images.
  int64_t activation_bytes(const Shape& image);
  // The layers that freeze() froze.
  std::vector<std::string> frozen_names() const;
  NetworkState frozen_state() const;

 private:
  size_t frozen_ = 0;  // layers
};

}  // namespace lookalike

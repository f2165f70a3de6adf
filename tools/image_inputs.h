// The images that a command line names, INPUT..., and their embeddings.
#pragma once

#include <string>
#include <vector>

#include "engine/eval/embed.h"
#include "engine/search/index_file.h"
#include "models/model.h"

namespace lookalike {

// Files as they are, and for a folder the images in it at any depth. What is passed over is said.
std::vector<std::string> image_inputs(const std::vector<std::string>& inputs);

// Their embeddings as they are handed out (comparable_rows), named by their paths. Images that can't
// be read are an Error, or left out and said.
IndexedImages embed_inputs(const Model& model, const std::vector<std::string>& files,
                           const Compute& compute, bool skip_corrupt, PairSide side = PairSide::any,
                           EmbedTimes* times = nullptr);

// Makes a model that was loaded ready to embed on the device of `compute`.
void prepare_model(Model& model, const Compute& compute);

}  // namespace lookalike

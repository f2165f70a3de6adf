// Embeddings minus their mean over some set of images: cosine then compares what sets a picture apart, which helps networks that were
// trained for something else.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"

namespace lookalike {

// The images that a folder, a file of pairs or the path of one image stands for, and the side of each.
struct ImageFiles {
  std::vector<std::string> files;
  std::vector<PairSide> sides;  // left and right of pairs
  std::string passed_over;      // a line on what in the folder is no image, "" where nothing is
};
// Given a list, what a file of pairs names and is not there is left out, with a line for each.
ImageFiles image_files_of(const std::string& images, std::vector<std::string>* skipped = nullptr);

// Their embeddings [n,D] before anything is subtracted, and the side of each. Given a list, images that can't be read are left out, with a line for each.
struct EmbeddedImages {
  Tensor rows;
  std::vector<PairSide> sides;
};
EmbeddedImages embed_images_of(const Model& model, const std::string& images, const Compute& compute,
                               std::vector<std::string>* skipped);

// The mean embedding [D] of these images: all in a folder, those that a file of pairs names beside it in left/ and right/, or one image.
Tensor center_of(const Model& model, const std::string& images, const Compute& compute,
                 std::vector<std::string>* skipped = nullptr);

// From now on the model subtracts this mean. It is on no device yet. Error where it has one already; messages begin with `path`.
void set_center(Model& model, const Tensor& center, const std::string& path);

// What --center asks for: the mean of `source` as center_of() takes it, or the one stored in a model's .safetensors file, which must be the
// same network as `model`, read from `path`.
void use_center(Model& model, const std::string& path, const std::string& source, const Compute& compute,
                std::vector<std::string>* skipped = nullptr);

}  // namespace lookalike

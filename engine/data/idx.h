// IDX files, the form of MNIST and Fashion-MNIST (http://yann.lecun.com/exdb/mnist): a big-endian header (two zeros, type 8 for bytes,
// the number of dimensions, each dimension), then the values. Plain or compressed with gzip; what a header claims is
// checked against the file before any memory is taken for it.
#pragma once

#include "engine/data/raw_images.h"

namespace lookalike {

// Grey images and a label for each; the classes are the numbers from 0 to the largest label. Error when a file is not
// what its name says, ends early or goes on, or when there are not as many labels as images.
RawImages read_idx(const std::string& images, const std::string& labels);

}  // namespace lookalike

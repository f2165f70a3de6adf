// N-way one-shot classification within a group of classes (Lake, Salakhutdinov and Tenenbaum, "Human-level concept
// learning through probabilistic program induction", Science 2015): of each class one image is known, another is asked.
#pragma once

#include "engine/data/classes.h"
#include "engine/eval/protocol.h"

namespace lookalike {

struct OneShot {
  Protocol protocol;                 // left images are asked, right ones known
  std::vector<int64_t> left, right;  // which image of the data each of them is
};

// Each of `runs` in each group draws `ways` of its classes (all where there are fewer) and, where all have equally many
// images, two numbers: the images with the first of them in each class ("one drawer's") are ranked against the
// classes' images with the second. Where they have not, two images of each class are drawn instead. Classes of one
// image and groups of one class are left out. `data` needs names, labels and classes alone. Error unless ways >= 2 and
// runs >= 1, and when no group is left.
OneShot make_one_shot(const ClassData& data, int64_t ways, int64_t runs, uint64_t seed);

}  // namespace lookalike

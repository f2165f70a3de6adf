// The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): records of one label
// (of CIFAR-100 the coarse one, then the fine one) and 32x32 pixels, all red ones, all green ones, all blue ones.
#pragma once

#include <span>

#include "engine/data/raw_images.h"

namespace lookalike {

// The records of all files, with the last of `labels` labels each. The names of the classes are the lines of
// `names`, or numbers where there is no such file. Error when a file holds no whole records, a label is not below
// `classes`, or the names are not `classes` lines.
RawImages read_cifar(std::span<const std::string> files, const std::string& names, int64_t labels, int64_t classes);

}  // namespace lookalike

// What a network learns, and what it merely keeps: both have names that checkpoints use, dotted by layer
// ("conv1.weight").
#pragma once

#include <string>
#include <vector>

#include "engine/autograd/variable.h"

namespace lookalike {

struct Parameter {
  std::string name;
  Variable variable;
  bool decay = true;  // false for biases and for the gain and shift of a normalisation: weight decay leaves them alone
  double rate = 1;    // its share of the learning rate
};

struct Buffer {
  std::string name;
  Variable variable;  // shared with the layer; requires no gradient
};

struct NetworkState {
  std::vector<Parameter> parameters;
  std::vector<Buffer> buffers;
};

}  // namespace lookalike

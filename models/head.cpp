// What stands on the embeddings of any network, and how networks for ImageNet end. [model.head]:
//   dropout = 0        of the network's features, in training
//   dense = []         hidden layers: linear, ReLU, and with norm = true batch norm with norm_epsilon and norm_momentum, the weight of a
//                      new value in its running averages
//   embedding = 0      a last linear layer; 0: none
//   normalize = true   rows to length 1 behind these
//   projector = []     for training alone (Zbontar et al., "Barlow Twins", 2021): linear, batch norm and ReLU, the last one linear alone
//   matcher = none     how a pair is judged: none (by `similarity`), classifier (|a - b| and a * b through `matcher_hidden` ReLU units to
//                      one logit), distance (a weighted sum of |a - b|)
#include "models/model.h"

namespace lookalike {

void add_pooling_and_classes(Options& options, Initializer& init, int64_t channels, Network& network) {
  const bool average = options.choice("pool", "avg", {"avg", "flatten"}) == "avg";
  const int64_t classes = options.integer("classes", 0, 0, kMostChannels);
  check(average || classes == 0, "{}: classes = {} with pool = flatten, expected pool = avg", options.where(), classes);
  if (average)
    network.layers.add<GridAvgPool>("pool", 1);
  else
    network.layers.add<Flatten>("pool");
  if (classes == 0) return;
  network.training_head = std::make_unique<Sequential>();
  network.training_head->add<Linear>("fc", init, channels, classes);
}

int64_t embedding_width(Network& network, const Shape& input, const std::string& where) {
  const NoGrad no_grad;
  const Tensor image({1, input[0], input[1], input[2]}, DType::f32, Device::meta);
  const Shape features = network.layers.forward(Variable(image), {}).shape();
  check(features.rank() == 2, "{}: the network ends in {}, expected one row for each image", where, features);
  return features[1];
}

void add_head(Options& options, const Shape& input, Initializer& init, Network& network) {
  const double dropout = options.number("dropout", 0, 0, 0.99);
  const auto dense = options.integers("dense", {}, 1, kMostChannels);
  const bool norm = options.flag("norm", false);
  const BatchNormOptions norm_options{
      .momentum = options.number("norm_momentum", 0.1, 0, 1),
      .epsilon = options.number("norm_epsilon", 1e-5, kLeastEpsilon, 1)};
  const int64_t embedding = options.integer("embedding", 0, 0, kMostChannels);
  const bool normalize = options.flag("normalize", true);
  const auto projector = options.integers("projector", {}, 1, kMostChannels);
  const std::string matcher = options.choice("matcher", "none", {"none", "classifier", "distance"});

  Sequential& layers = network.layers;
  int64_t width = embedding_width(network, input, options.where());
  if (dropout > 0) layers.add<Dropout>("head.dropout", dropout);
  for (size_t i = 0; i < dense.size(); i++) {
    layers.add<Linear>(fmt::format("head.dense{}", i + 1), init, width, dense[i], Activation{ActivationKind::relu});
    width = dense[i];
    if (norm) layers.add<BatchNorm>(fmt::format("head.norm{}", i + 1), width, norm_options);
  }
  if (embedding > 0) {
    layers.add<Linear>("head.embedding", init, width, embedding);
    width = embedding;
  }
  if (normalize) layers.add<L2Normalize>("head.normalize");

  if (!projector.empty()) {
    check(network.training_head == nullptr, "{}: projector on a network that has a decoder or classes",
          options.where());
    auto head = std::make_unique<Sequential>();
    int64_t in = width;
    for (size_t i = 0; i < projector.size(); i++) {
      head->add<Linear>(fmt::format("projector.dense{}", i + 1), init, in, projector[i], Activation{}, false);
      in = projector[i];
      if (i + 1 == projector.size()) break;
      head->add<BatchNorm>(fmt::format("projector.norm{}", i + 1), in,
                           BatchNormOptions{.activation = {ActivationKind::relu}});
    }
    network.training_head = std::move(head);
  }

  if (matcher == "none") return;
  Sequential judge;
  const bool classifier = matcher == "classifier";
  int64_t in = classifier ? 2 * width : width;
  if (classifier) {
    const int64_t hidden = options.integer("matcher_hidden", 64, 1, kMostChannels);
    judge.add<Linear>("dense", init, in, hidden, Activation{ActivationKind::relu});
    in = hidden;
  }
  judge.add<Linear>("output", init, in, 1);
  network.matcher =
      std::make_unique<Matcher>(classifier ? PairFeatures::both : PairFeatures::difference, std::move(judge));
}

}  // namespace lookalike

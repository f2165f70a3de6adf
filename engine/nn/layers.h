// The layers that networks are built from. Weights start as in PyTorch: uniform in +-1 / sqrt(fan_in), biases too.
#pragma once

#include <limits>

#include "engine/core/random.h"
#include "engine/nn/module.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/conv_transpose2d.h"
#include "engine/ops/depthwise_conv2d.h"

namespace lookalike {

// Where initial weights come from. Each layer takes the next stream of the seed, so a layer's numbers depend on its
// place alone.
class Initializer {
 public:
  explicit Initializer(uint64_t seed) : seed_(seed) {}
  // Weights on Device::meta, at most `limit` in all.
  static Initializer of_shapes(int64_t limit);
  // Uniform in [-bound, bound]. Error beyond the limit.
  Variable uniform(const Shape& shape, double bound);
  // How many weights there are so far.
  int64_t count() const { return count_; }

 private:
  uint64_t seed_;
  Device device_ = Device::cpu;
  int64_t count_ = 0, limit_ = std::numeric_limits<int64_t>::max();
  uint64_t next_ = 0;
};

// [N,H,W,in] -> [N,H',W',out], with fused activation and 2x2 max pooling as in Conv2dOptions. Without bias a BatchNorm
// follows.
class Conv2d : public Module {
 public:
  Conv2d(Initializer& init, int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options, bool bias = true);
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;
  Variable forward_plus(const Variable& x, const Variable& shortcut, const Activation& f, const Mode& mode) override;
  void fold() override { conv_.pack(); }
  bool absorb(const BatchNorm& norm) override;
  // Packed after fold().
  const PackedConv2d& conv() const { return conv_; }

 private:
  PackedConv2d conv_;
};

// [N,H,W,channels] -> [N,H',W',channels], each channel with a filter of its own, with fused activation.
class DepthwiseConv2d : public Module {
 public:
  DepthwiseConv2d(Initializer& init, int64_t channels, int64_t kernel, const DepthwiseConv2dOptions& options,
                  bool bias = true);
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;
  bool absorb(const BatchNorm& norm) override;
  const Variable& weight() const { return weight_; }
  const Variable& bias() const { return bias_; }
  const DepthwiseConv2dOptions& options() const { return options_; }

 private:
  Variable weight_, bias_;
  DepthwiseConv2dOptions options_;
};

// [N,H,W,in] -> [N,H',W',out], with fused activation; sizes as in ConvTranspose2dOptions. What PyTorch takes for fan_in here is
// that of the weights as they lie: kernel * kernel * out.
class ConvTranspose2d : public Module {
 public:
  ConvTranspose2d(Initializer& init, int64_t in, int64_t out, int64_t kernel, const ConvTranspose2dOptions& options);
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;

 private:
  Variable weight_, bias_;
  ConvTranspose2dOptions options_;
};

// [N,in] -> [N,out], with fused activation.
class Linear : public Module {
 public:
  Linear(Initializer& init, int64_t in, int64_t out, const Activation& activation = {}, bool bias = true);
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;

 private:
  Variable weight_, bias_;
  Activation activation_;
};

// [N,C] or [N,H,W,C]; with fused activation and 2x2 max pooling as in BatchNormOptions, whose views and training come
// from the mode. A momentum of 0 keeps the running averages, which then are the statistics in training, too.
class BatchNorm : public Module {
 public:
  BatchNorm(int64_t channels, const BatchNormOptions& options = {});
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;
  const BatchNormOptions& options() const { return options_; }
  // What evaluation makes of channel c before activation and pooling: scale[c] * x + shift[c].
  struct Line {
    std::vector<float> scale, shift;
  };
  Line line() const;

 private:
  Variable gamma_, beta_, running_mean_, running_var_;
  BatchNormOptions options_;
};

// The maximum over size x size windows, as max_pool2d.
class MaxPool : public Module {
 public:
  MaxPool(int64_t size, int64_t stride, int64_t padding) : size_(size), stride_(stride), padding_(padding) {}
  Variable forward(const Variable& x, const Mode& mode) override;

 private:
  int64_t size_, stride_, padding_;
};

// Averages over grid x grid equal fields: [N,H,W,C] -> [N, grid * grid * C]. A grid of 1 is global average pooling.
class GridAvgPool : public Module {
 public:
  explicit GridAvgPool(int64_t grid) : grid_(grid) {}
  Variable forward(const Variable& x, const Mode& mode) override;

 private:
  int64_t grid_;
};

// Averages over windows of size x size side by side.
class AvgPool : public Module {
 public:
  explicit AvgPool(int64_t size) : size_(size) {}
  Variable forward(const Variable& x, const Mode& mode) override;

 private:
  int64_t size_;
};

// [N,...] -> [N,rest]
class Flatten : public Module {
 public:
  Variable forward(const Variable& x, const Mode& mode) override;
};

// [N,height*width*channels] -> [N,height,width,channels]
class Unflatten : public Module {
 public:
  Unflatten(int64_t height, int64_t width, int64_t channels) : height_(height), width_(width), channels_(channels) {}
  Variable forward(const Variable& x, const Mode& mode) override;

 private:
  int64_t height_, width_, channels_;
};

// [N,D] minus a mean [D] that stays as it is.
class Center : public Module {
 public:
  explicit Center(const Tensor& mean);
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;

 private:
  Variable mean_, one_, zero_;
};

// [N,D] minus the mean [D] of the images' side, projected to directions [K,D], then scaled to length 1; all of it stays as it is.
class Whiten : public Module {
 public:
  Whiten(const Tensor& mean, const Tensor& left_mean, const Tensor& right_mean, const Tensor& directions);
  Variable forward(const Variable& x, const Mode& mode) override;
  void collect(const std::string& prefix, NetworkState& state) const override;

 private:
  Center any_, left_, right_;
  Variable directions_;
};

// In training elements are dropped with probability `rate`, as mode.seed has it.
class Dropout : public Module {
 public:
  explicit Dropout(double rate) : rate_(rate) {}
  Variable forward(const Variable& x, const Mode& mode) override;

 private:
  double rate_;
};

// Rows of [N,D] scaled to length 1.
class L2Normalize : public Module {
 public:
  Variable forward(const Variable& x, const Mode& mode) override;
};

}  // namespace lookalike

#include "engine/nn/layers.h"

#include <cmath>

#include "engine/ops/dropout.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/pool2d.h"
#include "engine/ops/views.h"

namespace lookalike {

Initializer Initializer::of_shapes(int64_t limit) {
  Initializer result(0);
  result.device_ = Device::meta, result.limit_ = limit;
  return result;
}

Variable Initializer::uniform(const Shape& shape, double bound) {
  check(shape.size() <= limit_ - count_,
        "weights {} make the network too large, expected at most {} weights in all", shape, limit_);
  count_ += shape.size();
  if (device_ == Device::meta) return Variable(Tensor(shape, DType::f32, Device::meta), true);
  Random random(seed_, RandomUse::weights, next_++);
  Tensor values(shape);
  for (float& x : values.span<float>()) x = random.uniform(static_cast<float>(-bound), static_cast<float>(bound));
  return Variable(values, true);
}

namespace {

// Weights and bias with the line of a batch norm put on each output channel, of which `channel` says which one element i is for.
template <class Channel>
void put_line(const BatchNorm::Line& line, Variable& weight, Variable& bias, const Channel& channel) {
  const Device device = weight.device();
  Tensor w = weight.value().to(Device::cpu).clone(), b = Tensor::from({std::ssize(line.shift)}, line.shift);
  for (int64_t i = 0; i < w.size(); i++) w.data<float>()[i] *= line.scale[channel(i)];
  if (bias.defined()) {
    const Tensor old = bias.value().to(Device::cpu);
    for (int64_t c = 0; c < b.size(); c++) b.data<float>()[c] += line.scale[c] * old.data<float>()[c];
  }
  weight = Variable(w.to(device)), bias = Variable(b.to(device));
}

}  // namespace

Conv2d::Conv2d(Initializer& init, int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options, bool bias)
    : conv_{.weight = {}, .bias = {}, .options = options, .packed = {}} {
  const double bound = 1 / std::sqrt(static_cast<double>(kernel * kernel * in));
  conv_.weight = init.uniform({out, kernel, kernel, in}, bound);
  if (bias) conv_.bias = init.uniform({out}, bound);
}

Variable Conv2d::forward(const Variable& x, const Mode& mode) {
  if (conv_.packed.defined() && !will_record({x, conv_.weight})) return conv2d(x, conv_);
  Conv2dOptions options = conv_.options;
  if (!conv_.bias.defined() && mode.training) options.statistics_views = mode.views;
  return conv2d(x, conv_.weight, conv_.bias, options);
}

Variable Conv2d::forward_plus(const Variable& x, const Variable& shortcut, const Activation& f, const Mode& mode) {
  const bool linear = conv_.options.activation.kind == ActivationKind::none && conv_.options.max_pool == 1;
  if (!conv_.packed.defined() || !linear || will_record({x, conv_.weight, shortcut}))
    return Module::forward_plus(x, shortcut, f, mode);
  PackedConv2d active = conv_;
  active.options.activation = f;
  return conv2d(x, active, shortcut);
}

void Conv2d::collect(const std::string& prefix, NetworkState& state) const {
  state.parameters.push_back({prefix + "weight", conv_.weight});
  if (conv_.bias.defined()) state.parameters.push_back({prefix + "bias", conv_.bias, false});
}

bool Conv2d::absorb(const BatchNorm& norm) {
  const auto& [activation, pool] = std::pair(norm.options().activation, norm.options().max_pool);
  const bool increases = activation.kind != ActivationKind::sigmoid && activation.kind != ActivationKind::relu6;
  if (conv_.options.activation.kind != ActivationKind::none || conv_.options.max_pool > 1 || (pool > 1 && !increases))
    return false;
  const int64_t window = conv_.weight.shape().row_size();
  put_line(norm.line(), conv_.weight, conv_.bias, [window](int64_t i) { return i / window; });
  conv_.options.activation = activation, conv_.options.max_pool = pool;
  fold();
  return true;
}

DepthwiseConv2d::DepthwiseConv2d(Initializer& init, int64_t channels, int64_t kernel,
                                 const DepthwiseConv2dOptions& options, bool bias)
    : options_(options) {
  const double bound = 1 / static_cast<double>(kernel);
  weight_ = init.uniform({kernel, kernel, channels}, bound);
  if (bias) bias_ = init.uniform({channels}, bound);
}

Variable DepthwiseConv2d::forward(const Variable& x, const Mode&) {
  return depthwise_conv2d(x, weight_, bias_, options_);
}

void DepthwiseConv2d::collect(const std::string& prefix, NetworkState& state) const {
  state.parameters.push_back({prefix + "weight", weight_});
  if (bias_.defined()) state.parameters.push_back({prefix + "bias", bias_, false});
}

bool DepthwiseConv2d::absorb(const BatchNorm& norm) {
  if (options_.activation.kind != ActivationKind::none || norm.options().max_pool > 1) return false;
  const int64_t channels = weight_.shape()[2];
  put_line(norm.line(), weight_, bias_, [channels](int64_t i) { return i % channels; });
  options_.activation = norm.options().activation;
  return true;
}

ConvTranspose2d::ConvTranspose2d(Initializer& init, int64_t in, int64_t out, int64_t kernel,
                                 const ConvTranspose2dOptions& options)
    : options_(options) {
  const double bound = 1 / std::sqrt(static_cast<double>(kernel * kernel * out));
  weight_ = init.uniform({in, kernel, kernel, out}, bound);
  bias_ = init.uniform({out}, bound);
}

Variable ConvTranspose2d::forward(const Variable& x, const Mode&) {
  return conv_transpose2d(x, weight_, bias_, options_);
}

void ConvTranspose2d::collect(const std::string& prefix, NetworkState& state) const {
  state.parameters.push_back({prefix + "weight", weight_});
  state.parameters.push_back({prefix + "bias", bias_, false});
}

Linear::Linear(Initializer& init, int64_t in, int64_t out, const Activation& activation, bool bias)
    : activation_(activation) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight_ = init.uniform({out, in}, bound);
  if (bias) bias_ = init.uniform({out}, bound);
}

Variable Linear::forward(const Variable& x, const Mode&) {
  return linear(x, weight_, bias_, activation_);
}

void Linear::collect(const std::string& prefix, NetworkState& state) const {
  state.parameters.push_back({prefix + "weight", weight_});
  if (bias_.defined()) state.parameters.push_back({prefix + "bias", bias_, false});
}

BatchNorm::BatchNorm(int64_t channels, const BatchNormOptions& options)
    : gamma_(Tensor({channels}), true),
      beta_(Tensor::zeros({channels}), true),
      running_mean_(Tensor::zeros({channels})),
      running_var_(Tensor({channels})),
      options_(options) {
  gamma_.value().fill(1);
  running_var_.value().fill(1);
}

Variable BatchNorm::forward(const Variable& x, const Mode& mode) {
  BatchNormOptions options = options_;
  options.training = mode.training && options.momentum > 0;
  options.views = mode.views;
  return batch_norm(x, gamma_, beta_, running_mean_.value(), running_var_.value(), options);
}

void BatchNorm::collect(const std::string& prefix, NetworkState& state) const {
  state.parameters.push_back({prefix + "weight", gamma_, false});
  state.parameters.push_back({prefix + "bias", beta_, false});
  state.buffers.push_back({prefix + "running_mean", running_mean_});
  state.buffers.push_back({prefix + "running_var", running_var_});
}

BatchNorm::Line BatchNorm::line() const {
  Line line;
  const auto values = [](const Variable& of) { return of.value().to(Device::cpu); };
  const Tensor gamma = values(gamma_), beta = values(beta_), mean = values(running_mean_), var = values(running_var_);
  for (int64_t c = 0; c < gamma.size(); c++) {
    const double scale = gamma.data<float>()[c] / std::sqrt(var.data<float>()[c] + options_.epsilon);
    line.scale.push_back(static_cast<float>(scale));
    line.shift.push_back(static_cast<float>(beta.data<float>()[c] - scale * mean.data<float>()[c]));
  }
  return line;
}

Variable MaxPool::forward(const Variable& x, const Mode&) {
  return max_pool2d(x, size_, stride_, padding_);
}

Variable GridAvgPool::forward(const Variable& x, const Mode&) {
  return grid_ == 1 ? global_avg_pool(x) : flatten(avg_pool2d(x, x.shape()[1] / grid_));
}

Variable AvgPool::forward(const Variable& x, const Mode&) {
  return avg_pool2d(x, size_);
}

Variable Unflatten::forward(const Variable& x, const Mode&) {
  return reshape(x, {x.shape()[0], height_, width_, channels_});
}

Variable Flatten::forward(const Variable& x, const Mode&) {
  return flatten(x);
}

Center::Center(const Tensor& mean) : mean_(mean), one_(Tensor(mean.shape())), zero_(Tensor::zeros(mean.shape())) {
  one_.value().fill(1);
}

// A batch norm of variance 1.
Variable Center::forward(const Variable& x, const Mode&) {
  const auto there = [&](const Variable& of) { return Variable(of.value().to(x.device()).to(mean_.dtype())); };
  Tensor variance = there(one_).value();
  return batch_norm(x, there(one_), there(zero_), mean_.value(), variance, {.training = false, .epsilon = 0});
}

void Center::collect(const std::string& prefix, NetworkState& state) const {
  state.buffers.push_back({prefix + "mean", mean_});
}

Whiten::Whiten(const Tensor& mean, const Tensor& left_mean, const Tensor& right_mean, const Tensor& directions)
    : any_(mean), left_(left_mean), right_(right_mean), directions_(directions) {}

Variable Whiten::forward(const Variable& x, const Mode& mode) {
  Center& center = mode.side == PairSide::left ? left_ : mode.side == PairSide::right ? right_ : any_;
  const Variable centred = center.forward(x, mode);
  return l2_normalize(linear(centred, Variable(directions_.value().to(centred.dtype())), Variable()));
}

void Whiten::collect(const std::string& prefix, NetworkState& state) const {
  any_.collect(prefix, state);
  left_.collect(prefix + "left_", state);
  right_.collect(prefix + "right_", state);
  state.buffers.push_back({prefix + "directions", directions_});
}

Variable Dropout::forward(const Variable& x, const Mode& mode) {
  return mode.training ? dropout(x, rate_, mode.seed) : x;
}

Variable L2Normalize::forward(const Variable& x, const Mode&) {
  return l2_normalize(x);
}

}  // namespace lookalike

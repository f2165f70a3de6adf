#include "bench/gpu_bench.h"
#include "kernels/accumulate.h"
#include "kernels/add.h"
#include "kernels/batch_norm.h"
#include "kernels/cast.h"
#include "kernels/concat.h"
#include "kernels/depthwise_conv2d.h"
#include "kernels/fill.h"
#include "kernels/gather_rows.h"
#include "kernels/grad_norm.h"
#include "kernels/image_batch.h"
#include "kernels/l2_normalize.h"
#include "kernels/matmul.h"
#include "kernels/optimizer_step.h"
#include "kernels/pair_features.h"
#include "kernels/pointwise_loss.h"
#include "kernels/pool2d.h"
#include "kernels/softmax_cross_entropy.h"

namespace lookalike {

template <class T>
void bench_memory(Bench& bench) {
  // The first batch norm of convnet_bn, with its pool, on 2 x 64 images of 64x64.
  const BatchNormParams bn{2, bench.tiny ? 4 : 128, bench.tiny ? 16 : 64, bench.tiny ? 16 : 64, 32};
  const int64_t n = bn.images * bn.height * bn.width * bn.channels;
  const double bytes = kSize<T> * static_cast<double>(n);
  const Activation leaky{ActivationKind::leaky_relu, 0.1};
  std::map<std::string, std::pair<double, std::vector<Call>>> calls;  // by name: bytes moved, calls
  for (int i = 0; i < bench.sets(3 * bytes); i++) {
    const auto x = random_array<T>(n), dy = random_array<T>(n), y = random_array<T>(n);
    const auto gamma = random_array<float>(bn.channels), beta = random_array<float>(bn.channels);
    const auto mean = random_array<float>(2 * bn.channels), variance = random_array<float>(2 * bn.channels);
    cuda::fill(variance->data(), 1, variance->size(), gpu::compute_stream());
    const auto work = std::make_shared<Array<double>>(cuda::batch_norm_workspace(bn));
    const auto sums = std::make_shared<Array<double>>(4 * bn.channels);
    gpu::fill_bytes(sums->data(), 0, 8 * sums->size(), gpu::compute_stream());
    const auto add_bytes = [&](const char* name, double moved, Call call) {
      auto& entry = calls[name];
      entry.first = moved;
      entry.second.push_back(std::move(call));
    };
    const auto add = [&](const char* name, double arrays, Call call) {
      add_bytes(name, arrays * bytes, std::move(call));
    };
    add("accumulate", 3, [=](gpu::Stream on) { cuda::accumulate<T>(x->data(), y->data(), n, on); });
    add("activation forward", 2,
        [=](gpu::Stream on) { cuda::activation_forward<T>(leaky, x->data(), y->data(), n, on); });
    add("activation backward", 3,
        [=](gpu::Stream on) { cuda::activation_backward<T>(leaky, x->data(), dy->data(), y->data(), n, on); });
    add("add", 3, [=](gpu::Stream on) { cuda::add_forward<T>(leaky, x->data(), dy->data(), y->data(), n, on); });
    add("batch norm statistics", 1, [=](gpu::Stream on) {
      cuda::batch_norm_statistics<T>(bn, x->data(), work->data(), mean->data(), variance->data(), on);
    });
    add("batch norm forward", 2, [=](gpu::Stream on) {
      cuda::batch_norm_forward<T>(bn, x->data(), mean->data(), variance->data(), gamma->data(), beta->data(), y->data(),
                                  nullptr, on);
    });
    add("batch norm reduce", 2, [=](gpu::Stream on) {
      cuda::batch_norm_reduce<T>(bn, x->data(), mean->data(), variance->data(), gamma->data(), beta->data(), dy->data(),
                                 work->data(), sums->data(), gamma->data(), beta->data(), on);
    });
    add("batch norm backward", 3, [=](gpu::Stream on) {
      cuda::batch_norm_backward<T>(bn, x->data(), nullptr, mean->data(), variance->data(), gamma->data(), beta->data(),
                                   dy->data(), sums->data(), y->data(), on);
    });

    // Other shapes in the same memory, as many rows or images as fit.
    const Pool2dParams pool{bn.images, bn.height, bn.width, bn.channels, 2, 2};
    const auto winners = std::make_shared<Array<uint8_t>>(n / 4);
    gpu::fill_bytes(winners->data(), 0, n / 4, gpu::compute_stream());
    const double count = static_cast<double>(n);
    add_bytes("max_pool2d forward", 1.25 * bytes + count / 4,
              [=](gpu::Stream on) { cuda::max_pool2d_forward<T>(pool, x->data(), y->data(), winners->data(), on); });
    add_bytes("max_pool2d backward", 1.25 * bytes + count / 4,
              [=](gpu::Stream on) { cuda::max_pool2d_backward<T>(pool, dy->data(), winners->data(), y->data(), on); });
    // The end of ResNet50.
    const int64_t wide = bench.tiny ? 128 : 2048, maps = n / (49 * wide);
    const double map_bytes = kSize<T> * static_cast<double>(maps * wide * 50);
    add_bytes("global average pool forward", map_bytes,
              [=](gpu::Stream on) { cuda::global_avg_pool_forward<T>(maps, 49, wide, x->data(), y->data(), on); });
    add_bytes("global average pool backward", map_bytes,
              [=](gpu::Stream on) { cuda::global_avg_pool_backward<T>(maps, 49, wide, dy->data(), y->data(), on); });
    // siamese_cnn 1.
    const int64_t side = bench.tiny ? 16 : 64;
    Conv2dParams first = conv(n / (side * side * 64), side, 3, 64, 5);
    first.activation = {ActivationKind::relu}, first.pool = 2;
    const auto bias = std::make_shared<Array<float>>(64);
    const auto conv_work = std::make_shared<Array<T>>(cuda::conv2d_workspace<T>(first).backward_weights);
    add_bytes("conv output gradient", 1.5 * bytes + count / 4, [=](gpu::Stream on) {
      cuda::conv2d_output_gradient<T>(first, dy->data(), x->data(), winners->data(), y->data(), bias->data(),
                                      conv_work->data(), on);
    });
    add("concat forward", 2,
        [=](gpu::Stream on) { cuda::concat_forward<T>(n / 128, 64, 64, x->data(), x->data() + n / 2, y->data(), on); });
    add("concat backward", 2, [=](gpu::Stream on) {
      cuda::concat_backward<T>(n / 128, 64, 64, dy->data(), y->data(), y->data() + n / 2, on);
    });
    const int64_t d = 128, rows = n / d * static_cast<int64_t>(sizeof(T)) / 4;
    const double row_bytes = static_cast<double>(rows) * (d * (4 + kSize<T>)+4);
    const auto scale = std::make_shared<Array<float>>(rows);
    const auto floats = [](const auto& array) { return reinterpret_cast<float*>(array->data()); };
    add_bytes("l2_normalize forward", row_bytes, [=](gpu::Stream on) {
      cuda::l2_normalize_forward<T>(x->data(), rows, d, 1e-12, floats(y), scale->data(), on);
    });
    add_bytes("l2_normalize backward", row_bytes + static_cast<double>(4 * rows * d), [=](gpu::Stream on) {
      cuda::l2_normalize_backward<T>(floats(x), scale->data(), floats(dy), rows, d, y->data(), on);
    });
    const auto sum_work = std::make_shared<Array<T>>(cuda::column_sums_workspace<T>(n / d, d));
    add("column_sums", 1,
        [=](gpu::Stream on) { cuda::column_sums<T>(n / d, d, x->data(), scale->data(), sum_work->data(), on); });
    const int64_t pairs = n / d / 2;
    add("pair_features forward", 2, [=](gpu::Stream on) {
      cuda::pair_features_forward<T>(PairFeatures::both, x->data(), x->data() + pairs * d, pairs, d, y->data(), on);
    });
    add("pair_features backward", 3, [=](gpu::Stream on) {
      cuda::pair_features_backward<T>(PairFeatures::both, x->data(), x->data() + pairs * d, dy->data(), pairs, d,
                                      y->data(), y->data() + pairs * d, on);
    });
    // A permutation: each row once.
    std::vector<int32_t> shuffled(n / d), firsts(n / d + 1);
    std::iota(shuffled.begin(), shuffled.end(), 0), std::iota(firsts.begin(), firsts.end(), 0);
    Random(0, RandomUse::test).shuffle(std::span(shuffled));
    const auto order = upload(shuffled), begin = upload(firsts);
    add("gather_rows forward", 2,
        [=](gpu::Stream on) { cuda::gather_rows_forward<T>(x->data(), order->data(), n / d, d, y->data(), on); });
    add("gather_rows backward", 2, [=](gpu::Stream on) {
      cuda::gather_rows_backward<T>(dy->data(), begin->data(), order->data(), n / d, d, y->data(), on);
    });
    const auto loss = std::make_shared<Array<float>>(1);
    const auto loss_work = std::make_shared<Array<double>>(cuda::pointwise_loss_workspace(n));
    add("bce_with_logits", 3, [=](gpu::Stream on) {
      cuda::pointwise_loss<T>(PointwiseLoss::bce_with_logits, x->data(), dy->data(), n, 1, loss_work->data(), y->data(),
                              loss->data(), on);
    });
    const int64_t kinds = 1000, samples = n / kinds;
    const auto sums_of_losses = std::make_shared<Array<DistanceSums>>(1);
    const auto softmax_work = std::make_shared<Array<uint8_t>>(cuda::softmax_cross_entropy_workspace(samples));
    const auto labels = upload(std::vector<int32_t>(samples, 7));
    add("softmax_cross_entropy", 2, [=](gpu::Stream on) {
      cuda::softmax_cross_entropy<T>(x->data(), labels->data(), samples, kinds, 1, softmax_work->data(), y->data(),
                                     loss->data(), sums_of_losses->data(), on);
    });
    const int64_t pixels = bench.tiny ? 32 : 224, pictures = n / (3 * pixels * pixels);
    const ImageBatchParams batch{pictures, pixels, pixels, 3, {1, 1, 1}, {0, 0, 0}};
    const auto draws = std::make_shared<Array<ImageDraw>>(pictures);
    const std::vector<ImageDraw> turned(pictures, {.xx = 0.98f, .xy = 0.1f, .yx = -0.1f, .yy = 0.98f});
    gpu::copy_to_device(draws->data(), turned.data(), pictures * sizeof(ImageDraw), gpu::compute_stream());
    add_bytes("image_batch", static_cast<double>(pictures * pixels * pixels * 3) * (1 + kSize<T>), [=](gpu::Stream on) {
      cuda::image_batch<T>(batch, reinterpret_cast<const uint8_t*>(x->data()), draws->data(), y->data(), on);
    });
  }
  for (const auto& [name, entry] : calls) {
    if (bench.wants(name)) bench.add(name, precision_name<T>(false), entry.first, 0, entry.second);
  }
}

// Of EfficientNet-Lite0 at 224x224.
template <class T>
void bench_depthwise(Bench& bench) {
  struct Layer {
    int64_t side, channels, kernel, stride;
  };
  for (const auto& [full, c, kernel, stride] :
       {Layer{112, 96, 3, 2}, Layer{56, 144, 3, 1}, Layer{28, 240, 5, 1}, Layer{14, 672, 5, 2}}) {
    const int64_t side = bench.tiny ? 8 : full, channels = bench.tiny ? std::min<int64_t>(c, 96) : c, pad = kernel / 2;
    const DepthwiseConv2dParams p{.batch = bench.tiny ? 2 : 32,
                                  .in_h = side,
                                  .in_w = side,
                                  .channels = channels,
                                  .kernel_h = kernel,
                                  .kernel_w = kernel,
                                  .stride = stride,
                                  .pad_top = pad,
                                  .pad_left = pad,
                                  .pad_bottom = pad,
                                  .pad_right = pad};
    const int64_t in = p.batch * side * side * channels, out = p.batch * p.out_h() * p.out_w() * channels;
    const double bytes = kSize<T> * static_cast<double>(in + out);
    const double flops = 2. * static_cast<double>(out * p.taps());
    std::vector<Call> forward, data, weights;
    for (int i = 0; i < bench.sets(bytes); i++) {
      const auto x = random_array<T>(in), y = random_array<T>(out), dx = random_array<T>(in);
      const auto w = random_array<float>(p.taps() * channels), dw = random_array<float>(p.taps() * channels);
      const auto work = std::make_shared<Array<float>>(cuda::depthwise_conv2d_workspace<T>(p));
      forward.push_back(
          [=](gpu::Stream on) { cuda::depthwise_conv2d_forward<T>(p, x->data(), w->data(), nullptr, y->data(), on); });
      data.push_back(
          [=](gpu::Stream on) { cuda::depthwise_conv2d_backward_data<T>(p, y->data(), w->data(), dx->data(), on); });
      weights.push_back([=](gpu::Stream on) {
        cuda::depthwise_conv2d_backward_weights<T>(p, x->data(), y->data(), dw->data(), nullptr, work->data(), on);
      });
    }
    const std::string name = fmt::format("depthwise {} {}x{} s{}", c, kernel, kernel, stride);
    for (const auto& [pass, calls] : {std::pair{" forward", &forward}, {" data", &data}, {" weights", &weights}})
      if (bench.wants(name + pass)) bench.add(name + pass, precision_name<T>(false), bytes, flops, *calls);
  }
}

template void bench_depthwise<float>(Bench&);
template void bench_depthwise<bf16>(Bench&);
template void bench_memory<float>(Bench&);
template void bench_memory<bf16>(Bench&);

// The 161 parameters of ResNet50 are 25.6 million numbers.
void bench_optimizers(Bench& bench) {
  const int64_t count = 161, size = bench.tiny ? 100 : 158736, n = count * size;
  const auto w = random_array<float>(n), g = random_array<float>(n), m = random_array<float>(n),
             v = random_array<float>(n);
  gpu::fill_bytes(v->data(), 0, 4 * n, gpu::compute_stream());
  std::vector<StepTensor<float>> tensors;
  std::vector<GradTensor<float>> grads;
  for (int64_t at = 0; at < n; at += size) {
    tensors.push_back({w->data() + at, g->data() + at, m->data() + at, v->data() + at, size, 0.01});
    grads.push_back({g->data() + at, size});
  }
  const auto work = std::make_shared<Array<double>>(cuda::grad_norm_workspace(grads) + 1);
  const auto factor = std::make_shared<Array<float>>(1);
  const double bytes = 4. * static_cast<double>(n);
  if (bench.wants("sgd")) {
    bench.add("sgd", "fp32", 5 * bytes, 0, {[=](gpu::Stream on) {
                cuda::sgd_step({1e-3, 0.9}, tensors, nullptr, on);
              }});
  }
  if (bench.wants("adamw")) {
    bench.add("adamw", "fp32", 7 * bytes, 0, {[=](gpu::Stream on) {
                cuda::adam_step({1e-3, 0.9, 0.999, 1e-8, 1, true}, tensors, nullptr, on);
              }});
  }
  if (bench.wants("grad_norm")) {
    bench.add("grad_norm", "fp32", bytes, 0, {[=](gpu::Stream on) {
                cuda::grad_norm(grads, 1, work->data(), work->data() + work->size() - 1, factor->data(), on);
              }});
  }
}

}  // namespace lookalike

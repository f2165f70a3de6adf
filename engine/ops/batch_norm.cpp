#include "engine/ops/batch_norm.h"

#include "engine/core/dispatch.h"
#include "kernels/batch_norm.h"

namespace lookalike {
namespace {

BatchNormParams make_params(const Variable& x, const BatchNormOptions& options) {
  const Shape& shape = x.shape();
  const bool image = shape.rank() == 4;
  check(image || shape.rank() == 2, "batch_norm: x is {}, expected [N, C] or [N, H, W, C]", shape);
  check(options.views >= 1 && shape[0] % options.views == 0, "batch_norm: {} rows do not divide into {} views",
        shape[0], options.views);
  check(options.max_pool == 1 || (options.max_pool == 2 && image),
        "batch_norm: max_pool is {} for x {}, expected 1, or 2 for [N, H, W, C]", options.max_pool, shape);
  check_gpu_size("batch_norm", shape, x.device());
  return {.views = options.training ? options.views : 1,
          .images = shape[0],
          .height = image ? shape[1] : 1,
          .width = image ? shape[2] : 1,
          .channels = shape[-1],
          .epsilon = options.epsilon,
          .activation = options.activation,
          .pool = options.max_pool == 2};
}

void check_channels(const char* name, const Tensor& tensor, const Variable& x) {
  const DType dtype = weight_type(x.dtype());
  check(tensor.shape() == Shape{x.shape()[-1]} && tensor.dtype() == dtype, "batch_norm: {} is {} {}, expected {} [{}]",
        name, name_of(tensor.dtype()), tensor.shape(), name_of(dtype), x.shape()[-1]);
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormOptions& options) {
  const BatchNormParams p = make_params(x, options);
  check_channels("gamma", gamma.value(), x);
  check_channels("beta", beta.value(), x);
  check_channels("running_mean", running_mean, x);
  check_channels("running_variance", running_variance, x);

  const Shape out_shape = p.pool ? Shape{p.images, p.pooled_height(), p.pooled_width(), p.channels} : x.shape();
  Tensor y(out_shape, x.dtype(), x.device()), x_max, mean, variance;
  if (p.pool && will_record({x, gamma, beta})) x_max = Tensor(out_shape, x.dtype(), x.device());
  LOOKALIKE_ON_DEVICE(x, {
    if (options.training && x.statistics().views == p.views) {
      mean = x.statistics().mean;
      variance = x.statistics().variance;
    } else if (options.training) {
      mean = Tensor({p.views, p.channels}, weight_type(x.dtype()), x.device());
      variance = Tensor(mean.shape(), mean.dtype(), x.device());
      Tensor workspace({on::batch_norm_workspace(p)}, DType::f64, x.device());
      on::batch_norm_statistics(p, x.value().data<T>(), workspace.data<double>(), mean.data<W>(), variance.data<W>(),
                                stream...);
    } else {
      mean = running_mean.clone();
      variance = running_variance.clone();
    }
    if (options.training) {
      on::batch_norm_update_running(p, mean.data<W>(), variance.data<W>(), options.momentum, running_mean.data<W>(),
                                    running_variance.data<W>(), stream...);
    }
    on::batch_norm_forward(p, x.value().data<T>(), mean.data<W>(), variance.data<W>(), gamma.value().data<W>(),
                           beta.value().data<W>(), y.data<T>(), x_max.defined() ? x_max.data<T>() : nullptr, stream...);
  });

  const auto backward = [p, mean, variance, x_max, x = x.value(), gamma = gamma.value(), beta = beta.value(),
                         training = options.training,
                         needs_dx = x.requires_grad()](const Tensor& dy) -> std::vector<Tensor> {
    Tensor dx, dgamma(gamma.shape(), gamma.dtype(), x.device()), dbeta(beta.shape(), beta.dtype(), x.device());
    LOOKALIKE_ON_DEVICE(x, {
      Tensor workspace({on::batch_norm_workspace(p)}, DType::f64, x.device());
      Tensor sums({p.views, 2, p.channels}, DType::f64, x.device());
      const T* winners = p.pool ? x_max.data<T>() : nullptr;
      on::batch_norm_reduce(p, p.pool ? winners : x.data<T>(), mean.data<W>(), variance.data<W>(), gamma.data<W>(),
                            beta.data<W>(), dy.data<T>(), workspace.data<double>(), sums.data<double>(),
                            dgamma.data<W>(), dbeta.data<W>(), stream...);
      if (!needs_dx) return;
      dx = Tensor(x.shape(), x.dtype(), x.device());
      on::batch_norm_backward(p, x.data<T>(), winners, mean.data<W>(), variance.data<W>(), gamma.data<W>(),
                              beta.data<W>(), dy.data<T>(), training ? sums.data<double>() : nullptr, dx.data<T>(),
                              stream...);
    });
    return {dx, dgamma, dbeta};
  };
  return Variable::from_op(y, {x, gamma, beta}, backward);
}

}  // namespace lookalike

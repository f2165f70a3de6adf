#include "kernels/activation.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void activation_forward(const Activation& activation, const T* x, T* y, int64_t n) {
  with_activation<T>(activation, [=](auto f) { vector_for(n, [=](int64_t i) { y[i] = f.forward(x[i]); }); });
}

template <class T>
void activation_backward(const Activation& activation, const T* y, const T* dy, T* dx, int64_t n) {
  with_activation<T>(activation, [=](auto f) { vector_for(n, [=](int64_t i) { dx[i] = dy[i] * f.backward(y[i]); }); });
}

template void activation_forward(const Activation&, const float*, float*, int64_t);
template void activation_forward(const Activation&, const double*, double*, int64_t);
template void activation_backward(const Activation&, const float*, const float*, float*, int64_t);
template void activation_backward(const Activation&, const double*, const double*, double*, int64_t);

}  // namespace lookalike::cpu

#include "kernels/add.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void add_forward(const Activation& activation, const T* a, const T* b, T* y, int64_t n) {
  with_activation<T>(activation, [=](auto f) { vector_for(n, [=](int64_t i) { y[i] = f.forward(a[i] + b[i]); }); });
}

template void add_forward(const Activation&, const float*, const float*, float*, int64_t);
template void add_forward(const Activation&, const double*, const double*, double*, int64_t);

}  // namespace lookalike::cpu

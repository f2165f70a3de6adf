#include "kernels/accumulate.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void accumulate(const T* x, T* y, int64_t n) {
  vector_for(n, [=](int64_t i) { y[i] += x[i]; });
}

template void accumulate(const float*, float*, int64_t);
template void accumulate(const double*, double*, int64_t);

}  // namespace lookalike::cpu

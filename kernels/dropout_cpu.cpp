#include "kernels/dropout.h"
#include "kernels/parallel.h"

namespace lookalike::cpu {

template <class T>
void dropout(const T* x, const uint8_t* keep, double scale, T* y, int64_t n) {
  const T factor = static_cast<T>(scale);
  vector_for(n, [=](int64_t i) { y[i] = keep[i] ? factor * x[i] : T(0); });
}

template void dropout(const float*, const uint8_t*, double, float*, int64_t);
template void dropout(const double*, const uint8_t*, double, double*, int64_t);

}  // namespace lookalike::cpu

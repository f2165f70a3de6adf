#include "kernels/gpu/matmul_kernels.h"

namespace lookalike::cuda {

LOOKALIKE_INSTANTIATE_MATMUL(float)

}  // namespace lookalike::cuda

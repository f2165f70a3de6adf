// Marks functions that CPU and GPU kernels share.
#pragma once

#ifdef __CUDACC__
#define LOOKALIKE_HOST_DEVICE __host__ __device__
#else
#define LOOKALIKE_HOST_DEVICE
#endif

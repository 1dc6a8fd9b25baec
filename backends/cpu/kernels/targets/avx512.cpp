// Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c.
#define QHX_TARGET avx512
#define QHX_TARGET_NAME "avx512"
#include "kernels/simd/avx512.h"

#include "kernels/table-inl.h"

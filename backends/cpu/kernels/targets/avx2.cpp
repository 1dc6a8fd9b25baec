// Compiled with -mavx2 -mfma -mf16c.
#define QHX_TARGET avx2
#define QHX_TARGET_NAME "avx2"
#include "kernels/simd/avx2.h"

#include "kernels/table-inl.h"

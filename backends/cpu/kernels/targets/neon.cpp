// AArch64 without options: NEON is part of it.
#define QHX_TARGET neon
#define QHX_TARGET_NAME "neon"
#include "kernels/simd/neon.h"

#include "kernels/table-inl.h"

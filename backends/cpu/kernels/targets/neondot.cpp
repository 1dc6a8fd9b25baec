// Compiled with -march=armv8.2-a+dotprod.
#define QHX_TARGET neondot
#define QHX_TARGET_NAME "neondot"
#include "kernels/simd/neon.h"
#include "kernels/table-inl.h"

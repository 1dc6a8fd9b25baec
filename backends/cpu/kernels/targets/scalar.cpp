// The portable target.
#define QHX_TARGET scalar
#define QHX_TARGET_NAME "scalar"
#include "kernels/simd/scalar.h"

#include "kernels/table-inl.h"

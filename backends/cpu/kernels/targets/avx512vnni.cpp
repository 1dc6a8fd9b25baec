// Compiled with the options of avx512.cpp and -mavx512vnni.
#define QHX_TARGET avx512vnni
#define QHX_TARGET_NAME "avx512vnni"
#include "kernels/simd/avx512.h"
#include "kernels/table-inl.h"

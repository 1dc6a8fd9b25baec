// Compiled with the options of avx512vnni.cpp and -mavx512bf16.
#define QHX_TARGET avx512bf16
#define QHX_TARGET_NAME "avx512bf16"
#include "kernels/simd/avx512.h"
#include "kernels/table-inl.h"

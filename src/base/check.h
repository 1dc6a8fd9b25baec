// Contracts inside the program. QHX_CHECK holds in every build, QHX_DCHECK in debug builds only; a
// failure prints the condition and its place and aborts. Never for input from outside: that is a
// Status (base/status.h).
#pragma once

namespace qhx {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace qhx

#define QHX_CHECK(condition)                               \
  do {                                                     \
    if (!(condition)) [[unlikely]]                         \
      ::qhx::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)

#ifdef NDEBUG
#define QHX_DCHECK(condition) \
  do {                        \
    (void)sizeof(condition);  \
  } while (false)
#else
#define QHX_DCHECK(condition) QHX_CHECK(condition)
#endif

// Prints load time and encoding speed of the tokenizer on given files, one thread, in processor
// time, so that other work on the machine does not count:
//   tokenizer_bench <tokenizer.json> <file> [<file> ...]
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>

#include "base/file.h"
#include "text/tokenizer.h"

namespace {

constexpr int kRepetitions = 5;

template <typename Work>
double best_seconds(Work&& work) {
  double best = 1e30;
  for (int i = 0; i < kRepetitions; ++i) {
    const std::clock_t begin = std::clock();
    work();
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenizer_bench <tokenizer.json> <file> [<file> ...]\n");
    return 2;
  }
  auto tokenizer = qhx::text::Tokenizer::from_file(argv[1]);
  if (!tokenizer.ok()) {
    std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str());
    return 1;
  }
  const double load = best_seconds([&] { tokenizer = qhx::text::Tokenizer::from_file(argv[1]); });
  std::printf("load %.0f ms\n", load * 1e3);
  for (int i = 2; i < argc; ++i) {
    const auto text = qhx::read_file(argv[i]);
    if (!text.ok()) {
      std::fprintf(stderr, "%s\n", text.status().message().c_str());
      return 1;
    }
    std::size_t tokens = 0;
    const double seconds = best_seconds([&] { tokens = tokenizer->encode(*text).size(); });
    const double megabytes = static_cast<double>(text->size()) / 1e6;
    std::printf("%s: %.1f MB, %zu tokens, %.1f MB/s\n", argv[i], megabytes, tokens,
                megabytes / seconds);
  }
  return 0;
}

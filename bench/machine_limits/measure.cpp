#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>

#include "machine_limits/peaks.h"

namespace qhx::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<int> usable_cpu_ids() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> ids;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return ids;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) ids.push_back(cpu);
  }
  return ids;
}

void pin_this_thread(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Private memory of the process, every page touched.
class Memory {
 public:
  Memory(std::size_t bytes, Pages pages) : bytes_(bytes) {
    constexpr std::size_t kHuge = std::size_t{2} << 20;
    mapped_ = bytes + kHuge;
    void* const got =
        ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) return;
    base_ = static_cast<std::byte*>(got);
    const auto address = reinterpret_cast<std::uintptr_t>(got);
    data_ = base_ + (kHuge - address % kHuge) % kHuge;
    ::madvise(data_, bytes, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::fill_n(data_, bytes, std::byte{1});
  }
  ~Memory() {
    if (base_ != nullptr) ::munmap(base_, mapped_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::byte* data() const { return data_; }
  // Whether most of it lies in huge pages, as the kernel tells.
  bool is_huge() const {
    std::ifstream smaps("/proc/self/smaps");
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
      std::uintptr_t begin = 0, end = 0;
      char dash = 0;
      std::istringstream range(line);
      if (line.find('-') < 17 && range >> std::hex >> begin >> dash >> end && dash == '-')
        inside = begin <= reinterpret_cast<std::uintptr_t>(data_) &&
                 reinterpret_cast<std::uintptr_t>(data_) < end;
      constexpr std::string_view kKey = "AnonHugePages:";
      if (inside && line.starts_with(kKey))
        return std::stoull(line.substr(kKey.size())) * 1024 > bytes_ / 10 * 9;
    }
    return false;
  }

 private:
  std::size_t bytes_, mapped_ = 0;
  std::byte *base_ = nullptr, *data_ = nullptr;
};

}  // namespace

double run_together(int threads, const std::function<void(int)>& work) {
  const std::vector<int> cpus = usable_cpu_ids();
  std::atomic<int> ready = 0;
  std::atomic<bool> go = false;
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      if (!cpus.empty()) pin_this_thread(cpus[static_cast<std::size_t>(t) % cpus.size()]);
      ++ready;
      while (!go) std::this_thread::yield();
      work(t);
    });
  }
  while (ready != threads) std::this_thread::yield();
  const Clock::time_point start = Clock::now();
  go = true;
  for (std::thread& thread : pool) thread.join();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Samples measure_peak(const Peak& peak, int threads, std::size_t repetitions, double seconds) {
  // How many rounds take so long; the clock of a core that was idle must rise first.
  std::size_t rounds = 100'000;
  double took = 0;
  while ((took = run_together(threads, [&](int) { peak.run(rounds); })) < seconds / 4) rounds *= 2;
  rounds = std::max<std::size_t>(
      1, static_cast<std::size_t>(static_cast<double>(rounds) * seconds / took));
  Samples rates;
  for (std::size_t i = 0; i < repetitions; ++i) {
    std::vector<double> by_thread(static_cast<std::size_t>(threads));
    run_together(threads, [&](int t) {
      // CPU time: a peak is that of a core that is not taken away meanwhile.
      const double start = thread_seconds();
      const double done = peak.run(rounds);
      by_thread[static_cast<std::size_t>(t)] = done / (thread_seconds() - start);
    });
    rates.add(std::accumulate(by_thread.begin(), by_thread.end(), 0.0));
  }
  return rates;
}

Samples measure_read(std::size_t bytes, Pages pages, int threads, std::size_t repetitions) {
  const Memory memory(bytes, pages);
  Samples rates;
  if (memory.data() == nullptr || (pages == Pages::kHuge && !memory.is_huge())) return rates;
  const ReadFunction read = best_read();
  const std::size_t part = bytes / static_cast<std::size_t>(threads) / 4096 * 4096;
  std::atomic<std::uint64_t> sum = 0;
  for (std::size_t i = 0; i < repetitions + 1; ++i) {
    const double wall = run_together(threads, [&](int t) {
      sum += read(memory.data() + static_cast<std::size_t>(t) * part, part);
    });
    // The first reads what the kernel has just written.
    if (i > 0) rates.add(static_cast<double>(part) * threads / wall);
  }
  return rates;
}

}  // namespace qhx::bench

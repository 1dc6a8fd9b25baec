#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/file.h"

namespace qhx {
namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks at `ready` for a while without sleeping. The clock is read now and then only.
template <typename Ready>
bool spin_until(Ready ready, std::chrono::microseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

constexpr std::chrono::microseconds kPatience{30};

// CPUs granted by the cgroup (version 2, then 1), or 0 if unlimited or unknown.
double cgroup_cpus() {
  if (const auto text = read_file("/sys/fs/cgroup/cpu.max", 256); text.ok()) {
    double quota = 0, period = 0;
    if (std::sscanf(text->c_str(), "%lf %lf", &quota, &period) == 2 && period > 0)
      return quota / period;
    return 0;
  }
  const auto quota = read_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", 256);
  const auto period = read_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 256);
  if (!quota.ok() || !period.ok()) return 0;
  const double q = std::atof(quota->c_str()), p = std::atof(period->c_str());
  return q > 0 && p > 0 ? q / p : 0;
}

}  // namespace

int usable_cpus() {
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0
                 ? CPU_COUNT(&set)
                 : static_cast<int>(std::thread::hardware_concurrency());
  const double granted = cgroup_cpus();
  if (granted > 0) cpus = std::min(cpus, static_cast<int>(std::ceil(granted)));
  return std::max(cpus, 1);
}

ThreadPool::ThreadPool(int threads) {
  const int wanted = threads > 0 ? threads : usable_cpus();
  for (int i = 1; i < wanted; ++i) workers_.emplace_back([this] { worker_main(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::work_on_current_job() {
  for (;;) {
    const std::size_t i = next_.fetch_add(1, std::memory_order_relaxed);
    if (i >= count_) return;
    function_(context_, i);
  }
}

void ThreadPool::worker_main() {
  std::uint32_t seen = 0;
  const auto changed = [&] { return generation_.load(std::memory_order_acquire) != seen; };
  for (;;) {
    if (!spin_until(changed, kPatience)) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, changed);
    }
    seen = generation_.load(std::memory_order_acquire);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    work_on_current_job();
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      // Through the mutex, so that the caller is either not yet looking or already asleep.
      { const std::lock_guard lock(mutex_); }
      done_.notify_one();
    }
  }
}

void ThreadPool::run_erased(std::size_t count, Function function, void* context) {
  const std::lock_guard caller(callers_);
  function_ = function;
  context_ = context;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  work_on_current_job();
  // Every worker must have left the job before its description may change.
  const auto done = [&] { return busy_.load(std::memory_order_acquire) == 0; };
  if (spin_until(done, kPatience)) return;
  std::unique_lock lock(mutex_);
  done_.wait(lock, done);
}

}  // namespace qhx

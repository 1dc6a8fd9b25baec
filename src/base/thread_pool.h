// A small pool for loops over independent pieces of work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace qhx {

// CPUs this process may use now: its affinity mask, limited by its cgroup's CPU quota (rounded up).
// At least 1.
int usable_cpus();

// The calling thread works too, so a pool of n has n - 1 threads of its own. A worker that finds
// nothing to do looks again for some ten microseconds (the gap between two operations of a graph),
// then sleeps: an idle pool uses no CPU. run() may be called from several threads; calls are served
// one after the other. Not reentrant: work must not call run() on the same pool.
class ThreadPool {
 public:
  // 0 means usable_cpus().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(i) for every i in [0, count), each once, on any thread, and returns when all are
  // done. Pieces are handed out one by one in rising order, so pieces of unequal cost balance. work
  // must not throw.
  template <typename Work>
  void run(std::size_t count, Work&& work) {
    if (count == 0) return;
    if (count == 1 || workers_.empty()) {
      for (std::size_t i = 0; i < count; ++i) work(i);
      return;
    }
    run_erased(
        count,
        [](void* context, std::size_t i) {
          (*static_cast<std::remove_reference_t<Work>*>(context))(i);
        },
        const_cast<void*>(static_cast<const void*>(&work)));
  }

 private:
  using Function = void (*)(void* context, std::size_t index);
  void run_erased(std::size_t count, Function function, void* context);
  void work_on_current_job();
  void worker_main();

  std::mutex callers_;  // one run() at a time

  std::mutex mutex_;
  std::condition_variable wake_;               // the workers: a job is there
  std::condition_variable done_;               // the caller: every worker has left the job
  std::atomic<std::uint32_t> generation_ = 0;  // rises with each job; guarded by mutex_ for writing
  bool stopping_ = false;

  // The current job. Written by run_erased() before the generation rises.
  Function function_ = nullptr;
  void* context_ = nullptr;
  std::size_t count_ = 0;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<int> busy_ = 0;  // workers that have not yet left the current job

  std::vector<std::thread> workers_;
};

}  // namespace qhx

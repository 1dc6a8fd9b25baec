#include "forge/bundle/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <optional>
#include <utility>

#include "base/file.h"

namespace qhx::forge {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLookEveryMs = 250;
constexpr std::size_t kLastWords = 5;  // lines of its output that an error repeats
constexpr std::size_t kLongestLine = 1 << 16;

// One end of a pipe.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("worker: no pipe");
  return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

// Splits what a pipe brings into lines.
class LineReader {
 public:
  explicit LineReader(Descriptor fd) : fd_(std::move(fd)) {
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  int fd() const { return fd_.get(); }

  // Takes what is there. False at the end.
  bool read(const std::function<void(std::string_view)>& line) {
    std::array<char, 4096> bytes;
    for (;;) {
      const ssize_t n = ::read(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return true;
      if (n <= 0) break;
      pending_.append(bytes.data(), static_cast<std::size_t>(n));
      for (std::size_t end; (end = pending_.find('\n')) != std::string::npos;) {
        line(std::string_view(pending_).substr(0, end));
        pending_.erase(0, end + 1);
      }
      if (pending_.size() > kLongestLine) pending_.clear();
    }
    if (!pending_.empty()) line(std::exchange(pending_, {}));
    fd_.close();
    return false;
  }

 private:
  Descriptor fd_;
  std::string pending_;
};

std::uint64_t resident_bytes(pid_t process) {
  const auto text = read_file("/proc/" + std::to_string(process) + "/statm", 4096);
  unsigned long long pages = 0;
  if (!text.ok() || std::sscanf(text->c_str(), "%*u %llu", &pages) != 1) return 0;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string megabytes(std::uint64_t bytes) { return std::to_string(bytes / 1000000) + " MB"; }

class Worker {
 public:
  Worker(const WorkerLimits& limits, const OnAdvance& on_advance)
      : limits_(limits), on_advance_(on_advance) {}
  Worker(const Worker&) = delete;
  ~Worker() {
    if (process_ > 0) end();
  }

  Status start(const std::vector<std::string>& command) {
    QHX_ASSIGN_OR_RETURN(Pipe reports, make_pipe());
    QHX_ASSIGN_OR_RETURN(Pipe output, make_pipe());
    // Prepared here: between fork and exec only calls that are safe in a signal handler may run.
    std::vector<char*> arguments;
    for (const std::string& argument : command)
      arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ < 0) return errno_error("worker: cannot start a process");
    if (process_ == 0) {
      become(arguments.data(), reports.write.get(), output.write.get(), parent);
      ::_exit(127);
    }
    reports_.emplace(std::move(reports.read));
    output_.emplace(std::move(output.read));
    last_report_ = Clock::now();
    return {};
  }

  Result<std::uint64_t> wait() {
    bool reporting = true, talking = true;
    while (reporting || talking) {
      std::array<pollfd, 2> ready = {pollfd{reporting ? reports_->fd() : -1, POLLIN, 0},
                                     pollfd{talking ? output_->fd() : -1, POLLIN, 0}};
      ::poll(ready.data(), ready.size(), kLookEveryMs);
      Status status;
      if (reporting)
        reporting = reports_->read([&](std::string_view line) {
          if (status.ok()) status = take_report(line);
        });
      if (talking) talking = output_->read([&](std::string_view line) { remember(line); });
      QHX_RETURN_IF_ERROR(status);
      QHX_RETURN_IF_ERROR(on_advance_(0));
      QHX_RETURN_IF_ERROR(check_limits());
      // Something it started may hold the pipes open.
      if (!reporting && (done_ || error_)) break;
    }
    return reap();
  }

 private:
  // In the child.
  static void become(char** arguments, int reports, int output, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) return;
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // The parent alone decides on Ctrl-C.
    ::setpgid(0, 0);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    if (reports == kWorkerReports) {
      ::fcntl(reports, F_SETFD, 0);
    } else {
      ::dup2(reports, kWorkerReports);
    }
    ::execv(arguments[0], arguments);
  }

  Status take_report(std::string_view line) {
    QHX_ASSIGN_OR_RETURN(const WorkerReport report, parse_report(line));
    last_report_ = Clock::now();
    switch (report.kind) {
      case WorkerReport::Kind::kAdvance:
        return on_advance_(report.amount);
      case WorkerReport::Kind::kDone:
        done_ = report.peak_bytes;
        break;
      case WorkerReport::Kind::kError:
        error_ = report.error;
        break;
    }
    return {};
  }

  void remember(std::string_view line) {
    if (line.empty()) return;
    if (last_words_.size() == kLastWords) last_words_.pop_front();
    last_words_.emplace_back(line.substr(0, 300));
  }

  Status check_limits() const {
    const std::uint64_t used = resident_bytes(process_);
    if (limits_.memory_bytes > 0 && used > limits_.memory_bytes)
      return io_error("needed more memory than allowed: " + megabytes(used) + " of at most " +
                      megabytes(limits_.memory_bytes));
    const auto silent = Clock::now() - last_report_;
    if (limits_.silence.count() > 0 && silent > limits_.silence)
      return backend_error("the library has not come to an end in " +
                           std::to_string(limits_.silence.count()) + " seconds");
    return {};
  }

  std::string last_words() const {
    std::string text;
    for (const std::string& line : last_words_) text += (text.empty() ? "" : "; ") + line;
    return text.empty() ? "" : ". Its last words: " + text;
  }

  void end() {
    ::kill(process_, SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
  }

  Result<std::uint64_t> reap() {
    int state = 0;
    while (::waitpid(process_, &state, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
    if (error_) return *error_;
    // What happens after the last report, in the exit handlers of a library, changes nothing.
    if (done_) return *done_;
    if (WIFSIGNALED(state))
      return backend_error(std::string("the library crashed (") + ::strsignal(WTERMSIG(state)) +
                           ")" + last_words());
    return backend_error("the worker ended with exit code " + std::to_string(WEXITSTATUS(state)) +
                         " and no result" + last_words());
  }

  const WorkerLimits limits_;
  const OnAdvance& on_advance_;
  pid_t process_ = -1;
  std::optional<LineReader> reports_, output_;
  Clock::time_point last_report_;
  std::deque<std::string> last_words_;
  std::optional<std::uint64_t> done_;
  std::optional<Status> error_;
};

}  // namespace

Result<std::uint64_t> run_worker(const std::vector<std::string>& command,
                                 const WorkerLimits& limits, const OnAdvance& on_advance) {
  QHX_CHECK(!command.empty());
  Worker worker(limits, on_advance);
  QHX_RETURN_IF_ERROR(worker.start(command));
  return worker.wait();
}

}  // namespace qhx::forge

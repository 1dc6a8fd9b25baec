#include "program.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <new>

namespace qhx::tools {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kGrace{2};

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

int report_error(const Status& status) {
  if (!status.ok()) std::fprintf(stderr, "qhx: error: %s\n", one_line(status.message()).c_str());
  return static_cast<int>(status.code());
}

Status print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    return io_error("cannot write to stdout");
  return {};
}

Status guarded(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return io_error("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

std::string this_program() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? std::string() : program.string();
}

std::string default_library() {
  constexpr const char* kName = "libQhxCpu.so";
  std::error_code error;
  const fs::path program = this_program();
  if (program.empty()) return kName;
  for (const fs::path& folder :
       {program.parent_path().parent_path() / "lib", program.parent_path()}) {
    if (fs::exists(folder / kName, error)) return (folder / kName).string();
  }
  return kName;
}

StopSignal::StopSignal(std::function<void()> last_resort) : last_resort_(std::move(last_resort)) {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  watcher_ = std::thread([this] { watch(); });
}

StopSignal::~StopSignal() {
  done_ = true;
  watcher_.join();
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignal::watch() {
  const sigset_t set = stop_signals();
  const timespec pause{0, 50'000'000};
  Clock::time_point deadline = Clock::time_point::max();
  while (!done_) {
    const bool signalled = ::sigtimedwait(&set, nullptr, &pause) > 0;
    if (!signalled && Clock::now() < deadline) continue;
    if (!requested_) {
      requested_ = true;
      deadline = Clock::now() + kGrace;
      continue;
    }
    last_resort_();
    std::fprintf(stderr, "qhx: error: stopped on request\n");
    ::_exit(static_cast<int>(StatusCode::kCancelled));
  }
}

}  // namespace qhx::tools

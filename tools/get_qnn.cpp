#include "get_qnn.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "qnn/installed.h"

namespace qhx::tools {
namespace {

namespace fs = std::filesystem;

Status run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // Its output is for people; stdout is for results.
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t process = 0;
  const int error =
      ::posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return not_found(command[0] + ": cannot be started; install it and try again");
  int state = 0;
  while (::waitpid(process, &state, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return {};
  std::string shown;
  for (const std::string& word : command) shown += (shown.empty() ? "" : " ") + word;
  return io_error("\"" + shown + "\" failed; its messages are above");
}

}  // namespace

Status install_htp_libraries(bool quiet) {
  if (const auto found = qnn::find_htp_libraries(); found.ok()) {
    std::printf("%s\n", found->backend.c_str());
    return {};
  }
#if !defined(__x86_64__)
  return unsupported("--get-qnn: the libraries that make Hexagon binaries are for x86-64 only");
#endif
  const fs::path folder = qnn::htp_install_folder();
  if (folder.empty()) return not_found("$HOME: is not set, so there is no place to install to");
  const std::string package = std::string(qnn::kHtpPackage) + "==" + qnn::kHtpPackageVersion;
  if (!quiet)
    std::fprintf(stderr,
                 "Installing %s from PyPI into %s. It contains the vendor's QNN libraries; its "
                 "licence, in the package, applies to you.\n",
                 package.c_str(), folder.c_str());
  QHX_RETURN_IF_ERROR(run({"python3", "-m", "venv", folder.string()}));
  // Only its libraries are used, so not the packages it depends on.
  QHX_RETURN_IF_ERROR(run({(folder / "bin/pip").string(), "install", "--quiet",
                           "--disable-pip-version-check", "--no-deps", package}));
  QHX_ASSIGN_OR_RETURN(const qnn::InstalledLibraries installed, qnn::find_htp_libraries());
  std::printf("%s\n", installed.backend.c_str());
  return {};
}

}  // namespace qhx::tools

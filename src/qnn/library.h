// A QNN library opened at run time: whatever path the user gives, ours or a vendor's. Nothing links
// to one.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "qnn/abi/qnn_types.h"

namespace qhx::qnn {

// The vendor's id of its HTP backend, in libraries and in the binaries they make.
inline constexpr std::uint32_t kHtpBackendId = 6;
// That of our own CPU library.
inline constexpr std::uint32_t kQhxCpuBackendId = 0x51485843;
// "HTP", "QHX_CPU"; the number of any other backend.
std::string backend_name(std::uint32_t backend_id);

// A dlopen handle. Libraries stay loaded until the process ends: vendor libraries keep threads and
// exit handlers that do not survive dlclose.
class SharedObject {
 public:
  // `path` as the dynamic loader takes it: a path, or a bare name to search for.
  static Result<SharedObject> open(const std::string& path);
  // Null if there is no such symbol.
  void* symbol(const char* name) const;
  const std::string& path() const { return path_; }

 private:
  SharedObject(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  void* handle_;
  std::string path_;
};

// A library that offers the core interface (libQnnHtp.so, libQhxCpu.so). Immutable, shared freely
// between threads.
class BackendLibrary {
 public:
  // Opens the library and picks the first provider whose core API is 2.x and at least as new as our
  // declarations need.
  static Result<std::shared_ptr<const BackendLibrary>> open(const std::string& path);

  const QnnInterface_ImplementationV2_t& api() const { return interface_->v2; }
  const std::string& path() const { return object_.path(); }
  std::string provider() const { return interface_->providerName; }
  std::uint32_t backend_id() const { return interface_->backendId; }
  Qnn_ApiVersion_t api_version() const { return interface_->apiVersion; }
  std::string build_id() const;
  // Provider, build, and the file's size and time of change: another text for another library.
  std::string identity() const;
  // Our own CPU library: it copies static tensors when they are created and takes "qhx.*" platform
  // options.
  bool is_qhx_cpu() const;
  // An HTP library on a PC: it executes the binaries of every chip, slowly, and checks neither arch
  // nor SoC.
  bool emulates_device() const;

 private:
  BackendLibrary(SharedObject object, const QnnInterface_t* interface)
      : object_(std::move(object)), interface_(interface) {}
  SharedObject object_;
  const QnnInterface_t* interface_;
};

// A library that offers the system interface (libQnnSystem.so, libQhxCpu.so): reads what is inside
// a context binary.
class SystemLibrary {
 public:
  static Result<std::shared_ptr<const SystemLibrary>> open(const std::string& path);
  const QnnSystemInterface_ImplementationV1_t& api() const { return interface_->v1; }
  const std::string& path() const { return object_.path(); }
  std::string provider() const { return interface_->providerName; }
  Qnn_Version_t api_version() const { return interface_->systemApiVersion; }

 private:
  SystemLibrary(SharedObject object, const QnnSystemInterface_t* interface)
      : object_(std::move(object)), interface_(interface) {}
  SharedObject object_;
  const QnnSystemInterface_t* interface_;
};

std::string to_string(const Qnn_Version_t& version);  // "2.40.0"

// Which libraries run binaries of our own CPU library, or those of a Hexagon.
std::string libraries_to_give(bool cpu_binary);

// How to get a library of that name if it is one of the vendor's; empty for others.
std::string how_to_get(const std::string& path);

}  // namespace qhx::qnn

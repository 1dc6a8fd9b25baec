// Handles given to clients. They are numbers, not addresses: a stale or invented one is recognised,
// never followed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "abi/logger.h"
#include "graph/context.h"
#include "graph/program.h"

namespace qhx::cpu::abi {

// Objects of one kind by handle. Thread-safe; an object lives on while a call uses it.
template <typename T>
class HandleTable {
 public:
  // `kind` makes handles of different tables differ.
  explicit HandleTable(std::uintptr_t kind) : kind_(kind) {}

  void* add(std::shared_ptr<T> object) {
    const std::lock_guard lock(mutex_);
    const std::uintptr_t number = (++last_ << 8 | kind_) << 4;
    objects_[number] = std::move(object);
    return reinterpret_cast<void*>(number);
  }
  // Null if there is no such object.
  std::shared_ptr<T> find(const void* handle) const {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
    return it == objects_.end() ? nullptr : it->second;
  }
  // The object, which is in the table no more.
  std::shared_ptr<T> remove(const void* handle) {
    const std::lock_guard lock(mutex_);
    const auto it = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
    if (it == objects_.end()) return nullptr;
    std::shared_ptr<T> object = std::move(it->second);
    objects_.erase(it);
    return object;
  }

 private:
  const std::uintptr_t kind_;
  mutable std::mutex mutex_;
  std::uintptr_t last_ = 0;
  std::map<std::uintptr_t, std::shared_ptr<T>> objects_;
};

struct Backend {
  std::shared_ptr<Engine> engine;
  SharedLogger logger;
};

struct ContextObject {
  std::shared_ptr<Context> context;
  SharedLogger logger;
  std::mutex mutex;
  std::map<std::string, void*> graphs;  // handles by name
};

struct GraphObject {
  std::shared_ptr<ContextObject> owner;  // keeps the context while a call uses the graph
  std::shared_ptr<ClientGraph> graph;
};

struct Device {};

struct Profile;  // abi/profile.h

struct Tables {
  HandleTable<Logger> logs{1};
  HandleTable<Backend> backends{2};
  HandleTable<Device> devices{3};
  HandleTable<ContextObject> contexts{4};
  HandleTable<GraphObject> graphs{5};
  HandleTable<Profile> profiles{6};
};
// Those of this library.
Tables& tables();

// The client's logger for a log handle; one that drops everything for none.
SharedLogger logger_of(Qnn_LogHandle_t handle);

}  // namespace qhx::cpu::abi

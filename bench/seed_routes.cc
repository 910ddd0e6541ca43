// Interrupt routes as OpenVMM's virt_mshv did them: the first free GSI is found by scanning the
// states of all; every change of a route scans them again, rebuilds the table and pushes it whole;
// masking is unrouting. The states are as many as the driver's table has, so that 4000 routes fit;
// upstream has 2048. Upstream's lock, and its second copy of the table before the push, are left
// out.
//
// Stands on the very simulated driver that the mshv_sim addon stands on, through the same seam.
//
// One request a line, answered by the ns it took, its ioctls and the table entries in them:
//
//   arm N      makes N routes, each with an MSI, in a new partition
//   setMsi N   changes the MSI of a route, N times
//   mask N     masks and unmasks a route, N times
#include <err.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "../native/abi/mshv.h"
#include "../native/backend.h"
#include "../native/sim/host.h"
#include "../native/sim/registry.h"
#include "check.h"

namespace {

using namespace mshv;
using bench::Check;

constexpr uint32_t kAddress = 0xfee00000;

struct GsiState {
  enum class Kind : uint32_t { kUnallocated, kDisabled, kEnabled } kind = Kind::kUnallocated;
  uint32_t address_low = 0;
  uint32_t address_high = 0;
  uint32_t data = 0;

  bool operator==(const GsiState&) const = default;
};

class Partition {
 public:
  explicit Partition(int device) {
    abi::mshv_create_partition argument{};
    fd_ =
        Check(backend::Ioctl(device, abi::MSHV_CREATE_PARTITION, &argument), "create a partition");
    Check(backend::Ioctl(fd_, abi::MSHV_INITIALIZE_PARTITION, nullptr), "initialize");
  }

  ~Partition() {
    for (const int event : events_) {
      static_cast<void>(backend::Close(event));
    }
    static_cast<void>(backend::Close(fd_));
  }

  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  void NewRoute() {
    uint32_t gsi = 0;
    while (states_.at(gsi).kind != GsiState::Kind::kUnallocated) {
      ++gsi;
    }
    states_[gsi].kind = GsiState::Kind::kDisabled;
    const int event = Check(backend::EventFdCreate(0, false), "create an eventfd");
    events_.push_back(event);
    abi::mshv_user_irqfd argument{.fd = event, .resamplefd = 0, .gsi = gsi, .flags = 0};
    Check(backend::Ioctl(fd_, abi::MSHV_IRQFD, &argument), "arm an irqfd");
    ++ioctls_;
  }

  void SetMsi(uint32_t gsi, uint32_t data) {
    SetRoute(gsi, {GsiState::Kind::kEnabled, kAddress, 0, data});
  }

  void ClearMsi(uint32_t gsi) { SetRoute(gsi, {.kind = GsiState::Kind::kDisabled}); }

  uint32_t routes() const { return static_cast<uint32_t>(events_.size()); }
  const GsiState& state(uint32_t gsi) const { return states_[gsi]; }
  uint64_t ioctls() const { return ioctls_; }
  uint64_t entries() const { return entries_; }

 private:
  void SetRoute(uint32_t gsi, const GsiState& state) {
    if (states_[gsi] == state) {
      return;
    }
    states_[gsi] = state;
    Push();
  }

  void Push() {
    std::vector<uint32_t> table(2);
    for (uint32_t gsi = 0; gsi < states_.size(); ++gsi) {
      const GsiState& state = states_[gsi];
      if (state.kind == GsiState::Kind::kEnabled) {
        table.insert(table.end(), {gsi, state.address_low, state.address_high, state.data});
        ++table[0];
      }
    }
    Check(backend::Ioctl(fd_, abi::MSHV_SET_MSI_ROUTING, table.data()), "push the table");
    ++ioctls_;
    entries_ += table[0];
  }

  int fd_ = -1;
  std::array<GsiState, abi::MSHV_MAX_GUEST_IRQS> states_;
  std::vector<int> events_;
  uint64_t ioctls_ = 0;
  uint64_t entries_ = 0;
};

template <typename Work>
void Answer(const Partition& partition, const Work& work) {
  const uint64_t ioctls = partition.ioctls();
  const uint64_t entries = partition.entries();
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
  std::printf("%lld %llu %llu\n", static_cast<long long>(took.count()),
              static_cast<unsigned long long>(partition.ioctls() - ioctls),
              static_cast<unsigned long long>(partition.entries() - entries));
  std::fflush(stdout);
}

}  // namespace

int main() {
  const std::string path =
      "sim:" + std::to_string(sim::Registry::Get().AddHost(sim::HostOptions{}, nullptr));
  const int device = Check(backend::Open(path.c_str()), "open the simulator");
  std::unique_ptr<Partition> partition;

  char request[80];
  while (std::fgets(request, sizeof(request), stdin) != nullptr) {
    uint32_t times = 0;
    if (std::sscanf(request, "arm %u", &times) == 1) {
      partition = nullptr;
      partition = std::make_unique<Partition>(device);
      Answer(*partition, [&] {
        for (uint32_t gsi = 0; gsi < times; ++gsi) {
          partition->NewRoute();
          partition->SetMsi(gsi, 0x41);
        }
      });
    } else if (std::sscanf(request, "setMsi %u", &times) == 1) {
      Answer(*partition, [&] {
        for (uint32_t i = 0; i < times; ++i) {
          const uint32_t gsi = i % partition->routes();
          partition->SetMsi(gsi, partition->state(gsi).data ^ 1);
        }
      });
    } else if (std::sscanf(request, "mask %u", &times) == 1) {
      Answer(*partition, [&] {
        for (uint32_t i = 0; i < times; ++i) {
          const uint32_t gsi = i % partition->routes();
          const uint32_t data = partition->state(gsi).data;
          partition->ClearMsi(gsi);
          partition->SetMsi(gsi, data);
        }
      });
    } else {
      errx(1, "what is %s", request);
    }
  }
  return 0;
}

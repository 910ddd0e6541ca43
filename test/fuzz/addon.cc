// libFuzzer on the simulator's addon: its exported functions with arguments of any kind, and the
// simulated driver's ioctls with any structs, whose pointers lead into memory that is there.
//
// A JavaScript engine is not needed for it: what is below the seam of Node-API is all there is to
// know of a value.
#include <fuzzer/FuzzedDataProvider.h>
#include <node_api.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../../native/abi/hypercalls.h"
#include "../../native/abi/mshv.h"
#include "../../native/backend.h"
#include "../../native/environment.h"
#include "../../native/export_list.h"
#include "../../native/memory.h"
#include "../../native/sim/registry.h"
#include "../../native/vp.h"
#include "../../native/vp_arbiter.h"
#include "guarded_bytes.h"

// A JavaScript value.
struct napi_value__ {
  napi_valuetype type = napi_undefined;
  double number = 0;
  uint64_t bigint = 0;
  std::string text;
  napi_typedarray_type elements = napi_uint8_array;
  std::unique_ptr<mshv::fuzz::GuardedBytes> bytes;
};

struct napi_callback_info__ {
  std::span<napi_value> arguments;
  void* data = nullptr;
};

namespace mshv::fuzz {
namespace {

struct Function {
  napi_callback call = nullptr;
  void* data = nullptr;
};

std::map<std::string, Function, std::less<>>& Functions() {
  static std::map<std::string, Function, std::less<>> functions;
  return functions;
}

// The last function's result.
napi_value__ result;

// What a function takes, a letter each: d, p, e, v a descriptor of the device, a partition, an
// eventfd, a VP; f a file of memory; m memory; u a number, q a bigint, b a boolean, h a simulated
// host; s, t small numbers, g, n a page of the guest's memory and a number of them, c no run
// control, all of these mostly; B, W, Q a Uint8Array, Uint32Array, BigUint64Array.
constexpr struct {
  std::string_view name;
  std::string_view takes;
} kCalls[] = {
    {"createPartition", "dqq"},
    {"createPartitionV2", "dqqqqq"},
    {"initializePartition", "p"},
    {"createVp", "pu"},
    {"irqfd", "peeuu"},
    {"setMsiRouting", "pW"},
    {"ioeventfd", "peququ"},
    {"mapMemory", "pmqqqu"},
    {"accessBitmap", "pttgnQ"},
    {"hypercall", "duuBBW"},
    {"hypercall", "puuBBW"},
    {"hypercall", "vuuBBW"},
    {"eventfdCreate", "ub"},
    {"eventfdSignal", "eq"},
    {"eventfdRead", "e"},
    {"eventfdPoll", "e"},
    {"dup", "p"},
    {"dup", "v"},
    {"dup", "e"},
    {"close", "e"},
    {"close", "v"},
    {"vpAttach", "vc"},
    {"vpGetState", "vsB"},
    {"vpSetState", "vsB"},
    {"memoryCreate", "qbb"},
    {"memoryFd", "m"},
    {"memoryFromFd", "fqq"},
    {"memoryFromFd", "vqq"},
    {"memoryRead", "mqB"},
    {"memoryWrite", "mqB"},
    {"memorySetBits", "mqu"},
    {"memoryTakeBits", "mqu"},
    {"simSettle", "h"},
    {"simInterrupts", "pQ"},
    {"simListen", "pe"},
    {"simEndOfInterrupt", "puu"},
    {"simRoutes", "pW"},
    {"simIrqFds", "pW"},
    {"simQueueMessage", "puB"},
    {"simGuestSteps", "puQ"},
    {"simPendingSteps", "pu"},
    {"simGuestAccess", "pqBb"},
    {"simWriteMmio", "pquq"},
    {"simRefuse", "huuuuu"},
    {"simFailNext", "huuuu"},
    {"simDoorbells", "pQ"},
    {"simMemory", "pQ"},
    {"simIntercepts", "pQ"},
    {"simInterceptResults", "pQ"},
};

constexpr uint32_t kRequests[] = {
    abi::MSHV_CREATE_PARTITION,
    abi::MSHV_INITIALIZE_PARTITION,
    abi::MSHV_CREATE_VP,
    abi::MSHV_SET_GUEST_MEMORY,
    abi::MSHV_IRQFD,
    abi::MSHV_IOEVENTFD,
    abi::MSHV_SET_MSI_ROUTING,
    abi::MSHV_GET_GPAP_ACCESS_BITMAP,
    abi::MSHV_ROOT_HVCALL,
    abi::MSHV_RUN_VP,
    abi::MSHV_GET_VP_STATE,
    abi::MSHV_SET_VP_STATE,
};

constexpr size_t kPage = abi::MSHV_HV_PAGE_SIZE;
constexpr size_t kPages = 512;
constexpr size_t kMemory = kPages * kPage;
// Of what the driver loops over: a table of pages for terabytes takes its time.
constexpr uint64_t kMostPages = uint64_t{1} << 16;

void Nothing(int) {}

// Has a VP that runs with nothing to do stop, as a signal does.
class Alarm {
 public:
  Alarm() {
    struct sigaction action {};
    action.sa_handler = Nothing;
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    if (sigaction(SIGRTMIN, &action, nullptr) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer_) < 0) {
      abort();
    }
  }

  // Again and again: the first one may come before the wait.
  void Set(long nanoseconds) {
    const itimerspec times{.it_interval = {0, nanoseconds}, .it_value = {0, nanoseconds}};
    timer_settime(timer_, 0, &times, nullptr);
  }

 private:
  timer_t timer_{};
};

Environment& TheEnvironment() {
  static Environment* const environment = [] {
    Environment* const made = Environment::Attach(nullptr);
    napi_value exports = nullptr;
    ExportDescriptor(*made, exports);
    ExportDevice(*made, exports);
    ExportEventFd(*made, exports);
    ExportHypercall(*made, exports);
    ExportMemory(*made, exports);
    ExportPartition(*made, exports);
    ExportVp(*made, exports);
    ExportBackend(*made, exports);
    for (const auto& call : kCalls) {
      if (!Functions().contains(call.name)) {
        fprintf(stderr, "the addon exports no %s\n", std::string(call.name).c_str());
        abort();
      }
    }
    return made;
  }();
  return *environment;
}

// A simulated host with a partition of one VP and memory, and everything that is opened on it.
class Session {
 public:
  explicit Session(FuzzedDataProvider& data) : data_(data) {
    const uint8_t options = data_.ConsumeIntegral<uint8_t>();
    host_ = sim::Registry::Get().AddHost({.scheduler = (options & 1) != 0 ? 4u : 3u,
                                          .fast_injection = (options & 2) != 0,
                                          .v1_only = (options & 4) != 0,
                                          .register_page = (options & 8) != 0,
                                          .deposits_inside = (options & 16) != 0},
                                         nullptr);
    devices_.push_back(Own(backend::Open(("sim:" + std::to_string(host_)).c_str())));
    abi::mshv_create_partition create{.pt_flags = 1, .pt_isolation = 0};
    partitions_.push_back(Own(backend::Ioctl(devices_[0], abi::MSHV_CREATE_PARTITION, &create)));
    static_cast<void>(backend::Ioctl(partitions_[0], abi::MSHV_INITIALIZE_PARTITION, nullptr));
    abi::mshv_create_vp vp{};
    vps_.push_back(Own(backend::Ioctl(partitions_[0], abi::MSHV_CREATE_VP, &vp)));
    if ((options & 32) != 0) {
      Attach(vps_[0]);
    }
    eventfds_.push_back(Own(backend::EventFdCreate(0, false)));
    const auto memory = TheEnvironment().memories().Add(Memory::Create(kMemory, false, false));
    if (!memory) {
      abort();
    }
    memory_ = TheEnvironment().memories().Find(*memory)->At(0, kMemory);
    memories_.push_back(*memory);
    abi::mshv_user_mem_region region{};
    region.size = kMemory / 2;
    region.userspace_addr = reinterpret_cast<uintptr_t>(memory_);
    region.flags = 3;
    static_cast<void>(backend::Ioctl(partitions_[0], abi::MSHV_SET_GUEST_MEMORY, &region));
  }

  ~Session() {
    if (const auto host = sim::Registry::Get().RemoveHost(host_)) {
      host->Destroy();
    }
    for (const auto* all : {&files_, &arbiters_, &eventfds_, &vps_, &partitions_, &devices_}) {
      for (const int fd : *all) {
        if (TheEnvironment().Owns(fd)) {
          static_cast<void>(TheEnvironment().vps().Detach(fd));
          TheEnvironment().Disown(fd);
          static_cast<void>(backend::Close(fd));
        }
      }
    }
    for (const int memory : memories_) {
      static_cast<void>(TheEnvironment().memories().Unmap(memory));
    }
  }

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Run() {
    constexpr int kMostSteps = 60;
    for (int i = 0; i < kMostSteps && data_.remaining_bytes() > 0; ++i) {
      switch (data_.ConsumeIntegralInRange(0, 7)) {
        case 0:
        case 1:
          RawIoctl(Pick(data_.ConsumeBool()   ? vps_
                        : data_.ConsumeBool() ? partitions_
                                              : devices_),
                   data_.PickValueInArray(kRequests));
          break;
        case 2:
          GuestStep();
          break;
        default:
          Call();
      }
    }
  }

 private:
  // The descriptor that a call has made; -1 where it failed.
  static int Own(OrError<int> fd) {
    const auto owned = TheEnvironment().Own(fd);
    return owned ? *owned : -1;
  }

  void Attach(int vp) {
    auto created = VpArbiter::Create({});
    arbiters_.push_back(Own(created ? OrError<int>(created->release()) : created.error()));
    auto arbiter = VpArbiter::Open(arbiters_.back());
    if (!arbiter || !TheEnvironment().vps().Attach(vp, *std::move(arbiter))) {
      abort();
    }
  }

  int Pick(const std::vector<int>& all) {
    return all[data_.ConsumeIntegralInRange<size_t>(0, all.size() - 1)];
  }

  // As often near one of the borders as anywhere.
  uint64_t Quantity() {
    switch (data_.ConsumeIntegralInRange(0, 4)) {
      case 0:
        return data_.ConsumeIntegralInRange<uint64_t>(0, 9);
      case 1:
        return data_.ConsumeIntegral<uint8_t>();
      case 2:
        return data_.ConsumeIntegral<uint8_t>() * uint64_t{abi::MSHV_HV_PAGE_SIZE};
      case 3:
        return data_.ConsumeIntegral<uint32_t>();
      default:
        return data_.ConsumeIntegral<uint64_t>();
    }
  }

  bool Mostly() { return data_.ConsumeIntegralInRange(0, 7) != 7; }

  std::vector<uint8_t> Bytes() {
    const size_t most = data_.ConsumeBool() ? 64 : 5000;
    const auto length = data_.ConsumeIntegralInRange<size_t>(0, most);
    std::vector<uint8_t> bytes = data_.ConsumeBytes<uint8_t>(length);
    bytes.resize(length);
    return bytes;
  }

  napi_value Number(double number) {
    napi_value__& value = values_.emplace_back();
    value.type = napi_number;
    value.number = number;
    return &value;
  }

  napi_value Bigint(uint64_t quantity) {
    napi_value__& value = values_.emplace_back();
    value.type = napi_bigint;
    value.bigint = quantity;
    return &value;
  }

  napi_value Array(napi_typedarray_type elements, size_t size) {
    std::vector<uint8_t> bytes = Bytes();
    bytes.resize(bytes.size() / size * size);
    napi_value__& value = values_.emplace_back();
    value.type = napi_object;
    value.elements = elements;
    value.bytes = std::make_unique<GuardedBytes>(bytes);
    return &value;
  }

  napi_value Argument(char kind) {
    switch (kind) {
      case 'd':
        return Number(Pick(devices_));
      case 'p':
        return Number(Pick(partitions_));
      case 'e':
        return Number(Pick(eventfds_));
      case 'v':
        return Number(Pick(vps_));
      case 'f':
        return Number(files_.empty() ? -1 : Pick(files_));
      case 'm':
        return Number(Pick(memories_));
      case 't':
        return Number(Mostly() ? data_.ConsumeIntegralInRange(0, 2)
                               : static_cast<uint32_t>(Quantity()));
      case 's':
        return Number(Mostly() ? data_.ConsumeIntegralInRange(0, 5)
                               : static_cast<uint32_t>(Quantity()));
      case 'n':
        return Number(Mostly() ? data_.ConsumeIntegralInRange<uint32_t>(0, kPages / 2)
                               : static_cast<uint32_t>(Quantity()));
      case 'g':
        return Bigint(Mostly() ? data_.ConsumeIntegralInRange<uint64_t>(0, kPages / 2)
                               : Quantity());
      case 'c':
        return Number(Mostly() ? -1 : static_cast<int32_t>(Quantity()));
      case 'h':
        return Number(host_);
      case 'u':
        return Number(static_cast<uint32_t>(Quantity()));
      case 'q':
        return Bigint(Quantity());
      case 'b': {
        napi_value__& value = values_.emplace_back();
        value.type = napi_boolean;
        value.number = data_.ConsumeBool();
        return &value;
      }
      case 'B':
        return Array(napi_uint8_array, 1);
      case 'W':
        return Array(napi_uint32_array, 4);
      case 'Q':
        return Array(napi_biguint64_array, 8);
      default:
        return &values_.emplace_back();
    }
  }

  void Call() {
    const auto& [name, takes] = data_.PickValueInArray(kCalls);
    values_.clear();
    std::vector<napi_value> arguments;
    for (const char kind : takes) {
      constexpr char kKinds[] = {'d', 'p', 'e', 'v', 'f', 'm', 'h',
                                 'u', 'q', 'b', 'B', 'W', 'Q', '?'};
      const bool wrong = data_.ConsumeIntegralInRange(0, 31) == 31;
      arguments.push_back(Argument(wrong ? data_.PickValueInArray(kKinds) : kind));
    }
    // What is left out and what is too much.
    const auto count = data_.ConsumeIntegralInRange(0, 31);
    if (count == 31 && !arguments.empty()) {
      arguments.pop_back();
    }
    if (name == "accessBitmap" && arguments.size() == takes.size()) {
      arguments[4]->number = std::min(arguments[4]->number, double{kMostPages});
    }
    if (name == "memoryCreate") {
      arguments[0]->bigint = std::min(arguments[0]->bigint, kMostPages * kPage);
    }
    Invoke(name, arguments);
    Keep(name, takes);
  }

  // What the guest does next, and mostly does it.
  void GuestStep() {
    values_.clear();
    napi_value__& operands = values_.emplace_back();
    std::array<uint64_t, 5> words{};
    std::ranges::generate(words, [this] { return Quantity(); });
    words[0] = data_.ConsumeIntegralInRange<uint64_t>(0, 9);
    operands.type = napi_object;
    operands.elements = napi_biguint64_array;
    operands.bytes = std::make_unique<GuardedBytes>(
        std::span(reinterpret_cast<const uint8_t*>(words.data()), sizeof(words)));
    std::vector<napi_value> arguments = {Number(partitions_[0]), Number(0), &operands};
    Invoke("simGuestSteps", arguments);
    if (data_.ConsumeIntegralInRange(0, 3) != 0) {
      RawIoctl(vps_[0], abi::MSHV_RUN_VP);
    }
  }

  void Invoke(std::string_view name, std::span<napi_value> arguments) {
    const Function& function = Functions().find(name)->second;
    napi_callback_info__ info{arguments, function.data};
    result = {};
    if (function.call(nullptr, &info) == nullptr) {
      abort();
    }
    for (const napi_value__& value : values_) {
      if (value.bytes != nullptr) {
        value.bytes->Check();
      }
    }
  }

  // Descriptors that were returned are used, and closed with the rest.
  void Keep(std::string_view name, std::string_view takes) {
    if (result.type != napi_number || result.number < 0) {
      return;
    }
    const int fd = static_cast<int>(result.number);
    if (name.starts_with("createPartition")) {
      partitions_.push_back(fd);
    } else if (name == "createVp") {
      vps_.push_back(fd);
    } else if (name == "eventfdCreate") {
      eventfds_.push_back(fd);
    } else if (name == "dup") {
      (takes == "p" ? partitions_ : takes == "v" ? vps_ : eventfds_).push_back(fd);
    } else if (name == "vpAttach") {
      arbiters_.push_back(fd);
    } else if (name == "memoryFd") {
      files_.push_back(fd);
    } else if (name == "memoryCreate" || name == "memoryFromFd") {
      memories_.push_back(fd);
    }
  }

  // An address in a buffer, at its end, of nothing, or of none.
  uint64_t Pointer(const GuardedBytes& buffer) {
    const auto at = reinterpret_cast<uintptr_t>(buffer.bytes().data());
    switch (data_.ConsumeIntegralInRange(0, 15)) {
      case 0:
        return 0;
      case 1:
        return at + data_.ConsumeIntegralInRange<uint64_t>(0, buffer.bytes().size());
      case 2:
        // Not user space's.
        return ~uint64_t{0} - data_.ConsumeIntegral<uint16_t>();
      default:
        return at;
    }
  }

  template <typename Struct>
  Struct Random() {
    Struct value{};
    std::array<uint8_t, sizeof(Struct)> bytes{};
    data_.ConsumeData(bytes.data(), bytes.size());
    memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }

  void RawIoctl(int fd, uint32_t request) {
    const auto issue = [&](auto& argument) { return backend::Ioctl(fd, request, &argument); };
    switch (request) {
      case abi::MSHV_CREATE_PARTITION: {
        auto argument = Random<abi::mshv_create_partition_v2>();
        argument.pt_flags &= 0xff;
        if (const int made = Own(issue(argument)); made > 0) {
          partitions_.push_back(made);
        }
        break;
      }
      case abi::MSHV_INITIALIZE_PARTITION:
        static_cast<void>(backend::Ioctl(fd, request, nullptr));
        break;
      case abi::MSHV_CREATE_VP: {
        auto argument = Random<abi::mshv_create_vp>();
        argument.vp_index &= 0x1ff;
        if (const int made = Own(issue(argument)); made > 0) {
          vps_.push_back(made);
        }
        break;
      }
      case abi::MSHV_SET_GUEST_MEMORY: {
        auto argument = Random<abi::mshv_user_mem_region>();
        const auto pages = data_.ConsumeIntegralInRange<uint64_t>(0, kMemory / 4096);
        argument.size = data_.ConsumeBool() ? pages * 4096 : argument.size % (kMostPages * 4096);
        argument.userspace_addr = reinterpret_cast<uintptr_t>(memory_);
        argument.flags &= 0xf;
        memset(argument.rsvd, 0, sizeof(argument.rsvd));
        static_cast<void>(issue(argument));
        break;
      }
      case abi::MSHV_IRQFD: {
        auto argument = Random<abi::mshv_user_irqfd>();
        argument.fd = Pick(eventfds_);
        argument.resamplefd = data_.ConsumeBool() ? Pick(eventfds_) : argument.resamplefd;
        argument.flags &= 7;
        static_cast<void>(issue(argument));
        break;
      }
      case abi::MSHV_IOEVENTFD: {
        auto argument = Random<abi::mshv_user_ioeventfd>();
        argument.fd = data_.ConsumeBool() ? Pick(eventfds_) : argument.fd;
        argument.flags &= 0xf;
        memset(argument.rsvd, 0, sizeof(argument.rsvd));
        static_cast<void>(issue(argument));
        break;
      }
      case abi::MSHV_SET_MSI_ROUTING: {
        // The driver believes the count: so many entries there are.
        const auto count = data_.ConsumeIntegralInRange<uint32_t>(0, 40);
        const GuardedBytes table(sizeof(abi::mshv_user_irq_table) +
                                 count * sizeof(abi::mshv_user_irq_entry));
        const std::span<uint8_t> bytes = table.bytes();
        data_.ConsumeData(bytes.data(), bytes.size());
        memcpy(bytes.data(), &count, sizeof(count));
        static_cast<void>(backend::Ioctl(fd, request, bytes.data()));
        table.Check();
        break;
      }
      case abi::MSHV_GET_GPAP_ACCESS_BITMAP: {
        auto argument = Random<abi::mshv_gpap_access_bitmap>();
        argument.page_count = data_.ConsumeIntegralInRange<uint64_t>(0, kMostPages);
        const GuardedBytes bitmap((argument.page_count + 7) / 8);
        argument.access_type &= 3;
        argument.access_op &= 3;
        memset(argument.rsvd, 0, sizeof(argument.rsvd));
        argument.bitmap_ptr = reinterpret_cast<uintptr_t>(bitmap.bytes().data());
        static_cast<void>(issue(argument));
        bitmap.Check();
        break;
      }
      case abi::MSHV_ROOT_HVCALL: {
        auto argument = Random<abi::mshv_root_hvcall>();
        const GuardedBytes input(Bytes());
        const GuardedBytes output(data_.ConsumeIntegralInRange<size_t>(0, 5000));
        argument.status = 0;
        memset(argument.rsvd, 0, sizeof(argument.rsvd));
        argument.in_sz = static_cast<uint16_t>(input.bytes().size());
        argument.out_sz = static_cast<uint16_t>(output.bytes().size());
        argument.in_ptr = Pointer(input);
        argument.out_ptr = reinterpret_cast<uintptr_t>(output.bytes().data());
        static_cast<void>(issue(argument));
        input.Check();
        output.Check();
        break;
      }
      case abi::MSHV_RUN_VP: {
        const GuardedBytes message(size_t{abi::MSHV_RUN_VP_BUF_SZ});
        static Alarm alarm;
        constexpr long kMillisecond = 1'000'000;
        alarm.Set(kMillisecond);
        static_cast<void>(backend::Ioctl(fd, request, message.bytes().data()));
        alarm.Set(0);
        message.Check();
        break;
      }
      default: {
        auto argument = Random<abi::mshv_get_set_vp_state>();
        argument.type %= 6;
        memset(argument.rsvd, 0, sizeof(argument.rsvd));
        argument.buf_ptr = reinterpret_cast<uintptr_t>(memory_);
        argument.buf_sz = data_.ConsumeIntegralInRange<uint32_t>(0, kMemory / 4096) * 4096;
        static_cast<void>(issue(argument));
      }
    }
  }

  FuzzedDataProvider& data_;
  int host_ = 0;
  void* memory_ = nullptr;
  std::vector<int> devices_;
  std::vector<int> partitions_;
  std::vector<int> vps_;
  std::vector<int> eventfds_;
  std::vector<int> arbiters_;
  std::vector<int> files_;
  // Handles, the first one that of the guest's memory.
  std::vector<int> memories_;
  std::deque<napi_value__> values_;
};

}  // namespace
}  // namespace mshv::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  mshv::fuzz::Session(data).Run();
  return 0;
}

// As much of Node-API as these functions ask for. Values are what they were made as, and nothing
// fails.

extern "C" {

napi_status napi_get_uv_event_loop(napi_env, uv_loop_s** loop) {
  *loop = nullptr;
  return napi_ok;
}

napi_status napi_add_async_cleanup_hook(napi_env, napi_async_cleanup_hook, void*,
                                        napi_async_cleanup_hook_handle*) {
  return napi_ok;
}

napi_status napi_add_env_cleanup_hook(napi_env, napi_cleanup_hook, void*) { return napi_ok; }

napi_status napi_create_function(napi_env, const char* name, size_t, napi_callback call, void* data,
                                 napi_value*) {
  mshv::fuzz::Functions()[name] = {call, data};
  return napi_ok;
}

napi_status napi_set_named_property(napi_env, napi_value, const char*, napi_value) {
  return napi_ok;
}

napi_status napi_get_cb_info(napi_env, napi_callback_info info, size_t* count, napi_value* values,
                             napi_value*, void** data) {
  const size_t given = std::min(*count, info->arguments.size());
  std::copy_n(info->arguments.begin(), given, values);
  *count = info->arguments.size();
  *data = info->data;
  return napi_ok;
}

// What the caller has left out is a null pointer.
napi_status napi_typeof(napi_env, napi_value value, napi_valuetype* type) {
  if (value == nullptr) {
    return napi_invalid_arg;
  }
  *type = value->type;
  return napi_ok;
}

napi_status napi_get_value_int32(napi_env, napi_value value, int32_t* out) {
  if (value == nullptr || value->type != napi_number) {
    return napi_number_expected;
  }
  *out = static_cast<int32_t>(static_cast<int64_t>(value->number));
  return napi_ok;
}

napi_status napi_get_value_uint32(napi_env, napi_value value, uint32_t* out) {
  if (value == nullptr || value->type != napi_number) {
    return napi_number_expected;
  }
  *out = static_cast<uint32_t>(static_cast<int64_t>(value->number));
  return napi_ok;
}

napi_status napi_get_value_bool(napi_env, napi_value value, bool* out) {
  if (value == nullptr || value->type != napi_boolean) {
    return napi_boolean_expected;
  }
  *out = value->number != 0;
  return napi_ok;
}

napi_status napi_get_value_bigint_uint64(napi_env, napi_value value, uint64_t* out,
                                         bool* lossless) {
  if (value == nullptr || value->type != napi_bigint) {
    return napi_bigint_expected;
  }
  *out = value->bigint;
  *lossless = true;
  return napi_ok;
}

napi_status napi_get_typedarray_info(napi_env, napi_value value, napi_typedarray_type* type,
                                     size_t* length, void** data, napi_value*, size_t*) {
  if (value == nullptr || value->bytes == nullptr) {
    return napi_invalid_arg;
  }
  const std::span<uint8_t> bytes = value->bytes->bytes();
  const size_t size = value->elements == napi_uint8_array    ? 1
                      : value->elements == napi_uint32_array ? 4
                                                             : 8;
  *type = value->elements;
  *length = bytes.size() / size;
  *data = bytes.data();
  return napi_ok;
}

napi_status napi_create_int32(napi_env, int32_t value, napi_value* out) {
  mshv::fuzz::result.type = napi_number;
  mshv::fuzz::result.number = value;
  *out = &mshv::fuzz::result;
  return napi_ok;
}

napi_status napi_create_bigint_uint64(napi_env, uint64_t value, napi_value* out) {
  mshv::fuzz::result.type = napi_bigint;
  mshv::fuzz::result.bigint = value;
  *out = &mshv::fuzz::result;
  return napi_ok;
}

napi_status napi_adjust_external_memory(napi_env, int64_t, int64_t* total) {
  *total = 0;
  return napi_ok;
}

}  // extern "C"

#include "vp.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <vector>

#include "abi/mshv.h"
#include "abi/vp.h"
#include "atomic_word.h"
#include "backend.h"
#include "event_loop.h"
#include "export.h"
#include "export_list.h"
#include "failed_step.h"

namespace mshv {

int Vp::Map(uint32_t number, std::span<uint8_t>* bytes) {
  if (number >= pages_.size()) {
    return -EINVAL;
  }
  ViewedMapping& page = pages_[number];
  if (!page.mapping()) {
    OrError<Mapping> mapping = backend::MapVpPage(fd_, number);
    if (!mapping) {
      return mapping.error().number();
    }
    page.Set(*std::move(mapping));
  }
  *bytes = {page.mapping().data(), page.mapping().size()};
  return 0;
}

OrError<napi_value> Vp::Page(const BufferDetacher& detacher, uint32_t number) {
  std::span<uint8_t> bytes;
  if (const int error = Map(number, &bytes); error < 0) {
    return Error(error);
  }
  return pages_[number].Buffer(detacher);
}

int Vp::End() { return thread == nullptr ? -ENOENT : VpThread::End(thread); }

void Vp::Offer(int result) {
  if (control_->ComesOnce(result, block_.message())) {
    offered_ = result;
    std::memcpy(&offered_exit_, block_.message(), sizeof(offered_exit_));
  }
}

void Vp::Tell() {
  if (thread != nullptr) {
    thread->Tell();
  }
  offered_ = -EINTR;
}

void Vp::KeepUntold() {
  if (block_ && block_.IsMarked()) {
    Tell();
  }
  control_->Keep(offered_, &offered_exit_);
}

int VpTable::Attach(int fd, std::unique_ptr<RunControl> control) {
  const bool added = vps_.emplace(fd, std::make_unique<Vp>(env_, fd, std::move(control))).second;
  return added ? 0 : -EEXIST;
}

Vp* VpTable::Find(int fd) const {
  const auto found = vps_.find(fd);
  return found == vps_.end() ? nullptr : found->second.get();
}

int VpTable::Detach(int fd) {
  const auto found = vps_.find(fd);
  if (found == vps_.end()) {
    return 0;
  }
  Vp& vp = *found->second;
  vp.Tell();
  if (const int error = vp.End(); error < 0 && error != -ENOENT) {
    return error;
  }
  Leave(vp);
  vp.block().Forget();
  for (ViewedMapping& page : vp.pages()) {
    // A buffer that is locked stays, over a page of nobody.
    if (!page.Detach(detacher_)) {
      page.Forget(env_);
    }
  }
  vps_.erase(found);
  // Nobody needs its timer.
  if (vps_.empty()) {
    pacer_.reset();
    runner_.reset();
  }
  return 0;
}

void VpTable::Forget() {
  for (auto& [fd, vp] : vps_) {
    vp->KeepUntold();
    const int ended = vp->End();
    Leave(*vp);
    vp->block().Forget();
    for (ViewedMapping& page : vp->pages()) {
      page.Forget(env_);
    }
    if (ended < 0 && ended != -ENOENT) {
      // Its thread goes on using it, until the VP exits.
      VpThread::Abandon(std::move(vp->thread));
      vp.release();
    }
  }
  vps_.clear();
  pacer_.reset();
  runner_.reset();
}

// The environment's own thread runs the VP no more.
void VpTable::Leave(Vp& vp) {
  if (runner_ != nullptr) {
    pacer_->Forget();
    vp.control().Release(*runner_, -EINTR, nullptr);
  }
}

int VpTable::Run(Vp& vp) {
  // V8 ends a loop only after so many rounds, which are minutes where one takes a tenth of a
  // second.
  if (ending_) {
    return -ESHUTDOWN;
  }
  vp.Tell();
  const int result = RunPaced(vp.control(), vp.fd(), vp.block().message());
  if (result == 0 || result == -ECANCELED) {
    vp.block().Unmark(runner_->run);
    vp.Offer(result);
  }
  if (result == -EINTR && IsEnding(env_)) {
    ending_ = true;
    Leave(vp);
    return -ESHUTDOWN;
  }
  return result;
}

int VpTable::RunPaced(RunControl& control, int fd, void* message) {
  if (runner_ == nullptr) {
    std::unique_ptr<Runner> runner;
    if (const int error = Runner::Create(&runner); error < 0) {
      return error;
    }
    if (const int error = Pacer::Start(*runner, &pacer_); error < 0) {
      return error;
    }
    runner_ = std::move(runner);
  }
  // A system call each takes longer than all the rest. So what other code of this thread may have
  // done to its signals is looked at as often as the pacer comes round, and their handlers by
  // whoever makes use of them.
  const bool look = pacer_->Begin(control);
  int result = look ? runner_->timer.Prepare() : 0;
  if (result == 0) {
    result = control.Run(*runner_, fd, message);
  } else {
    control.Release(*runner_, -EINTR, nullptr);
  }
  pacer_->End();
  return result;
}

int VpTable::Start(Vp& vp, napi_value on_exit) {
  if (vp.thread != nullptr) {
    return -EBUSY;
  }
  // What run() has returned before is no longer what the block's mark is about.
  vp.Tell();
  return VpThread::Start(env_, loop_, closing_, vp.fd(), vp.control(), vp.block(), on_exit,
                         &vp.thread);
}

OrError<AttachedVp> AttachedVp::Read(Environment& environment, napi_value value) {
  const auto fd = OwnedFd::Read(environment, value);
  if (!fd) {
    return fd.error();
  }
  Vp* const vp = environment.vps().Find(fd->number);
  return vp == nullptr ? Error(-EBADF) : OrError<AttachedVp>(AttachedVp{vp});
}

namespace {

int Attach(Environment& environment, OwnedFd vp, int32_t control,
           std::optional<std::span<uint32_t>> comes_again) {
  if (environment.vps().Find(vp.number) != nullptr) {
    return -EEXIST;
  }
  if (control != -1 && !environment.Owns(control)) {
    return -EBADF;
  }
  const std::span<const uint32_t> types = comes_again.value_or(std::span<uint32_t>());
  const int fd = control == -1 ? RunControl::Create(types) : control;
  if (fd < 0) {
    return fd;
  }
  environment.Own(fd);
  std::unique_ptr<RunControl> opened;
  int error = RunControl::Open(fd, &opened);
  if (error == 0) {
    error = environment.vps().Attach(vp.number, std::move(opened));
  }
  if (error < 0 && control == -1) {
    environment.Disown(fd);
    static_cast<void>(backend::Close(fd));
  }
  return error < 0 ? error : fd;
}

// The memory of an exit block, before it is looked at.
struct BlockArgument {
  napi_value array = nullptr;

  static OrError<BlockArgument> Read(Environment&, napi_value value) {
    return BlockArgument{value};
  }
};

int UseBlock(Environment&, AttachedVp vp, BlockArgument block) {
  return vp->block().Use(block.array);
}

int Run(Environment& environment, AttachedVp vp) {
  if (!vp->block()) {
    return -EINVAL;
  }
  return vp->thread == nullptr ? environment.vps().Run(*vp.vp) : -EBUSY;
}

int Cancel(Environment&, AttachedVp vp) { return vp->control().Cancel(); }

int LastRun(Environment&, AttachedVp vp) { return vp->control().LastRun(); }

int Start(Environment& environment, AttachedVp vp, Callback on_exit) {
  return vp->block() ? environment.vps().Start(*vp.vp, on_exit.function) : -EINVAL;
}

int Resume(Environment&, AttachedVp vp) {
  return vp->thread == nullptr ? -ENOENT : vp->thread->Resume();
}

int Stop(Environment&, AttachedVp vp) {
  vp->Tell();
  return vp->End();
}

int HoldLoop(Environment&, AttachedVp vp, bool hold) {
  if (vp->thread == nullptr) {
    return -ENOENT;
  }
  vp->thread->HoldLoop(hold);
  return 0;
}

OrError<napi_value> Page(Environment& environment, AttachedVp vp, uint32_t number) {
  return vp->Page(environment.detacher(), number);
}

constexpr uint32_t kRegisterPage = 0;

// The words of a register page, and the places in it that are to take them: none where a place is
// 0.
constexpr size_t kWord = sizeof(uint64_t);

bool ArePlaces(std::span<const uint32_t> places) {
  return std::ranges::all_of(places, [](uint32_t at) {
    return at % kWord == 0 && at <= sizeof(abi::hv_vp_register_page) - kWord;
  });
}

void PutWords(std::span<uint8_t> page, std::span<const uint32_t> places, const uint64_t* words) {
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i] != 0) {
      std::memcpy(page.data() + places[i], &words[i], kWord);
    }
  }
}

// Calls `use` with the register page where it is valid, while nobody runs the VP. Returns 1 then, 0
// where it is not.
template <typename Use>
int UseRegisterPage(std::span<uint8_t> page, Use use) {
  if (page[offsetof(abi::hv_vp_register_page, isvalid)] != 1) {
    return 0;
  }
  uint8_t* const dirty = page.data() + offsetof(abi::hv_vp_register_page, dirty);
  use(AtomicWord(*reinterpret_cast<uint32_t*>(dirty)));
  return 1;
}

int ReadRegisterPage(Environment&, AttachedVp vp, std::span<uint8_t> into, uint32_t clear) {
  if (into.size() > abi::MSHV_HV_PAGE_SIZE) {
    return -EINVAL;
  }
  std::span<uint8_t> page;
  if (const int error = vp->Map(kRegisterPage, &page); error < 0) {
    return error;
  }
  return vp->control().WhileIdle([&] {
    return UseRegisterPage(page, [&](auto dirty) {
      std::ranges::copy(page.first(into.size()), into.begin());
      dirty.FetchAnd(~clear);
    });
  });
}

int WriteRegisterPage(Environment&, AttachedVp vp, std::span<uint32_t> shared_places,
                      std::span<uint64_t> words, uint32_t mark) {
  // Another thread may write there.
  const std::vector<uint32_t> places(shared_places.begin(), shared_places.end());
  if (!ArePlaces(places) || words.size() < places.size()) {
    return -EINVAL;
  }
  std::span<uint8_t> page;
  if (const int error = vp->Map(kRegisterPage, &page); error < 0) {
    return error;
  }
  return vp->control().WhileIdle([&] {
    return UseRegisterPage(page, [&](auto dirty) {
      PutWords(page, places, words.data());
      dirty.FetchOr(mark);
    });
  });
}

int CompleteExit(Environment&, AttachedVp vp, uint32_t run, uint32_t count, uint32_t mark) {
  if (!vp->block() || count > ExitBlock::Completion::kMost) {
    return -EINVAL;
  }
  const ExitBlock::Completion completion = vp->block().completion();
  const std::span places = std::span(completion.places).first(count);
  if (!ArePlaces(places)) {
    return -EINVAL;
  }
  std::span<uint8_t> page;
  const int mapped = vp->Map(kRegisterPage, &page);
  return vp->control().AfterRun(run, [&] {
    return mapped < 0 ? mapped : UseRegisterPage(page, [&](auto dirty) {
      PutWords(page, places, completion.words.data());
      dirty.FetchOr(mark);
    });
  });
}

}  // namespace

void ExportVp(Environment& environment, napi_value exports) {
  Export<Attach>(environment, exports, "vpAttach");
  Export<UseBlock>(environment, exports, "vpUseBlock");
  Export<Run>(environment, exports, "vpRun");
  Export<Cancel>(environment, exports, "vpCancel");
  Export<LastRun>(environment, exports, "vpLastRun");
  Export<Start>(environment, exports, "vpStart");
  Export<Resume>(environment, exports, "vpResume");
  Export<Stop>(environment, exports, "vpStop");
  Export<HoldLoop>(environment, exports, "vpHoldLoop");
  Export<Page>(environment, exports, "vpPage");
  Export<ReadRegisterPage>(environment, exports, "vpReadRegisterPage");
  Export<WriteRegisterPage>(environment, exports, "vpWriteRegisterPage");
  Export<CompleteExit>(environment, exports, "vpCompleteExit");
}

}  // namespace mshv

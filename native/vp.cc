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

OrError<std::span<uint8_t>> Vp::Map(uint32_t number) {
  if (number >= pages_.size()) {
    return Error(-EINVAL);
  }
  ViewedMapping& page = pages_[number];
  if (!page.mapping()) {
    OrError<Mapping> mapping = backend::MapVpPage(fd_, number);
    if (!mapping) {
      return mapping.error();
    }
    page.Set(*std::move(mapping));
  }
  return std::span(page.mapping().data(), page.mapping().size());
}

OrError<napi_value> Vp::Page(const BufferDetacher& detacher, uint32_t number) {
  if (const auto mapped = Map(number); !mapped) {
    return mapped.error();
  }
  return pages_[number].Buffer(detacher);
}

OrError<void> Vp::End() {
  return thread == nullptr ? OrError<void>() : DedicatedThread::End(thread);
}

void Vp::Offer(OrError<void> result) {
  if (arbiter_->ComesOnce(result, block_.message())) {
    offered_ = result;
    std::memcpy(&offered_exit_, block_.message(), sizeof(offered_exit_));
  }
}

void Vp::Tell() {
  if (thread != nullptr) {
    thread->Tell();
  }
  offered_ = Error(-EINTR);
}

void Vp::KeepUntold() {
  if (block_ && block_.IsMarked()) {
    Tell();
  }
  arbiter_->Keep(offered_, &offered_exit_);
}

OrError<void> VpTable::Attach(int fd, std::unique_ptr<VpArbiter> arbiter) {
  const bool added = vps_.emplace(fd, std::make_unique<Vp>(env_, fd, std::move(arbiter))).second;
  return added ? OrError<void>() : Error(-EEXIST);
}

Vp* VpTable::Find(int fd) const {
  const auto found = vps_.find(fd);
  return found == vps_.end() ? nullptr : found->second.get();
}

OrError<void> VpTable::Detach(int fd) {
  const auto found = vps_.find(fd);
  if (found == vps_.end()) {
    return {};
  }
  Vp& vp = *found->second;
  vp.Tell();
  if (const auto ended = vp.End(); !ended) {
    return ended;
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
  return {};
}

void VpTable::Forget() {
  for (auto& [fd, vp] : vps_) {
    vp->KeepUntold();
    const auto ended = vp->End();
    Leave(*vp);
    vp->block().Forget();
    for (ViewedMapping& page : vp->pages()) {
      page.Forget(env_);
    }
    if (!ended) {
      // Its thread goes on using it, until the VP exits.
      DedicatedThread::Abandon(std::move(vp->thread));
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
    vp.arbiter().Release(*runner_, Error(-EINTR), nullptr);
  }
}

OrError<void> VpTable::Run(Vp& vp) {
  // V8 ends a loop only after so many rounds, which are minutes where one takes a tenth of a
  // second.
  if (ending_) {
    return Error(-ESHUTDOWN);
  }
  vp.Tell();
  const auto result = RunPaced(vp.arbiter(), vp.fd(), vp.block().message());
  if (result || result.error() == -ECANCELED) {
    vp.block().Unmark(runner_->run);
    vp.Offer(result);
  }
  if (result.error() == -EINTR && IsEnding(env_)) {
    ending_ = true;
    Leave(vp);
    return Error(-ESHUTDOWN);
  }
  return result;
}

OrError<void> VpTable::MakeRunner() {
  OrError<std::unique_ptr<KickTarget>> runner = KickTarget::Create();
  if (!runner) {
    return runner.error();
  }
  OrError<std::unique_ptr<Pacer>> pacer = Pacer::Start(**runner);
  if (!pacer) {
    return pacer.error();
  }
  runner_ = *std::move(runner);
  pacer_ = *std::move(pacer);
  return {};
}

OrError<void> VpTable::RunPaced(VpArbiter& arbiter, int fd, void* message) {
  if (runner_ == nullptr) {
    if (const auto made = MakeRunner(); !made) {
      return made;
    }
  }
  // A system call each takes longer than all the rest. So what other code of this thread may have
  // done to its signals is looked at as often as the pacer comes round, and their handlers by
  // whoever makes use of them.
  const bool look = pacer_->Begin(arbiter);
  OrError<void> result = look ? runner_->timer.Prepare() : OrError<void>();
  if (result) {
    result = arbiter.Run(*runner_, fd, message);
  } else {
    arbiter.Release(*runner_, Error(-EINTR), nullptr);
  }
  pacer_->End();
  return result;
}

OrError<void> VpTable::Start(Vp& vp, napi_value on_exit) {
  if (vp.thread != nullptr) {
    return Error(-EBUSY);
  }
  // What run() has returned before is no longer what the block's mark is about.
  vp.Tell();
  OrError<std::unique_ptr<DedicatedThread>> thread =
      DedicatedThread::Start(env_, loop_, closing_, vp.fd(), vp.arbiter(), vp.block(), on_exit);
  if (!thread) {
    return thread.error();
  }
  vp.thread = *std::move(thread);
  return {};
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

OrError<void> AttachWith(Environment& environment, OwnedFd vp, int arbiter) {
  OrError<std::unique_ptr<VpArbiter>> opened = VpArbiter::Open(arbiter);
  return opened ? environment.vps().Attach(vp.number, *std::move(opened)) : opened.error();
}

OrError<int> Attach(Environment& environment, OwnedFd vp, int32_t arbiter,
                    std::optional<std::span<uint32_t>> comes_again) {
  if (environment.vps().Find(vp.number) != nullptr) {
    return Error(-EEXIST);
  }
  if (arbiter != -1) {
    const auto attached =
        environment.Owns(arbiter) ? AttachWith(environment, vp, arbiter) : Error(-EBADF);
    return attached ? OrError<int>(arbiter) : attached.error();
  }
  OrError<UniqueFd> made = VpArbiter::Create(comes_again.value_or(std::span<uint32_t>()));
  if (!made) {
    return made.error();
  }
  if (const auto attached = AttachWith(environment, vp, made->get()); !attached) {
    return attached.error();
  }
  return environment.Own(OrError<int>(made->release()));
}

// The memory of an exit block, before it is looked at.
struct BlockArgument {
  napi_value array = nullptr;

  static OrError<BlockArgument> Read(Environment&, napi_value value) {
    return BlockArgument{value};
  }
};

OrError<void> UseBlock(Environment&, AttachedVp vp, BlockArgument block) {
  return vp->block().Use(block.array);
}

OrError<void> Run(Environment& environment, AttachedVp vp) {
  if (!vp->block()) {
    return Error(-EINVAL);
  }
  return vp->thread == nullptr ? environment.vps().Run(*vp.vp) : Error(-EBUSY);
}

OrError<void> Cancel(Environment&, AttachedVp vp) { return vp->arbiter().Cancel(); }

int LastRun(Environment&, AttachedVp vp) { return vp->arbiter().LastRun(); }

OrError<void> Start(Environment& environment, AttachedVp vp, Callback on_exit) {
  return vp->block() ? environment.vps().Start(*vp.vp, on_exit.function) : Error(-EINVAL);
}

OrError<void> Resume(Environment&, AttachedVp vp) {
  return vp->thread == nullptr ? Error(-ENOENT) : vp->thread->Resume();
}

OrError<void> Stop(Environment&, AttachedVp vp) {
  vp->Tell();
  return vp->thread == nullptr ? Error(-ENOENT) : vp->End();
}

OrError<void> HoldLoop(Environment&, AttachedVp vp, bool hold) {
  if (vp->thread == nullptr) {
    return Error(-ENOENT);
  }
  vp->thread->HoldLoop(hold);
  return {};
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

using RegisterPage = std::span<uint8_t>;

// Calls `use` with the page and its dirty bits where it is valid, and returns whether it is. Nobody
// runs the VP meanwhile.
template <typename Use>
OrError<bool> UseRegisterPage(RegisterPage page, Use use) {
  if (page[offsetof(abi::hv_vp_register_page, isvalid)] != 1) {
    return false;
  }
  uint8_t* const dirty = page.data() + offsetof(abi::hv_vp_register_page, dirty);
  use(page, AtomicWord(*reinterpret_cast<uint32_t*>(dirty)));
  return true;
}

template <typename Use>
OrError<bool> UseWhileIdle(AttachedVp vp, Use use) {
  const auto page = vp->Map(kRegisterPage);
  if (!page) {
    return page.error();
  }
  return vp->arbiter().WhileIdle([&] { return UseRegisterPage(*page, use); });
}

OrError<bool> ReadRegisterPage(Environment&, AttachedVp vp, std::span<uint8_t> into,
                               uint32_t clear) {
  if (into.size() > abi::MSHV_HV_PAGE_SIZE) {
    return Error(-EINVAL);
  }
  return UseWhileIdle(vp, [&](RegisterPage page, auto dirty) {
    std::ranges::copy(page.first(into.size()), into.begin());
    dirty.FetchAnd(~clear);
  });
}

OrError<bool> WriteRegisterPage(Environment&, AttachedVp vp, std::span<uint32_t> shared_places,
                                std::span<uint64_t> words, uint32_t mark) {
  // Another thread may write there.
  const std::vector<uint32_t> places(shared_places.begin(), shared_places.end());
  if (!ArePlaces(places) || words.size() < places.size()) {
    return Error(-EINVAL);
  }
  return UseWhileIdle(vp, [&](RegisterPage page, auto dirty) {
    PutWords(page, places, words.data());
    dirty.FetchOr(mark);
  });
}

OrError<bool> CompleteExit(Environment&, AttachedVp vp, uint32_t run, uint32_t count,
                           uint32_t mark) {
  if (!vp->block() || count > ExitBlock::Completion::kMost) {
    return Error(-EINVAL);
  }
  const ExitBlock::Completion completion = vp->block().completion();
  const std::span places = std::span(completion.places).first(count);
  if (!ArePlaces(places)) {
    return Error(-EINVAL);
  }
  const auto page = vp->Map(kRegisterPage);
  return vp->arbiter().AfterRun(run, [&]() -> OrError<bool> {
    if (!page) {
      return page.error();
    }
    return UseRegisterPage(*page, [&](RegisterPage valid, auto dirty) {
      PutWords(valid, places, completion.words.data());
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

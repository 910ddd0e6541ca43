#include "share_tokens.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "atomic_word.h"
#include "backend.h"
#include "export.h"
#include "export_list.h"
#include "memory.h"
#include "vp.h"
#include "vp_arbiter.h"

namespace mshv {
namespace {

constexpr size_t kTaken = 0;
constexpr size_t kMaker = 1;

AtomicWord<int32_t> At(std::span<int32_t> words, size_t index) { return AtomicWord(words[index]); }

void CloseAll(std::span<const int> descriptors) {
  for (const int fd : descriptors) {
    static_cast<void>(backend::Close(fd));
  }
}

}  // namespace

void TokenWords::Offer() const {
  At(words_, kMaker).Store(1);
  At(words_, kTaken).Store(0);
}

bool TokenWords::Take() const { return At(words_, kTaken).Exchange(1) == 0; }

bool TokenWords::PutBack() const {
  At(words_, kTaken).Store(0);
  // Whoever comes second, this or the end of the environment, sees what the other has written.
  return At(words_, kMaker).Load() != 0 || !Take();
}

bool TokenWords::End() const {
  At(words_, kMaker).Store(0);
  return Take();
}

bool TokenWords::IsTaken() const { return At(words_, kTaken).Load() != 0; }

OrError<void> ShareTokens::Make(napi_value array, TokenWords token,
                                std::span<const int32_t> descriptors) {
  ForgetTaken();
  std::vector<int> duplicates;
  for (const int fd : descriptors) {
    const auto duplicate = backend::Dup(fd);
    if (!duplicate) {
      CloseAll(duplicates);
      return duplicate.error();
    }
    duplicates.push_back(*duplicate);
  }
  napi_ref kept = nullptr;
  if (napi_create_reference(env_, array, 1, &kept) != napi_ok) {
    CloseAll(duplicates);
    return Error(-ECANCELED);
  }
  std::copy(duplicates.begin(), duplicates.end(), token.descriptors().begin());
  token.Offer();
  tokens_.push_back({kept, token, std::move(duplicates)});
  return {};
}

void ShareTokens::Close() {
  for (const Token& token : tokens_) {
    if (token.words.End()) {
      CloseAll(token.descriptors);
    }
    napi_delete_reference(env_, token.array);
  }
  tokens_.clear();
}

void ShareTokens::ForgetTaken() {
  if (tokens_.size() < forget_at_) {
    return;
  }
  std::erase_if(tokens_, [this](const Token& token) {
    const bool taken = token.words.IsTaken();
    if (taken) {
      napi_delete_reference(env_, token.array);
    }
    return taken;
  });
  forget_at_ = std::max<size_t>(16, 2 * tokens_.size());
}

namespace {

// lib/native.ts: descriptorKinds.
constexpr uint32_t kVp = static_cast<uint32_t>(backend::Kind::kVp);
constexpr uint32_t kArbiter = 2;

// What an arbiter is opened as; nothing of the others.
OrError<std::unique_ptr<VpArbiter>> Check(int fd, uint32_t kind) {
  switch (kind) {
    case static_cast<uint32_t>(backend::Kind::kPartition):
    case kVp:
      return backend::Identify(fd, static_cast<backend::Kind>(kind)).error();
    case kArbiter:
      return VpArbiter::Open(fd);
    default:
      return Error(-EINVAL);
  }
}

OrError<int> TakeDescriptors(Environment& environment, std::span<const int32_t> descriptors,
                             std::span<const uint32_t> kinds) {
  std::unique_ptr<VpArbiter> arbiter;
  int vp = -1;
  for (size_t i = 0; i < kinds.size(); ++i) {
    // Owning a number twice would close it twice.
    if (environment.Owns(descriptors[i])) {
      return Error(-EBUSY);
    }
    auto checked = Check(descriptors[i], kinds[i]);
    if (!checked) {
      return checked.error();
    }
    if (*checked != nullptr) {
      arbiter = *std::move(checked);
    }
    vp = kinds[i] == kVp ? descriptors[i] : vp;
  }
  if (vp >= 0 && arbiter != nullptr) {
    if (const auto attached = environment.vps().Attach(vp, std::move(arbiter)); !attached) {
      return attached.error();
    }
  }
  for (const int fd : descriptors) {
    environment.Own(fd);
  }
  return 0;
}

OrError<void> Share(Environment& environment, std::span<int32_t> descriptors,
                    KeptArray<int32_t> token) {
  if (token.elements.size() != TokenWords::kHeader + descriptors.size()) {
    return Error(-EINVAL);
  }
  const bool ours = std::all_of(descriptors.begin(), descriptors.end(),
                                [&](int fd) { return environment.Owns(fd); });
  return ours ? environment.tokens().Make(token.array, TokenWords(token.elements), descriptors)
              : Error(-EBADF);
}

// Calls `take` with the descriptors, whose copy nobody can change meanwhile. Where it fails the
// token is as it was.
template <typename Take>
OrError<int> TakeToken(std::span<int32_t> words, size_t count, Take take) {
  if (words.size() != TokenWords::kHeader + count) {
    return Error(-EINVAL);
  }
  const TokenWords token(words);
  if (!token.Take()) {
    return Error(-EALREADY);
  }
  const std::vector<int32_t> descriptors(token.descriptors().begin(), token.descriptors().end());
  const OrError<int> result = take(descriptors);
  if (!result && !token.PutBack()) {
    CloseAll(descriptors);
  }
  return result;
}

OrError<int> Receive(Environment& environment, std::span<int32_t> words,
                     std::span<uint32_t> kinds) {
  return TakeToken(words, kinds.size(), [&](std::span<const int32_t> descriptors) {
    return TakeDescriptors(environment, descriptors, kinds);
  });
}

OrError<int> ReceiveMemory(Environment& environment, std::span<int32_t> words, uint64_t offset,
                           uint64_t size) {
  return TakeToken(words, 1, [&](std::span<const int32_t> descriptors) -> OrError<int> {
    const int fd = descriptors[0];
    if (environment.Owns(fd)) {
      return Error(-EBUSY);
    }
    const auto memory = environment.memories().Add(Memory::FromFile(fd, offset, size));
    if (memory) {
      // It has a descriptor of its own.
      static_cast<void>(backend::Close(fd));
    }
    return memory;
  });
}

OrError<int> ReceiveEventFd(Environment& environment, std::span<int32_t> words) {
  return TakeToken(words, 1, [&](std::span<const int32_t> descriptors) -> OrError<int> {
    if (environment.Owns(descriptors[0])) {
      return Error(-EBUSY);
    }
    return environment.Own(backend::EventFdAdopt(descriptors[0]));
  });
}

}  // namespace

void ExportShareTokens(Environment& environment, napi_value exports) {
  Export<Share>(environment, exports, "share");
  Export<Receive>(environment, exports, "receive");
  Export<ReceiveMemory>(environment, exports, "receiveMemory");
  Export<ReceiveEventFd>(environment, exports, "receiveEventfd");
}

}  // namespace mshv

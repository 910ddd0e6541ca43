#include "share_tokens.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "atomic_word.h"
#include "export.h"
#include "export_list.h"
#include "memory.h"
#include "run_control.h"
#include "syscalls.h"

namespace mshv {
namespace {

constexpr size_t kTaken = 0;
constexpr size_t kMaker = 1;

AtomicWord<int32_t> At(std::span<int32_t> words, size_t index) { return AtomicWord(words[index]); }

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

int ShareTokens::Make(napi_value array, TokenWords token, std::span<const int32_t> descriptors) {
  ForgetTaken();
  std::vector<int> duplicates;
  int error = 0;
  for (const int fd : descriptors) {
    error = sys::Dup(fd);
    if (error < 0) {
      break;
    }
    duplicates.push_back(error);
  }
  napi_ref kept = nullptr;
  if (error >= 0 && napi_create_reference(env_, array, 1, &kept) != napi_ok) {
    error = -ECANCELED;
  }
  if (error < 0) {
    for (const int fd : duplicates) {
      sys::Close(fd);
    }
    return error;
  }
  std::copy(duplicates.begin(), duplicates.end(), token.descriptors().begin());
  token.Offer();
  tokens_.push_back({kept, token, std::move(duplicates)});
  return 0;
}

void ShareTokens::Close() {
  for (const Token& token : tokens_) {
    if (token.words.End()) {
      for (const int fd : token.descriptors) {
        sys::Close(fd);
      }
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
constexpr uint32_t kVp = static_cast<uint32_t>(sys::Kind::kVp);
constexpr uint32_t kRunControl = 2;

// Opens the run control where it is one.
int Check(int fd, uint32_t kind, std::unique_ptr<RunControl>* control) {
  switch (kind) {
    case static_cast<uint32_t>(sys::Kind::kPartition):
    case kVp:
      return sys::Identify(fd, static_cast<sys::Kind>(kind));
    case kRunControl:
      return RunControl::Open(fd, control);
    default:
      return -EINVAL;
  }
}

int TakeDescriptors(Environment& environment, std::span<const int32_t> descriptors,
                    std::span<const uint32_t> kinds) {
  std::unique_ptr<RunControl> control;
  int vp = -1;
  for (size_t i = 0; i < kinds.size(); ++i) {
    // Owning a number twice would close it twice.
    if (environment.Owns(descriptors[i])) {
      return -EBUSY;
    }
    if (const int error = Check(descriptors[i], kinds[i], &control); error < 0) {
      return error;
    }
    vp = kinds[i] == kVp ? descriptors[i] : vp;
  }
  if (vp >= 0 && control != nullptr) {
    if (const int error = environment.vps().Attach(vp, std::move(control)); error < 0) {
      return error;
    }
  }
  for (const int fd : descriptors) {
    environment.Own(fd);
  }
  return 0;
}

struct TokenArgument {
  napi_value array = nullptr;
  std::span<int32_t> words;
};

int ReadArgument(Environment& environment, napi_value value, TokenArgument* out) {
  out->array = value;
  return mshv::ReadArgument(environment, value, &out->words);
}

int Share(Environment& environment, std::span<int32_t> descriptors, TokenArgument token) {
  if (token.words.size() != TokenWords::kHeader + descriptors.size()) {
    return -EINVAL;
  }
  const bool ours = std::all_of(descriptors.begin(), descriptors.end(),
                                [&](int fd) { return environment.Owns(fd); });
  return ours ? environment.tokens().Make(token.array, TokenWords(token.words), descriptors)
              : -EBADF;
}

// Calls `take` with the descriptors, whose copy nobody can change meanwhile. Where it fails the
// token is as it was.
template <typename Take>
int TakeToken(std::span<int32_t> words, size_t count, Take take) {
  if (words.size() != TokenWords::kHeader + count) {
    return -EINVAL;
  }
  const TokenWords token(words);
  if (!token.Take()) {
    return -EALREADY;
  }
  const std::vector<int32_t> descriptors(token.descriptors().begin(), token.descriptors().end());
  const int result = take(descriptors);
  if (result < 0 && !token.PutBack()) {
    for (const int fd : descriptors) {
      sys::Close(fd);
    }
  }
  return result;
}

int Receive(Environment& environment, std::span<int32_t> words, std::span<uint32_t> kinds) {
  return TakeToken(words, kinds.size(), [&](std::span<const int32_t> descriptors) {
    return TakeDescriptors(environment, descriptors, kinds);
  });
}

int ReceiveMemory(Environment& environment, std::span<int32_t> words, uint64_t offset,
                  uint64_t size) {
  return TakeToken(words, 1, [&](std::span<const int32_t> descriptors) {
    const int fd = descriptors[0];
    if (environment.Owns(fd)) {
      return -EBUSY;
    }
    std::unique_ptr<Memory> memory;
    if (const int error = Memory::FromFile(fd, offset, size, &memory); error < 0) {
      return error;
    }
    // The memory has a descriptor of its own.
    sys::Close(fd);
    return environment.memories().Add(std::move(memory));
  });
}

}  // namespace

void ExportShareTokens(Environment& environment, napi_value exports) {
  Export<Share>(environment, exports, "share");
  Export<Receive>(environment, exports, "receive");
  Export<ReceiveMemory>(environment, exports, "receiveMemory");
}

}  // namespace mshv

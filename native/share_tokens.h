#ifndef MSHV_NATIVE_SHARE_TOKENS_H_
#define MSHV_NATIVE_SHARE_TOKENS_H_

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "or_error.h"

namespace mshv {

// The words of a token, in memory that all environments share: lib/share-token.ts.
class TokenWords {
 public:
  // Before the descriptors.
  static constexpr size_t kHeader = 2;

  explicit TokenWords(std::span<int32_t> words) : words_(words) {}

  std::span<int32_t> descriptors() const { return words_.subspan(kHeader); }

  // Makes it one that can be taken, as long as the environment lives that makes it.
  void Offer() const;
  // False where somebody has taken it.
  bool Take() const;
  // Undoes Take. False where the environment that made it has ended meanwhile: it is the caller's
  // then.
  bool PutBack() const;
  // The environment that made it ends. True where nobody has taken it: nobody will then.
  bool End() const;
  bool IsTaken() const;

 private:
  std::span<int32_t> words_;
};

// The tokens that an environment has made: duplicates of descriptors, which belong to nobody until
// somebody receives them. Those that nobody has received are closed with the environment.
class ShareTokens {
 public:
  explicit ShareTokens(napi_env env) : env_(env) {}

  ShareTokens(const ShareTokens&) = delete;
  ShareTokens& operator=(const ShareTokens&) = delete;

  // Duplicates the descriptors into the token. Where that fails nothing is open.
  OrError<void> Make(napi_value array, TokenWords token, std::span<const int32_t> descriptors);
  // The environment ends.
  void Close();

 private:
  struct Token {
    // Keeps the words in place.
    napi_ref array;
    TokenWords words;
    // Not the token's own, which anybody could have changed.
    std::vector<int> descriptors;
  };

  void ForgetTaken();

  const napi_env env_;
  std::vector<Token> tokens_;
  size_t forget_at_ = 16;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_SHARE_TOKENS_H_

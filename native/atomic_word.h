#ifndef MSHV_NATIVE_ATOMIC_WORD_H_
#define MSHV_NATIVE_ATOMIC_WORD_H_

namespace mshv {

// A word of memory that others change, too: what is used here of std::atomic_ref, which libc++ does
// not have before its release 19.
template <typename Word>
class AtomicWord {
 public:
  explicit AtomicWord(Word& word) : word_(&word) {}

  Word Load() const { return __atomic_load_n(word_, __ATOMIC_SEQ_CST); }
  void Store(Word value) const { __atomic_store_n(word_, value, __ATOMIC_SEQ_CST); }
  // These return what was there before.
  Word Exchange(Word value) const { return __atomic_exchange_n(word_, value, __ATOMIC_SEQ_CST); }
  Word FetchAnd(Word bits) const { return __atomic_fetch_and(word_, bits, __ATOMIC_SEQ_CST); }
  Word FetchOr(Word bits) const { return __atomic_fetch_or(word_, bits, __ATOMIC_SEQ_CST); }

 private:
  Word* word_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_ATOMIC_WORD_H_

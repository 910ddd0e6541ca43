#ifndef MSHV_NATIVE_INTERRUPT_SIGNAL_H_
#define MSHV_NATIVE_INTERRUPT_SIGNAL_H_

#include <signal.h>

#include <array>

#include "or_error.h"

namespace mshv {

// The real-time signals whose handler is ours. It does nothing and has no SA_RESTART: that a system
// call is interrupted, and stays so, is all it is for.
//
// From SIGRTMAX down: those whose handler is ours already, whichever addon or environment of this
// process has installed it, else those that nobody handles; where these are too few, those that are
// ignored, as a parent may have left them all (a handler that does nothing ignores as well). What
// was there is not restored. Handlers of others are left alone. Two of them, so that a thread that
// is inside a system call, and lets in no other signal, is interrupted all the same where somebody
// has replaced the handler of one.
using InterruptSignals = std::array<int, 2>;

// None that is in `except`. -ENOSPC where others have taken all that are left. Where there is one
// only it is there twice.
OrError<InterruptSignals> TakeInterruptSignals(const sigset_t& except);

// Whether the handler of `signal` is ours at this moment.
bool IsInterruptSignal(int signal);

}  // namespace mshv

#endif  // MSHV_NATIVE_INTERRUPT_SIGNAL_H_

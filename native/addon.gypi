# What both addons share: everything but the seam's implementation.
{
  'sources': [
    'addon.cc',
    'bounded_call.cc',
    'buffer_detacher.cc',
    'descriptor.cc',
    'device.cc',
    'environment.cc',
    'eventfd.cc',
    'eventfd_identity.cc',
    'exit_message.cc',
    'hypercall.cc',
    'interrupt_signal.cc',
    'memory.cc',
    'pacer.cc',
    'partition.cc',
    'poller.cc',
    'run_control.cc',
    'share_tokens.cc',
    'thread_timer.cc',
    'viewed_mapping.cc',
    'vp.cc',
    'vp_thread.cc',
  ],
  'defines': [
    'NAPI_VERSION=9',
    'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
    # Without it worker.terminate() during a call aborts the process.
    'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
  ],
  # A signal handler, and threads on their way out, may outlive the Worker that loaded the addon. And where a runtime lacks a
  # function, loading fails, not the first call of it, which would end the process.
  'ldflags': ['-Wl,-z,nodelete', '-Wl,-z,now'],
  'cflags': ['-Wall', '-Wextra', '-Wconversion', '-Werror', '-fvisibility=hidden'],
  'cflags_cc': [
    '-std=c++20',
    '-fno-exceptions',
    # Not an include_dir, because its warnings are not ours; relative to build/, because make cannot
    # take a path with spaces.
    '-isystem', '<!(node -p "path.relative(\'build\', path.dirname(require.resolve(\'node-addon-api\')))")',
  ],
}

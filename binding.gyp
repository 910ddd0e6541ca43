{
  'target_defaults': {
    'sources': [
      'native/addon.cc',
      'native/descriptor.cc',
      'native/device.cc',
      'native/environment.cc',
      'native/eventfd.cc',
      'native/partition.cc',
      'native/poller.cc',
    ],
    'defines': [
      'NAPI_VERSION=9',
      'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
      # Without it worker.terminate() during a call aborts the process.
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ],
    'cflags': ['-Wall', '-Wextra', '-Wconversion', '-Werror', '-fvisibility=hidden'],
    'cflags_cc': [
      '-std=c++20',
      '-fno-exceptions',
      '-isystem', '<!(node -p "require(\'node-addon-api\').include_dir")',
    ],
  },
  'targets': [
    {
      'target_name': 'mshv',
      'sources': ['native/linux_syscalls.cc'],
    },
    {
      'target_name': 'mshv_sim',
      'sources': ['<!@(ls native/sim/*.cc)'],
    },
  ],
}

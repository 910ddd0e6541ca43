{
  'targets': [
    {
      'target_name': 'mshv',
      'includes': ['native/addon.gypi'],
      'sources': ['native/linux_backend.cc', 'native/linux_syscalls.cc'],
    },
    {
      'target_name': 'mshv_sim',
      'includes': ['native/addon.gypi'],
      'sources': ['<!@(ls native/sim/*.cc)'],
    },
  ],
}

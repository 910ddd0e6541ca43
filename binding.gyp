{
  'targets': [
    {
      # What both addons have, compiled once.
      'target_name': 'mshv_shared',
      'type': 'static_library',
      'includes': ['native/flags.gypi'],
      'sources': ['<!@(ls native/*.cc)'],
      'sources!': ['native/linux_backend.cc'],
    },
    {
      'target_name': 'mshv',
      'includes': ['native/addon.gypi'],
      'sources': ['native/linux_backend.cc'],
    },
    {
      'target_name': 'mshv_sim',
      'includes': ['native/addon.gypi'],
      'sources': ['<!@(ls native/sim/*.cc)'],
    },
  ],
}

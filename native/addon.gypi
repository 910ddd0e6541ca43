# How an addon is linked.
{
  'includes': ['flags.gypi'],
  'dependencies': ['mshv_shared'],
  'ldflags': [
    # Nothing in the addon's own objects refers to the registration that takes all else out of mshv_shared.
    '-Wl,-u,napi_register_module_v1',
    # A signal handler, and threads on their way out, may outlive the Worker that loaded the addon. And where a runtime lacks a
    # function, loading fails, not the first call of it, which would end the process.
    '-Wl,-z,nodelete',
    '-Wl,-z,now',
  ],
}

# How everything of the addons is compiled.
{
  'defines': [
    'NAPI_VERSION=9',
    # What node-addon-api calls -fno-exceptions: its header does not compile without either answer.
    'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
  ],
  'cflags': ['-Wall', '-Wextra', '-Wconversion', '-fvisibility=hidden'],
  'cflags_cc': [
    '-std=c++20',
    '-fno-exceptions',
    # Not an include_dir, because its warnings are not ours; relative to build/, because make cannot
    # take a path with spaces.
    '-isystem', '<!(node -p "path.relative(\'build\', path.dirname(require.resolve(\'node-addon-api\')))")',
  ],
}

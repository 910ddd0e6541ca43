/* Linked into the addons in place of Node's function: a runtime that lets no buffer stand over
   memory of others, as Electron's does. */
#include <node_api.h>

napi_status __wrap_napi_create_external_arraybuffer(napi_env env, void* data, size_t size,
                                                    napi_finalize finalize, void* hint,
                                                    napi_value* result);

napi_status __wrap_napi_create_external_arraybuffer(napi_env env, void* data, size_t size,
                                                    napi_finalize finalize, void* hint,
                                                    napi_value* result) {
  (void)env;
  (void)data;
  (void)size;
  (void)finalize;
  (void)hint;
  (void)result;
  return napi_no_external_buffers_allowed;
}

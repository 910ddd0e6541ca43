#include <napi.h>

#include "environment.h"
#include "export_list.h"

// Of node-addon-api the module only: its references and scopes throw an error, or end the process,
// where a status is not napi_ok, as none need be in a Worker that is being terminated.
namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  mshv::Environment* environment = mshv::Environment::Attach(env);
  if (environment != nullptr) {
    mshv::ExportDescriptor(*environment, exports);
    mshv::ExportDevice(*environment, exports);
    mshv::ExportEventFd(*environment, exports);
    mshv::ExportHypercall(*environment, exports);
    mshv::ExportMemory(*environment, exports);
    mshv::ExportPoller(*environment, exports);
    mshv::ExportPartition(*environment, exports);
    mshv::ExportShareTokens(*environment, exports);
    mshv::ExportVp(*environment, exports);
    mshv::ExportVpState(*environment, exports);
    mshv::ExportBackend(*environment, exports);
  }
  return exports;
}

}  // namespace

NODE_API_MODULE(mshv, Initialize)

// The exports, one function per source file: addon.cc calls them all.
#ifndef MSHV_NATIVE_EXPORT_LIST_H_
#define MSHV_NATIVE_EXPORT_LIST_H_

#include <node_api.h>

namespace mshv {

class Environment;

void ExportDescriptor(Environment& environment, napi_value exports);
void ExportDevice(Environment& environment, napi_value exports);
void ExportEventFd(Environment& environment, napi_value exports);
void ExportHypercall(Environment& environment, napi_value exports);
void ExportMemory(Environment& environment, napi_value exports);
void ExportPoller(Environment& environment, napi_value exports);
void ExportPartition(Environment& environment, napi_value exports);
void ExportShareTokens(Environment& environment, napi_value exports);
void ExportVp(Environment& environment, napi_value exports);
void ExportVpState(Environment& environment, napi_value exports);

// What only this target has: nothing in mshv, the guest's side in mshv_sim.
void ExportBackend(Environment& environment, napi_value exports);

}  // namespace mshv

#endif  // MSHV_NATIVE_EXPORT_LIST_H_

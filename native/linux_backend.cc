#include "export_list.h"

namespace mshv {

void ExportBackend(Environment&, napi_value) {}

}  // namespace mshv

/** Whether the runtime has buffers over memory of others. test/no-external-buffers runs tests where it has none. */
export const hasExternalBuffers = process.env['MSHV_TEST_NO_BUFFERS'] === undefined;

/** How many times as long as usual a test may take: more than 1 where sanitizers watch it (npm run sanitize). */
export const slowness = Number(process.env['MSHV_TEST_SLOWNESS'] ?? 1);

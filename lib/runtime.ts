// What runtimes other than Node.js lack. Each of them ends the process where an addon calls what is not there: it is
// refused before, and what does not need it works.

/** Why the addon cannot be loaded; undefined where it can. */
export function addonRefusal(): string | undefined {
  return 'deno' in process.versions
    ? 'Deno lacks functions of libuv that it needs: run the program with Node.js'
    : undefined;
}

/** Why eventfds cannot be watched; undefined where they can. */
export function watchRefusal(): string | undefined {
  return 'bun' in process.versions
    ? 'Bun has no uv_poll_init: read it when there is reason to (tryRead(), pending), or run the program with Node.js'
    : undefined;
}

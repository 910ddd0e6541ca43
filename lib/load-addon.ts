import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { MshvError } from './errors.js';
import { installerOf } from './installer.js';
import { prebuiltPlatforms, thisPlatform } from './prebuilt.js';
import { addonRefusal } from './runtime.js';

/**
 * Loads an addon of this package, with all that can go wrong on the way inside one error.
 *
 * It is found from where this code is, or where a bundle is that has it inside: the package has to be installed there, too.
 *
 * @throws MshvError `ERR_MSHV_ADDON`
 */
export function loadAddon(name: string): object {
  try {
    return load(name);
  } catch (error) {
    throw new MshvError(`cannot load the addon ${name}.node: ${advice(error)}`, {
      code: 'ERR_MSHV_ADDON',
      cause: error,
    });
  }
}

/** A reason of our own, which is the advice, too. */
class Refusal extends Error {}

function load(name: string): object {
  const refusal = addonRefusal();
  if (refusal !== undefined) {
    throw new Refusal(refusal);
  }
  const root = packageFolder();
  const addon = findsAddons(root)({
    bindings: name,
    // Named, because bindings looks for the folder in a stack trace otherwise, which frozen intrinsics do not allow.
    module_root: root,
    try: [
      // What was built here is what is wanted here.
      ['module_root', 'build', 'Release', 'bindings'],
      ['module_root', 'prebuilds', thisPlatform(), 'bindings'],
    ],
  });
  if (typeof addon !== 'object' || addon === null || !('open' in addon)) {
    throw new Refusal('this runtime gives it no event loop, or is ending');
  }
  return addon;
}

/** Of the package `bindings`, which looks for addons. */
type FindsAddons = (options: {
  readonly bindings: string;
  readonly module_root: string;
  readonly try: readonly (readonly string[])[];
}) => unknown;

function findsAddons(root: string): FindsAddons {
  try {
    return createRequire(join(root, 'package.json'))('bindings') as FindsAddons;
  } catch (cause) {
    // Its own dependency may be what is missing: neither has anything to do with addons.
    throw codeOf(cause) === 'MODULE_NOT_FOUND'
      ? new Refusal(withoutBindings(root), { cause })
      : cause;
  }
}

function withoutBindings(root: string): string {
  const again = installerOf(root)?.again ?? 'npm ci';
  return `a package that looks for addons, bindings or file-uri-to-path, is missing: '${again}' installs it`;
}

function packageFolder(): string {
  try {
    return dirname(createRequire(here()).resolve('mshv/package.json'));
  } catch (cause) {
    // Inside the package its name is always known.
    throw codeOf(cause) === 'ERR_ACCESS_DENIED' ? cause : new Refusal(bundled, { cause });
  }
}

const bundled =
  'the package is not installed where this bundle is: keep mshv out of the bundle (esbuild --external:mshv; ' +
  "external: ['mshv'] of Rollup, Vite and webpack) and install it beside the bundle, in a node_modules above it";

/** The file of this code, or of the bundle that it is in. A bundle of CommonJS has no `import.meta.url`. */
function here(): string {
  const { url } = import.meta as { readonly url?: string };
  return url ?? (typeof __filename === 'string' ? __filename : join(process.cwd(), 'bundle.js'));
}

function advice(error: unknown): string {
  if (error instanceof Refusal) {
    return error.message;
  }
  switch (codeOf(error)) {
    case 'ERR_DLOPEN_DISABLED':
      return 'start Node with --allow-addons (--permission), or without --no-addons';
    case 'ERR_ACCESS_DENIED':
      return "let Node read the package's folder and those above it (--permission --allow-fs-read)";
    default:
      return error instanceof Error && error.message.includes('undefined symbol')
        ? 'this runtime lacks functions that it needs: run the program with Node.js'
        : remedy(error);
  }
}

/** What puts an addon in place that is not there, or that is not one for this system. */
function remedy(error: unknown): string {
  const installer = installerOf(packageFolder());
  if (installer === undefined) {
    return "build it with 'npm ci' in the checkout";
  }
  const { again, build } = installer;
  const compiles = `'${build}' compiles it (with g++, make and python3)`;
  if (!(error instanceof Error && 'tries' in error)) {
    return `this system does not take it: ${compiles}`;
  }
  const platform = thisPlatform();
  return prebuiltPlatforms.some((known) => known === platform)
    ? `it is missing: '${again}' installs it again, or ${compiles}`
    : `the package has none for ${platform}: ${compiles}`;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

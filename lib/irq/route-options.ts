import { type EventFd, eventFdBrand } from '../eventfd/eventfd.js';
import {
  boolean,
  instance,
  integer,
  optional,
  optionalName,
  table,
  unchecked,
  type OptionTable,
} from '../options.js';
import type { MsiRouteInput } from './msi.js';

/** What a route is to have. */
export interface NewRouteOptions {
  /** The MSI to begin with. Default: none, the route is not armed. */
  msi?: MsiRouteInput;
  /** Begin masked. Default false. */
  masked?: boolean;
  /**
   * Use this eventfd's counter. The route takes a descriptor of its own; the caller keeps, and closes,
   * this one. The driver binds one counter once per partition. No semaphore. Default: a new eventfd.
   */
  event?: EventFd;
  /** Who holds the GSI, for error messages. */
  name?: string;
}

/** What a level-triggered route is to have. */
export interface NewResampleRouteOptions extends NewRouteOptions {
  /** The vector of the interrupt, and the GSI: 16 to 255. */
  vector: number;
}

const msiInput = {
  // What these may be depends on the partition and the route.
  address: unchecked<number | bigint>,
  data: unchecked<number>,
} satisfies OptionTable<MsiRouteInput>;

export const routeOptions = {
  msi: optional(table(msiInput)),
  masked: boolean(false),
  event: optional(instance(eventFdBrand)),
  name: optionalName,
} satisfies OptionTable<NewRouteOptions>;

export const resampleRouteOptions = {
  vector: integer(16, 255),
  ...routeOptions,
} satisfies OptionTable<NewResampleRouteOptions>;

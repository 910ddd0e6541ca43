import { AsyncResource } from 'node:async_hooks';

import { MshvError } from '../errors.js';
import { reasonOf, type Failures } from '../failures.js';

/** What every port of a SynicPortMap has beside its handler. */
export interface PortRegistration {
  readonly connectionId: number;
  readonly minimumVtl: number;
  readonly failures: Failures;
}

/** A port from when it was added until it is removed. */
export abstract class RegisteredPort implements PortRegistration {
  abstract readonly kind: 'message' | 'event';
  readonly connectionId: number;
  readonly minimumVtl: number;
  readonly failures: Failures;
  /** In which it was added. */
  protected readonly context = new AsyncResource('MSHV_PORT');

  constructor({ connectionId, minimumVtl, failures }: PortRegistration) {
    this.connectionId = connectionId;
    this.minimumVtl = minimumVtl;
    this.failures = failures;
  }

  /** As messages call it. */
  get text(): string {
    return `the ${this.kind} port of connection 0x${this.connectionId.toString(16)}`;
  }

  /** Forgets what the guest waits for: it has been reset, or the port removed. */
  abstract forget(): void;

  protected report(cause: unknown): void {
    this.failures.report(
      this,
      () =>
        new MshvError(`${this.text} failed: ${reasonOf(cause)}`, {
          code: 'ERR_MSHV_PORT_HANDLER',
          cause,
        }),
    );
  }
}

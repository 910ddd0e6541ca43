import type { SynicPortAccess } from 'mshv';

// The host's part of the first messages on VMBus: a guest asks for a version of the protocol with INITIATE_CONTACT, and gets
// VERSION_RESPONSE. Source: `struct vmbus_channel_initiate_contact` of Linux (include/linux/hyperv.h).

const initiateContact = 14;
const versionResponse = 15;
const messageType = 1; // VMBus's
const vmbusSint = 2;
const contactSize = 40; // later versions append to it

/** Where guests post: those of protocol 5.0 and later to 4, and where they are told from then on; older ones always to 1. */
const [oldConnection, newConnection] = [1, 4];

const version = (major: number, minor: number): number => (major << 16) | minor;
const firstWithSint = version(5, 0);
/** From Windows 8 and Server 2012 on. */
const supportedVersions: readonly number[] = [
  version(2, 4),
  version(3, 0),
  version(4, 0),
  version(4, 1),
  firstWithSint,
  version(5, 1),
  version(5, 2),
];

/** Adds the ports that guests post INITIATE_CONTACT to. */
export function addContactPorts(
  ports: SynicPortAccess,
  log: (line: string) => void,
): readonly Disposable[] {
  return [oldConnection, newConnection].map((connectionId) =>
    ports.addMessagePort(connectionId, 0, {
      // What it throws the guest gets as HV_STATUS_OPERATION_FAILED: whatever a guest may post, the host goes on.
      handleMessage(message) {
        const request = new DataView(message.buffer, message.byteOffset, message.byteLength);
        if (message.length < contactSize || request.getUint32(0, true) !== initiateContact) {
          throw new Error('this is no INITIATE_CONTACT');
        }
        const asked = request.getUint32(8, true);
        const vp = request.getUint32(12, true);
        // Older guests have the address of their interrupt page there.
        const hasSint = asked >= firstWithSint;
        const sint = hasSint ? request.getUint8(16) : vmbusSint;
        const name = `${asked >>> 16}.${asked & 0xffff}`;
        log(`the guest asks for version ${name}, by SINT ${sint} of VP ${vp}`);
        const supported = supportedVersions.includes(asked) ? 1 : 0;
        const postTo = hasSint ? newConnection : oldConnection;
        const answer = Uint32Array.of(versionResponse, 0, supported, postTo);
        const toGuest = ports.newGuestMessagePort(0, vp, sint);
        // Where the answer is not taken yet, neither is the request.
        return toGuest.post(messageType, new Uint8Array(answer.buffer));
      },
    }),
  );
}

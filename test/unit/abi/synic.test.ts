import { expect, it } from 'vitest';

import {
  guestHypercalls,
  hypercallControl,
  monitorPageLayout,
  postMessageLayout,
  retargetInterruptLayout,
  signalEventLayout,
} from '../../../lib/abi/synic.js';
import facts from '../../synic-facts.json' with { type: 'json' };

const { structs, enums, hypercalls } = facts;

it('the guest calls have the codes of the facts', () => {
  expect(guestHypercalls).toMatchObject(hypercalls);
});

it('HvPostMessage has the layout of the facts', () => {
  const { size, fields } = structs.hv_input_post_message;
  expect(postMessageLayout).toEqual({
    size,
    connectionId: fields.connectionid.offset,
    reserved: fields.reserved.offset,
    messageType: fields.message_type.offset,
    payloadSize: fields.payload_size.offset,
    payload: fields.payload.offset,
  });
});

it('HvSignalEvent has the layout of the facts', () => {
  const { size, fields } = structs.hv_input_signal_event;
  expect(signalEventLayout).toEqual({
    size,
    connectionId: fields.connection_id.offset,
    flagNumber: fields.flag_number.offset,
    reserved: fields.rsvdz.offset,
  });
});

it('HvRetargetDeviceInterrupt has the layout of the facts', () => {
  const { fields } = structs.hv_retarget_device_interrupt;
  const entry = structs.hv_interrupt_entry.fields;
  const target = structs.hv_device_interrupt_target.fields;
  const from = fields.int_entry.offset;
  const to = fields.int_target.offset;
  expect(retargetInterruptLayout).toMatchObject({
    size: to + target.vp_set.offset + 8,
    partitionId: fields.partition_id.offset,
    deviceId: fields.device_id.offset,
    source: from + entry.source.offset,
    reservedSource: from + entry.reserved1.offset,
    msiAddress: from + entry.msi_entry.offset,
    msiData: from + entry.msi_entry.offset + 4,
    reserved: fields.reserved2.offset,
    vector: to + target.vector.offset,
    flags: to + target.flags.offset,
    maskOrFormat: to + target.vp_mask.offset,
    sourceMsi: enums.hv_interrupt_source.HV_INTERRUPT_SOURCE_MSI,
    formatSparse4k: BigInt(enums.hv_generic_set_format.HV_GENERIC_SET_SPARSE_4K),
  });
});

it('a monitor page has the layout of the facts', () => {
  const { size, fields } = structs.hv_monitor_page;
  const { groups, triggerGroupSize, triggersPerGroup } = monitorPageLayout;
  expect(monitorPageLayout).toMatchObject({
    size,
    triggerState: fields.trigger_state.offset,
    triggerGroups: fields.trigger_group.offset,
    monitors: groups * triggersPerGroup,
  });
  expect(fields.trigger_group.size).toBe(groups * triggerGroupSize);
  expect(fields.latency.size).toBe(groups * triggersPerGroup * 2);
});

it('each bit of the control word has one meaning', () => {
  const { codeMask, fast, variableHeaderShift, variableHeaderMask, reservedLow } = hypercallControl;
  const nested = 2 ** 31;
  const low = [codeMask, fast, variableHeaderMask * 2 ** variableHeaderShift, reservedLow, nested];
  expect(low.reduce((sum, mask) => sum + mask)).toBe(0xffff_ffff);
  const { repCountMask, repStartMask, repStartShift, reservedHigh } = hypercallControl;
  expect(repCountMask + repStartMask * 2 ** repStartShift + (reservedHigh >>> 0)).toBe(0xffff_ffff);
});

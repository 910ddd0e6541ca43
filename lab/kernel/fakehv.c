// SPDX-License-Identifier: GPL-2.0-only
/*
 * fakehv - a fake Microsoft hypervisor living inside the kernel under test.
 *
 * TEST ONLY. It lets the unmodified mshv root driver (drivers/hv/mshv_*.c) run
 * on a machine without any Hyper-V:
 *
 *   - boot with "fakehv=root" or "fakehv=l1vh" on the kernel command line;
 *   - the hv_hypercall static call (what hv_do_hypercall() ends in) is pointed
 *     at fakehv_hypercall();
 *   - SynIC MSRs of mshv_synic.c are served from memory (compile-time rename);
 *   - messages are put in the per-CPU SIM page and the real vector 0xf3 is
 *     raised with a real APIC IPI, so sysvec_hyperv_callback() -> mshv_isr()
 *     run exactly as on Hyper-V;
 *   - userspace scripts the "guest" through /dev/fakehv (text in, text out).
 *
 * Parameters: fakehv.sched=1..4 (hv_scheduler_type), fakehv.version=,
 * fakehv.ext_features=, fakehv.vmm_caps=, fakehv.strict=0|1, fakehv.async=0|1
 */
#define pr_fmt(fmt) "fakehv: " fmt

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/init.h>
#include <linux/slab.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <linux/percpu.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/uaccess.h>
#include <linux/miscdevice.h>
#include <linux/spinlock.h>
#include <linux/list.h>
#include <linux/xarray.h>
#include <linux/hex.h>
#include <linux/string.h>
#include <linux/ktime.h>
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/static_call.h>
#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/idtentry.h>
#include <asm/cpuid/api.h>
#include <asm/debugreg.h>
#include <asm/mshyperv.h>
#include <asm/svm.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <linux/workqueue.h>

u64 fakehv_get_msr(unsigned int reg);
void fakehv_set_msr(unsigned int reg, u64 v);
int fakehv_get_hypervisor_version(union hv_hypervisor_version_info *info);
extern u8 *__percpu *hv_synic_eventring_tail;

static int sched = HV_SCHEDULER_TYPE_CORE_SMT;
module_param(sched, int, 0444);
static uint version = 27748;
module_param(version, uint, 0444);
static uint ext_features;
module_param(ext_features, uint, 0444);
static ullong vmm_caps;
module_param(vmm_caps, ullong, 0444);
static int strict; /* reject fixed vectors < 16 as TLFS does */
module_param(strict, int, 0644);
static int async_props; /* SET_PARTITION_PROPERTY => CALL_PENDING */
module_param_named(async, async_props, int, 0644);

static int svm; /* VPs execute code, see svm_run.c */
module_param(svm, int, 0444);

static int fhv_mode; /* 0 off, 1 root, 2 l1vh */

/*
 * One compile unit, so that no name of it gets into the kernel under test: what is common, what
 * executes guest code with SVM, the hypercalls of the host, and /dev/fakehv.
 */
#include "fakehv_log.c"
#include "fakehv_objects.c"
#include "fakehv_clock.c"
#include "fakehv_host_synic.c"
#include "fakehv_scripted_vp.c"
#include "fakehv_registers.c"

#include "svm_objects.c"
#include "svm_world_switch.c"
#include "svm_scheduling.c"
#include "svm_timers.c"
#include "svm_nested_paging.c"
#include "svm_xstate.c"
#include "svm_unswitched.c"
#include "svm_register_views.c"
#include "svm_register_page.c"
#include "svm_apic.c"
#include "svm_apic_timer.c"
#include "svm_apic_registers.c"
#include "svm_guest_paging.c"
#include "svm_decode.c"
#include "svm_messages.c"
#include "svm_cpuid.c"
#include "svm_synic.c"
#include "svm_stimers.c"
#include "svm_tsc.c"
#include "svm_guest_hypercalls.c"
#include "svm_synthetic_registers.c"
#include "svm_registers.c"
#include "svm_msrs.c"
#include "svm_mmio.c"
#include "svm_debug.c"
#include "svm_exits.c"
#include "svm_fast_injection.c"
#include "svm_run.c"
#include "svm_lifetime.c"
#include "svm_vp_state.c"

#include "fakehv_call.h"
#include "fakehv_properties.c"
#include "fakehv_partition_calls.c"
#include "fakehv_vp_calls.c"
#include "fakehv_memory_calls.c"
#include "fakehv_stats_calls.c"
#include "fakehv_interrupt_calls.c"
#include "fakehv_port_calls.c"
#include "fakehv_hypercalls.c"
#include "fakehv_device.c"

static int __init fhv_early(char *s)
{
	if (!s)
		return -EINVAL;
	if (!strncmp(s, "root", 4))
		fhv_mode = 1;
	else if (!strncmp(s, "l1vh", 4))
		fhv_mode = 2;
	else
		return 0;
	/* what ms_hyperv_init_platform() does; must precede idt_setup_done */
	sysvec_install(HYPERVISOR_CALLBACK_VECTOR, sysvec_hyperv_callback);
	ms_hyperv.hints |= HV_DEPRECATING_AEOI_RECOMMENDED; /* explicit EOI */
	return 0;
}
early_param("fakehv", fhv_early);

/* stands in for hyperv_init(), hv_common_init(), hv_common_cpu_init() */
static int __init fhv_init(void)
{
	int cpu;

	if (!fhv_mode)
		return 0;

	log_ring = vzalloc(array_size(LOG_N, sizeof(*log_ring)));
	hyperv_pcpu_input_arg = alloc_percpu(void *);
	hyperv_pcpu_output_arg = alloc_percpu(void *);
	hv_synic_eventring_tail = alloc_percpu(u8 *);
	hv_vp_index = kcalloc(nr_cpu_ids, sizeof(*hv_vp_index), GFP_KERNEL);
	if (!log_ring || !hyperv_pcpu_input_arg || !hyperv_pcpu_output_arg ||
	    !hv_synic_eventring_tail || !hv_vp_index)
		return -ENOMEM;

	for_each_possible_cpu(cpu) {
		struct fhv_cpu *c = &per_cpu(fhv_cpus, cpu);
		u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
		struct page *pg[3];
		int i;

		*per_cpu_ptr(hyperv_pcpu_input_arg, cpu) = mem;
		*per_cpu_ptr(hyperv_pcpu_output_arg, cpu) = mem + HV_HYP_PAGE_SIZE;
		*per_cpu_ptr(hv_synic_eventring_tail, cpu) =
			kcalloc(HV_SYNIC_SINT_COUNT, 1, GFP_KERNEL);
		hv_vp_index[cpu] = cpu;
		hv_max_vp_index = cpu;
		INIT_LIST_HEAD(&c->pending);
		INIT_LIST_HEAD(&c->ring_pending);
		for (i = 0; i < 3; i++)
			pg[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		/* the hypervisor pre-provisions these GPAs for a root/L1VH VP */
		c->simp = (u64)page_to_pfn(pg[0]) << 12;
		c->siefp = (u64)page_to_pfn(pg[1]) << 12;
		c->sirbp = fhv_mode == 1 ? (u64)page_to_pfn(pg[2]) << 12 : 0;
	}

	if (svm && svm_init())
		svm = 0;
	ms_hyperv.ext_features = ext_features;
	if (fhv_mode == 1)
		hv_current_partition_id = 1;
	hv_curr_partition_type = fhv_mode == 1 ? HV_PARTITION_TYPE_ROOT : HV_PARTITION_TYPE_L1VH;
	static_call_update(hv_hypercall, fakehv_hypercall);
	pr_info("%s partition, scheduler %d, build %u\n", fhv_mode == 1 ? "root" : "L1VH", sched,
		version);
	return 0;
}
subsys_initcall(fhv_init);

static int __init fhv_dev_init(void)
{
	return fhv_mode ? misc_register(&fhv_dev) : 0;
}
device_initcall(fhv_dev_init);

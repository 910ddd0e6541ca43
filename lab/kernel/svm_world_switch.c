// SPDX-License-Identifier: GPL-2.0-only
/* VMRUN, and what a CPU needs for it */

void fhv_svm_enter(u64 *gpr, u64 vmcb_pa, u64 host_pa);
asm(".pushsection .noinstr.text, \"ax\"\n"
    ".globl fhv_svm_enter\n"
    ".type fhv_svm_enter, @function\n"
    "fhv_svm_enter:\n"
    "	push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	push %rdi\n push %rdx\n push %rsi\n"
    "	clgi\n"
    "	mov %rdx, %rax\n"
    "	vmsave %rax\n"
    "	mov %rsi, %rax\n"
    "	vmload %rax\n"
    "	mov %rdi, %rax\n"
    "	mov 8(%rax), %rcx\n mov 16(%rax), %rdx\n mov 24(%rax), %rbx\n"
    "	mov 40(%rax), %rbp\n mov 48(%rax), %rsi\n mov 56(%rax), %rdi\n"
    "	mov 64(%rax), %r8\n mov 72(%rax), %r9\n mov 80(%rax), %r10\n mov 88(%rax), %r11\n"
    "	mov 96(%rax), %r12\n mov 104(%rax), %r13\n mov 112(%rax), %r14\n mov 120(%rax), %r15\n"
    "	mov (%rsp), %rax\n"
    "	sti\n"
    "	vmrun %rax\n"
    "	cli\n"
    "	mov 16(%rsp), %rax\n"
    "	mov %rcx, 8(%rax)\n mov %rdx, 16(%rax)\n mov %rbx, 24(%rax)\n"
    "	mov %rbp, 40(%rax)\n mov %rsi, 48(%rax)\n mov %rdi, 56(%rax)\n"
    "	mov %r8, 64(%rax)\n mov %r9, 72(%rax)\n mov %r10, 80(%rax)\n mov %r11, 88(%rax)\n"
    "	mov %r12, 96(%rax)\n mov %r13, 104(%rax)\n mov %r14, 112(%rax)\n mov %r15, 120(%rax)\n"
    "	mov (%rsp), %rax\n"
    "	vmsave %rax\n"
    "	mov 8(%rsp), %rax\n"
    "	vmload %rax\n"
    "	add $24, %rsp\n"
    "	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    "	ret\n"
    ".size fhv_svm_enter, . - fhv_svm_enter\n"
    ".popsection\n");

static void svm_cpu_enable(void *ok)
{
	int cpu = smp_processor_id();
	struct page *hsave = alloc_page(GFP_ATOMIC | __GFP_ZERO);
	struct page *hv = alloc_page(GFP_ATOMIC | __GFP_ZERO);
	u64 efer;

	if (!hsave || !hv || !(cpuid_ecx(0x80000001) & BIT(2)) || !(cpuid_edx(0x8000000a) & 1) ||
	    (xgetbv(XCR_XFEATURE_ENABLED_MASK) & 7) != 7) {
		*(bool *)ok = false;
		return;
	}
	rdmsrq(MSR_EFER, efer);
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	wrmsrq(MSR_VM_HSAVE_PA, page_to_phys(hsave));
	per_cpu(svm_host_vmcb, cpu) = page_address(hv);
}

static int __init svm_init(void)
{
	bool ok = true;

	on_each_cpu(svm_cpu_enable, &ok, 1);
	svm_iopm = (void *)__get_free_pages(GFP_KERNEL, 2);
	svm_msrpm = (void *)__get_free_pages(GFP_KERNEL, 1);
	/* not of high priority: VPs that never exit would leave their VMM no time */
	svm_wq = alloc_workqueue("fakehv_svm", WQ_UNBOUND, 0);
	if (!ok || !svm_iopm || !svm_msrpm || !svm_wq) {
		pr_err("no SVM with nested paging and AVX on this CPU, fakehv.svm ignored\n");
		return -ENODEV;
	}
	memset(svm_iopm, 0xff, PAGE_SIZE << 2);
	memset(svm_msrpm, 0xff, PAGE_SIZE << 1);
	svm_iopm_pa = __pa(svm_iopm);
	svm_msrpm_pa = __pa(svm_msrpm);
	pr_info("VPs execute code with SVM\n");
	return 0;
}

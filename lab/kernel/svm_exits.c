// SPDX-License-Identifier: GPL-2.0-only
/* the other exits */

static void svm_x_io(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u64 i1 = CTRL(s)->exit_info_1;
	struct x64_io_msg m = {};

	msg_header(v, &m.h, CTRL(s)->exit_info_2 - SAVE(s)->rip, i1 & 1 ? 0 : 1);
	m.port = i1 >> 16;
	m.access = (i1 >> 4 & 7) | (i1 >> 2 & 1) << 3 | (i1 >> 3 & 1) << 4;
	m.nbytes = svm_fetch(p, s, m.bytes, 16);
	m.rax = SAVE(s)->rax;
	seg_get(s, 3, &m.ds);
	seg_get(s, 0, &m.es);
	m.rcx = s->gpr[1];
	m.rsi = s->gpr[6];
	m.rdi = s->gpr[7];
	svm_deliver(p, v, HVMSG_X64_IO_PORT_INTERCEPT, &m, sizeof(m));
}

/* fhv_lock held, fpu loaded */
static void svm_exit(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u64 code = CTRL(s)->exit_code;
	struct hv_x64_intercept_message_header h;

	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_VINTR: break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_LAST_EXCP:
		svm_x_exc(p, v, code - SVM_EXIT_EXCP_BASE, 0);
		break;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7: svm_x_mov_dr(p, v); break;
	case SVM_EXIT_SWINT: svm_x_swint(p, v); break;
	case SVM_EXIT_CPUID: svm_x_cpuid(p, v); break;
	case SVM_EXIT_MSR: svm_x_msr(p, v); break;
	case SVM_EXIT_IOIO: svm_x_io(p, v); break;
	case SVM_EXIT_VMMCALL: svm_x_vmmcall(p, v); break;
	case SVM_EXIT_NPF: svm_x_npf(p, v); break;
	case SVM_EXIT_HLT:
		if (has_apic(p)) {
			svm_skip(s, 1);
			s->halted = true;
			break;
		}
		msg_header(v, &h, 1, HV_INTERCEPT_ACCESS_EXECUTE);
		svm_deliver(p, v, HVMSG_X64_HALT, &h, sizeof(h));
		break;
	case SVM_EXIT_SHUTDOWN:
		fhv_log("SHUTDOWN pt=%llu vp=%u rip=%llx rsp=%llx cr2=%llx intinfo=%x/%x inj=%x "
			"err=%x idt=%llx",
			p->id, v->idx, SAVE(s)->rip, SAVE(s)->rsp, SAVE(s)->cr2,
			CTRL(s)->exit_int_info, CTRL(s)->exit_int_info_err, CTRL(s)->event_inj,
			CTRL(s)->event_inj_err, SAVE(s)->idtr.base);
		s->reinj = 0;
		msg_header(v, &h, 0, 0);
		svm_deliver(p, v, HVMSG_UNRECOVERABLE_EXCEPTION, &h, sizeof(h));
		break;
	case 0xffffffff: /* QEMU stores 32 bits */
	case (u64)-1: {
		u32 m[2] = { v->idx, 0 };

		fhv_log("INVALID_VMCB pt=%llu vp=%u cr0=%llx cr4=%llx efer=%llx cs=%x", p->id,
			v->idx, SAVE(s)->cr0, SAVE(s)->cr4, SAVE(s)->efer, SAVE(s)->cs.attrib);
		svm_deliver(p, v, HVMSG_INVALID_VP_REGISTER_VALUE, m, sizeof(m));
		break;
	}
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT: svm_inject(s, 6, false, 0); break;
	default:
		fhv_log("EXIT pt=%llu vp=%u unknown code=0x%llx info=%llx,%llx rip=%llx rsp=%llx "
			"cs=%x cr3=%llx intinfo=%x inj=%x vector=%x",
			p->id, v->idx, code, CTRL(s)->exit_info_1, CTRL(s)->exit_info_2,
			SAVE(s)->rip, SAVE(s)->rsp, SAVE(s)->cs.selector, SAVE(s)->cr3,
			CTRL(s)->exit_int_info, CTRL(s)->event_inj, s->last_inj);
		msg_header(v, &h, 0, 0);
		svm_deliver(p, v, HVMSG_UNRECOVERABLE_EXCEPTION, &h, sizeof(h));
	}
}

#include "sys/confine.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void
confine_begin(void)
{
	const struct rlimit none = { 0, 0 };

	(void)prlimit(0, RLIMIT_CORE, &none, NULL); /* setrlimit costs 1.3 KB with musl */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- Landlock; numbers and layouts are <linux/landlock.h>'s ---- */

enum { LANDLOCK_VERSION = 1, LANDLOCK_PATH = 1, LANDLOCK_PORT = 2 };
enum {
	FILE_WRITE = 1 << 1,
	FILE_READ = 1 << 2,
	FOLDER_READ = 1 << 3,
	FILE_REMOVE = 1 << 5,
	FILE_MAKE = 1 << 8,
	DEVICE_IOCTL = 1 << 15, /* from ABI 5 on */
	FOLDER_KEEP = FILE_WRITE | FILE_READ | FOLDER_READ | FILE_REMOVE | FILE_MAKE,
	TERMINAL_KEEP = FILE_WRITE | FILE_READ | DEVICE_IOCTL
};
enum { TCP_BIND = 1, TCP_CONNECT = 2, SCOPE_ALL = 3 };

struct landlock_ruleset {
	uint64_t files, net, scoped;
};

struct landlock_path {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

struct landlock_port {
	uint64_t access, port;
};

#ifdef SYS_landlock_create_ruleset

/* Older kernels know fewer rights, and refuse a bit that they do not know. */
static struct landlock_ruleset
landlock_rights(long abi)
{
	return (struct landlock_ruleset){
		.files = abi < 2 ? 0x1fff
		    : abi < 3    ? 0x3fff
		    : abi < 5    ? 0x7fff
				 : 0xffff,
		.net = abi < 4 ? 0 : TCP_BIND | TCP_CONNECT,
		.scoped = abi < 6 ? 0 : SCOPE_ALL,
	};
}

static bool
allow_path(int rules, const char *path, uint64_t access)
{
	struct landlock_path rule = { access, open(path, O_PATH | O_CLOEXEC) };
	bool done = rule.fd != -1 &&
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_PATH, &rule, 0) == 0;

	if (rule.fd != -1)
		close(rule.fd);
	return done;
}

static bool
allow_all(int rules, const struct landlock_ruleset *rights, const struct confine_keep *keep)
{
	const char *slash = keep->file ? strrchr(keep->file, '/') : NULL;
	char folder[PATH_MAX] = ".";
	size_t i;

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - keep->file) + 1, keep->file);
	if (keep->file && !allow_path(rules, folder, FOLDER_KEEP))
		return false;
	if (keep->terminal) /* where there is none, the question will say so */
		(void)allow_path(rules, "/dev/tty", TERMINAL_KEEP & rights->files);
	for (i = 0; i < keep->count && rights->net; i++) {
		const struct landlock_port rule = { TCP_CONNECT, keep->ports[i] };

		if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_PORT, &rule, 0) == -1)
			return false;
	}
	return true;
}

static bool
landlock(const struct confine_keep *keep)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	struct landlock_ruleset rights = landlock_rights(abi);
	bool done;
	int rules;

	/* An older kernel takes the longer structure while what it does not know is zero. */
	if (abi < 1 ||
	    (rules = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof(rights), 0)) == -1)
		return false;
	done = allow_all(rules, &rights, keep) &&
	    syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	close(rules);
	return done;
}

#else

static bool
landlock(const struct confine_keep *keep)
{
	(void)keep;
	return false;
}

#endif

/*
 * ---- seccomp; numbers and layouts are those of <linux/seccomp.h>, <linux/filter.h> and
 * <linux/audit.h> ----
 */

/* struct sock_filter */
struct filter_step {
	uint16_t code;
	uint8_t yes, no;
	uint32_t k;
};

/* struct sock_fprog */
struct filter {
	unsigned short len;
	const struct filter_step *steps;
};

enum { MODE_FILTER = 2 };
enum {
	OP_LOAD = 0x20,
	OP_AND = 0x54,
	OP_EQUAL = 0x15,
	OP_ATLEAST = 0x35,
	OP_BITS = 0x45,
	OP_END = 0x06
};
#define KILL_PROCESS 0x80000000u /* before Linux 4.14 it ends the thread: there is but one */
#define ALLOW        0x7fff0000u

/* struct seccomp_data */
enum { AT_NUMBER = 0, AT_ARCH = 4, AT_ARGS = 16 };
#define AT_ARG(n) \
	(AT_ARGS + 8 * (n) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)) /* its lower half \
										*/

/* From here on numbers belong to another ABI of the same processor (x32). */
enum { NUMBER_END = 0x40000000 };

/*
 * The one that maps memory: where there are two, the older takes a pointer to its arguments, or is
 * not used.
 */
#ifdef SYS_mmap2
enum { MAP_CALL = SYS_mmap2 };
#elif defined(SYS_mmap) && !defined(__s390__)
enum { MAP_CALL = SYS_mmap };
#else
enum { MAP_CALL = SYS_mprotect };
#endif

/* Each part leaves its call's number loaded, or ends. */
static const struct filter_step begin[] = {
	{ OP_LOAD, 0, 0, AT_ARCH },
	{ OP_EQUAL, 1, 0, 0 }, /* own_arch's */
	{ OP_END, 0, 0, KILL_PROCESS },
	{ OP_LOAD, 0, 0, AT_NUMBER },
	{ OP_ATLEAST, 0, 1, NUMBER_END },
	{ OP_END, 0, 0, KILL_PROCESS },
#ifdef SYS_socket
	/* sockets: only TCP */
	{ OP_EQUAL, 0, 10, SYS_socket },
	{ OP_LOAD, 0, 0, AT_ARG(0) },
	{ OP_EQUAL, 1, 0, AF_INET },
	{ OP_EQUAL, 0, 6, AF_INET6 },
	{ OP_LOAD, 0, 0, AT_ARG(1) },
	{ OP_AND, 0, 0, 15 }, /* the rest is flags */
	{ OP_EQUAL, 0, 3, SOCK_STREAM },
	{ OP_LOAD, 0, 0, AT_ARG(2) },
	{ OP_EQUAL, 0, 1, IPPROTO_TCP },
	{ OP_END, 0, 0, ALLOW },
	{ OP_END, 0, 0, KILL_PROCESS },
#endif
#ifdef SYS_socketcall
	/* bind, listen, accept, accept4 by their numbers in <linux/net.h> */
	{ OP_EQUAL, 0, 7, SYS_socketcall },
	{ OP_LOAD, 0, 0, AT_ARG(0) },
	{ OP_EQUAL, 4, 0, 2 },
	{ OP_EQUAL, 3, 0, 4 },
	{ OP_EQUAL, 2, 0, 5 },
	{ OP_EQUAL, 1, 0, 18 },
	{ OP_END, 0, 0, ALLOW },
	{ OP_END, 0, 0, KILL_PROCESS },
#endif
	/* a terminal's input is not to be made up */
	{ OP_EQUAL, 0, 5, SYS_ioctl },
	{ OP_LOAD, 0, 0, AT_ARG(1) },
	{ OP_EQUAL, 2, 0, TIOCSTI },
	{ OP_EQUAL, 1, 0, TIOCLINUX },
	{ OP_END, 0, 0, ALLOW },
	{ OP_END, 0, 0, KILL_PROCESS },
	/* no new code */
	{ OP_EQUAL, 1, 0, SYS_mprotect },
	{ OP_EQUAL, 0, 4, MAP_CALL },
	{ OP_LOAD, 0, 0, AT_ARG(2) },
	{ OP_BITS, 1, 0, PROT_EXEC },
	{ OP_END, 0, 0, ALLOW },
	{ OP_END, 0, 0, KILL_PROCESS },
};

/*
 * What ends the process. Not all processors have all of them, and a C library's headers may be
 * older.
 */
static const uint16_t deadly[] = {
	/* programs and processes */
	SYS_execve,
	SYS_execveat,
	SYS_clone,
	SYS_unshare,
	SYS_setns,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_kill,
	SYS_tkill,
	SYS_tgkill,
	SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo,
	SYS_prlimit64,
	SYS_remap_file_pages,
	SYS_memfd_create,
	SYS_personality,
	/* a server's calls */
	SYS_bind,
	SYS_listen,
	SYS_accept4,
	SYS_socketpair,
	/* privileges and keys */
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setfsuid,
	SYS_setfsgid,
	SYS_setgroups,
	SYS_capset,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* the machine */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_swapon,
	SYS_swapoff,
	SYS_reboot,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_acct,
	SYS_quotactl,
	SYS_syslog,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_fanotify_init,
	/* ways to files that Landlock does not guard */
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	SYS_fchmod,
	SYS_fchmodat,
	SYS_fchown,
	SYS_fchownat,
	SYS_linkat,
	SYS_symlinkat,
	SYS_mknodat,
	SYS_setxattr,
	SYS_lsetxattr,
	SYS_fsetxattr,
	SYS_removexattr,
	SYS_lremovexattr,
	SYS_fremovexattr,
#ifdef SYS_accept
	SYS_accept,
#endif
#ifdef SYS_fork
	SYS_fork,
	SYS_chmod,
	SYS_chown,
	SYS_lchown,
	SYS_link,
	SYS_symlink,
	SYS_mknod,
#endif
#ifdef SYS_vfork
	SYS_vfork,
#endif
#ifdef SYS_setuid32
	SYS_setuid32,
	SYS_setgid32,
	SYS_setreuid32,
	SYS_setregid32,
	SYS_setresuid32,
	SYS_setresgid32,
	SYS_setfsuid32,
	SYS_setfsgid32,
	SYS_setgroups32,
	SYS_chown32,
	SYS_fchown32,
	SYS_lchown32,
#endif
#ifdef SYS_umount
	SYS_umount,
#endif
#ifdef SYS_ioperm
	SYS_iopl,
	SYS_ioperm,
#endif
#if defined(SYS_mmap) && defined(SYS_mmap2)
	SYS_mmap,
#endif
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_pkey_mprotect
	SYS_pkey_mprotect,
#endif
#ifdef SYS_clone3
	SYS_clone3,
	SYS_pidfd_open,
	SYS_pidfd_send_signal,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
#endif
#ifdef SYS_mount_setattr
	SYS_pidfd_getfd,
	SYS_process_madvise,
	SYS_mount_setattr,
#endif
#ifdef SYS_fchmodat2
	SYS_fchmodat2,
#endif
};
enum { DEADLY = COUNT(deadly), BEGIN = COUNT(begin) };
_Static_assert(SYS_execve <= UINT16_MAX, "x32 has larger numbers");
_Static_assert(DEADLY < UINT8_MAX, "a step jumps at most so far");

/* Where the linker puts this program's own ELF header. */
extern const Elf32_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/*
 * AUDIT_ARCH_* is made of the ELF header: the machine, 64 bits, little endian. One ABI of MIPS has
 * a bit of its own.
 */
static uint32_t
own_arch(void)
{
	const Elf32_Ehdr *e = &__ehdr_start; /* up to e_machine the 64-bit one is the same */
	uint32_t arch = e->e_machine;

	if (e->e_ident[EI_CLASS] == ELFCLASS64)
		arch |= 0x80000000;
	if (e->e_ident[EI_DATA] == ELFDATA2LSB)
		arch |= 0x40000000;
#if defined(__mips__) && defined(_ABIN32) && _MIPS_SIM == _ABIN32
	arch |= 0xa0000000;
#endif
	return arch;
}

static bool
seccomp(void)
{
	struct filter_step steps[BEGIN + DEADLY + 2];
	const struct filter filter = { COUNT(steps), steps };
	size_t i;

	memcpy(steps, begin, sizeof(begin));
	steps[1].k = own_arch();
	for (i = 0; i < DEADLY; i++)
		steps[BEGIN + i] = (struct filter_step){ OP_EQUAL, (uint8_t)(DEADLY - i), 0,
			deadly[i] };
	steps[BEGIN + DEADLY] = (struct filter_step){ OP_END, 0, 0, ALLOW };
	steps[BEGIN + DEADLY + 1] = (struct filter_step){ OP_END, 0, 0, KILL_PROCESS };
	return prctl(PR_SET_SECCOMP, MODE_FILTER, &filter, 0, 0) == 0;
}

struct confined
confine(const struct confine_keep *keep)
{
	struct confined c;

	c.no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	c.landlock = landlock(keep);
	c.seccomp = seccomp();
	return c;
}

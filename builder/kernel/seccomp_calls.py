"""Which system calls a step may make, as data. Nothing here knows about numbers or filters.

The allow list is that of Docker's default profile (moby/profiles, seccomp/default_linux.go, 2025): what it allows
without a condition or on kernels since 4.8, `chroot`, which it allows with CAP_SYS_CHROOT, and what it allows on amd64
alone; calls that only i386 has are in `seccomp_i386`. Where that profile would open a call because of a capability,
the capability is one that no step has. A call in neither list answers ENOSYS, as on a kernel that lacks it, so that
programs fall back to an older one.
"""

from __future__ import annotations

from builder.kernel.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)


def names_of(text: str) -> tuple[str, ...]:
    """The names of a block; a line that begins with # says what the names after it are for."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(name for line in lines if not line.startswith("#") for name in line.split())


ALLOWED = names_of("""
    # open, name and look up files
    access chdir chroot creat faccessat faccessat2 fchdir fstat fstatfs getcwd getdents getdents64 link linkat
    listmount lstat mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 readlink
    readlinkat rename renameat renameat2 rmdir stat statfs statmount statx symlink symlinkat umask unlink
    unlinkat
    # own, date and mark files
    chmod chown fchmod fchmodat fchmodat2 fchown fchownat fgetxattr flistxattr fremovexattr fsetxattr futimesat
    getxattr getxattrat lchown lgetxattr listxattr listxattrat llistxattr lremovexattr lsetxattr removexattr
    removexattrat setxattr setxattrat utime utimensat utimes
    # read and write files
    cachestat close close_range copy_file_range dup dup2 dup3 fadvise64 fallocate fcntl fdatasync flock fsync
    ftruncate ioctl lseek pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv
    sendfile splice sync sync_file_range syncfs tee truncate vmsplice write writev
    # wait for descriptors
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
    eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
    io_destroy io_getevents io_pgetevents io_setup io_submit poll ppoll pselect6 select signalfd signalfd4
    # memory
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages
    # processes and threads
    arch_prctl execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv futex_wake
    get_robust_list get_thread_area getpgid getpgrp getpid getppid getsid gettid modify_ldt pidfd_open
    pidfd_send_signal prctl process_mrelease restart_syscall rseq set_robust_list set_thread_area
    set_tid_address setpgid setsid uretprobe vfork wait4 waitid
    # debuggers (safe with seccomp since Linux 4.8)
    process_vm_readv process_vm_writev ptrace
    # signals and timers
    alarm getitimer kill nanosleep pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo setitimer sigaltstack tgkill timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime tkill
    # clocks; setting one takes a capability that no step has
    adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep gettimeofday time times
    # who we are, what we may
    capget capset getegid geteuid getgid getgroups getresgid getresuid getuid landlock_add_rule
    landlock_create_ruleset landlock_restrict_self seccomp setfsgid setfsuid setgid setgroups setregid setresgid
    setresuid setreuid setuid
    # shares of the machine
    getcpu getpriority getrandom getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
    setpriority setrlimit sysinfo uname
    # talk between processes
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl
    semget semop semtimedop shmat shmctl shmdt shmget
    # sockets; `socket` itself is below
    accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg
    sendmsg sendto setsockopt shutdown socketpair
""")
"""Calls that go through whatever their arguments are."""

REFUSED = names_of("""
    # mounts and namespaces: the ways out of a sandbox
    fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_by_handle_at open_tree open_tree_attr
    pivot_root setns umount2 unshare
    # large or young parts of the kernel that attacks begin with
    add_key bpf fanotify_init io_uring_enter io_uring_register io_uring_setup keyctl perf_event_open request_key
    userfaultfd
    # other processes, beyond what ptrace(2) allows
    kcmp migrate_pages move_pages pidfd_getfd process_madvise
    # the machine as a whole
    acct clock_settime delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load
    lookup_dcookie quotactl quotactl_fd reboot setdomainname sethostname settimeofday swapoff swapon syslog
    vhangup
    # memory of other nodes, as moby without CAP_SYS_NICE
    get_mempolicy mbind set_mempolicy set_mempolicy_home_node
    # long dead, and never of use to a container
    _sysctl create_module get_kernel_syms nfsservctl query_module sysfs uselib ustat
""")
"""Calls that answer EPERM. clone3 is not among them: it answers ENOSYS, and libc then uses clone (glibc 2.34)."""

NESTED = names_of("""
    # namespaces: made by a process that is to be in them, or entered again
    setns unshare
    # their names
    setdomainname sethostname
    # what is mounted in them, and their root
    fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root umount2
""")
"""Refused calls that --security=nested opens, with clone(2) for namespaces; clone3 stays unknown.

Each needs a capability that no step has in its own user namespace, so they work in one that the step makes itself:
this is what bubblewrap, Bazel's linux-sandbox and Nix do. File handles, keys, bpf and io_uring stay refused.
"""

CLONE_NEW_ANY = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
"""clone(2) with any of these is EPERM. Its first argument is the flags on amd64 and arm64 (not so on s390x).

CLONE_NEWTIME is missing because clone(2) cannot ask for it: its bit is part of the exit signal there.
"""

REFUSED_FAMILIES = (38, 40)
"""socket(2) with AF_ALG or AF_VSOCK answers EAFNOSUPPORT: the kernel's crypto code and the machine around a VM."""

PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""PER_LINUX, PER_LINUX32, both with UNAME26, and the question for the current one; all others are EPERM."""

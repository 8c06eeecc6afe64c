// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// processName names this process among all of this boot of this machine: boot, PID
// namespace, PID and start time (proc_pid_stat(5), field 22). Empty where /proc does
// not tell.
func processName() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	start := startTime(os.Getpid())
	if err != nil || start == "" {
		return ""
	}
	return fmt.Sprintf("%s %s %d %s", strings.TrimSpace(string(boot)), space, os.Getpid(), start)
}

// isDead reports whether the process of that name was one of this machine that has
// ended. In doubt, as for one of another container, it has not.
func isDead(name string) bool {
	there, here := strings.Fields(name), strings.Fields(processName())
	if len(there) != 4 || len(here) != 4 || there[0] != here[0] || there[1] != here[1] {
		return false
	}
	pid, err := strconv.Atoi(there[2])
	if err != nil || pid < 1 {
		return false
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	start := startTime(pid)
	return start != "" && start != there[3]
}

// startTime is when a process began, in ticks since the boot; empty if that cannot be
// read.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The program's name, field 2, may hold blanks and brackets.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

//go:build darwin || freebsd || netbsd

package walk

import "syscall"

func changeTime(st *syscall.Stat_t) (sec int64, nsec uint32) {
	return int64(st.Ctimespec.Sec), uint32(st.Ctimespec.Nsec)
}

//go:build unix && !linux && !darwin && !freebsd && !netbsd

package walk

import "syscall"

func changeTime(st *syscall.Stat_t) (sec int64, nsec uint32) {
	return int64(st.Ctim.Sec), uint32(st.Ctim.Nsec)
}

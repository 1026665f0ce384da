package localpg

import "syscall"

const (
	sharedMemory = "/dev/shm"
	tmpfsMagic   = 0x01021994 // statfs(2)
	// enoughMemory leaves room for several servers side by side, in bytes.
	// Docker's default of 64 MiB is not enough for one.
	enoughMemory = 2 << 30
)

// scratch gives the directory for throwaway data: in memory where there is
// room, which makes a database of a template in a tenth of the time, else "",
// the system's temporary directory.
func scratch() string {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(sharedMemory, &fs); err != nil || fs.Type != tmpfsMagic {
		return ""
	}
	const writable, executable = 2, 1 // access(2)
	if syscall.Access(sharedMemory, writable|executable) != nil || fs.Bavail*uint64(fs.Bsize) < enoughMemory {
		return ""
	}
	return sharedMemory
}

package localpg

import (
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// reaperScript waits until its standard input says "stopped" (nothing to do) or
// ends (this process died): then it ends the server, if one is left, and
// removes the directory $1.
const reaperScript = `
read -r word && exit 0
dir=$1
pid=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
	kill -QUIT "$pid" 2>/dev/null
	tries=0
	while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
fi
rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }
`

// reaper removes a throwaway directory when this process is killed and cannot.
type reaper struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func startReaper(dir string) (*reaper, error) {
	cmd := exec.Command("sh", "-c", reaperScript, "passerelle-localpg-reaper", dir) //nolint:noctx // It must outlive every context.
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("localpg: reaper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("localpg: reaper: %w", err)
	}
	return &reaper{cmd: cmd, stdin: stdin}, nil
}

// dismiss tells the reaper that the directory is gone.
func (r *reaper) dismiss() error {
	if r == nil {
		return nil
	}
	_, writeErr := io.WriteString(r.stdin, "stopped\n")
	if err := r.cmd.Wait(); err != nil {
		return fmt.Errorf("localpg: reaper: %w", err)
	}
	return writeErr
}
